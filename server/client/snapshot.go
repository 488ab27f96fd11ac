package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Snapshot writes the store of the first endpoint that answers to w, as of one moment,
// in the form of package backup; who writes it to a file should open that with the
// package, to see that it came whole. It takes as long as ctx allows.
func (c *Client) Snapshot(ctx context.Context, w io.Writer) error {
	var last error
	for _, endpoint := range c.endpoints {
		token, _, failed := c.login(ctx, endpoint)
		if failed != nil {
			last = failed.err
			continue
		}
		resp, err := c.send(ctx, endpoint, request{method: http.MethodGet, path: "/v1/snapshot"}, longestWait, *token)
		if err != nil {
			last = c.noAnswer(endpoint, err)
			continue
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s has no snapshot to give: %s", endpoint, resp.Status)
		}
		if _, err := io.Copy(w, resp.Body); err != nil {
			return fmt.Errorf("the snapshot from %s was cut short: %w", endpoint, err)
		}
		return nil
	}
	return last
}
