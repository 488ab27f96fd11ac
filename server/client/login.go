package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/quorate-db/quorate/server/api/wire"
)

// identity is on whose behalf a client calls: a token's, or that of a user whose
// password gets one.
type identity struct {
	user, password string
	token          atomic.Pointer[string] // empty: nobody asks for one; nil: not known yet
	turn           chan struct{}          // holds one while somebody logs in
}

func newIdentity(cfg Config) *identity {
	id := &identity{user: cfg.User, password: cfg.Password, turn: make(chan struct{}, 1)}
	if cfg.User == "" {
		id.token.Store(&cfg.Token)
	}
	return id
}

// forget reports whether another try with a new token may meet a better answer than
// one that was refused.
func (id *identity) forget(token *string, fresh bool) bool {
	if id.user == "" || fresh {
		return false
	}
	id.token.CompareAndSwap(token, nil)
	return true
}

// login returns the token to call with, and whether it was got for this call.
func (c *Client) login(ctx context.Context, endpoint *url.URL) (token *string, fresh bool, failed *failure) {
	id := c.identity
	if token = id.token.Load(); token != nil {
		return token, false, nil
	}
	select {
	case id.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, false, &failure{err: c.noAnswer(endpoint, ctx.Err()), verdict: notDone}
	}
	defer func() { <-id.turn }()
	if token = id.token.Load(); token != nil {
		return token, true, nil // somebody was quicker
	}
	if token, failed = c.authenticate(ctx, endpoint); failed == nil {
		id.token.Store(token)
	}
	return token, true, failed
}

// notEnforced is the code of an answer that nobody needs a token; gRPC's.
const notEnforced = 9

// authenticate asks an endpoint for a token, with etcd's call. Whatever it fails with,
// what was to be called has not been done.
func (c *Client) authenticate(ctx context.Context, endpoint *url.URL) (*string, *failure) {
	body, err := json.Marshal(map[string]string{"name": c.identity.user, "password": c.identity.password})
	if err != nil {
		return nil, &failure{err: err, verdict: final}
	}
	rq, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String()+"/v3/auth/authenticate", bytes.NewReader(body))
	if err != nil {
		return nil, &failure{err: err, verdict: final}
	}
	resp, err := c.http.Do(rq)
	if err != nil {
		return nil, &failure{err: c.noAnswer(endpoint, err), verdict: notDone}
	}
	defer resp.Body.Close()
	var answer struct {
		Token   string `json:"token"`
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	refused := &Error{Endpoint: endpoint.String(), Status: resp.StatusCode, Code: wire.Unauthenticated}
	switch {
	case err != nil:
		refused.Detail = fmt.Sprintf("%s answered %s when asked for a token, which quorate does not say; check that this is a quorate client URL", endpoint, resp.Status)
		return nil, &failure{err: refused, verdict: final, connected: true}
	case resp.StatusCode == http.StatusOK, answer.Code == notEnforced:
		return &answer.Token, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= http.StatusInternalServerError:
		return nil, &failure{err: fmt.Errorf("%w: %s gives no token: %s", ErrUnavailable, endpoint, answer.Message), verdict: notDone, connected: true}
	}
	refused.Detail = fmt.Sprintf("the user %s is not let in: %s", c.identity.user, answer.Message)
	return nil, &failure{err: refused, verdict: final, connected: true}
}
