package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// profile has all nodes write profiles of their CPU time for so long, whole seconds, into
// files in a directory, named after the contestant, what is done, and the node; no
// directory, no profiles. A node that has just been started is waited for.
func (c *cluster) profile(ctx context.Context, dir, name, work string, window time.Duration) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	work = strings.NewReplacer(" ", "-", ",", "").Replace(work)
	results := make(chan error, len(c.endpoints))
	for i, endpoint := range c.endpoints {
		go func() {
			url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", endpoint, max(1, int(window.Seconds())))
			results <- download(ctx, url, filepath.Join(dir, fmt.Sprintf("%s-%s-n%d.prof", name, work, i)))
		}()
	}
	var err error
	for range c.endpoints {
		err = errors.Join(err, <-results)
	}
	return err
}

func download(ctx context.Context, url, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	for errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		response, err = http.DefaultClient.Do(request)
	}
	if err != nil {
		return err
	}
	data, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return os.WriteFile(path, data, 0o600)
}
