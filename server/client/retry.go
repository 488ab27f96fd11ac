package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/transport/certs"
)

// request is what a call sends, as often as it is safe.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte

	// repeatable says that carrying it out twice is the same as once: a read,
	// or a write that its session numbers.
	repeatable bool
}

// response is an answer that is a success.
type response struct {
	header http.Header
	body   []byte
}

// verdict says what a failed attempt means for the next.
type verdict int

const (
	final    verdict = iota // the same request meets the same answer
	notDone                 // certainly not carried out: safe to send again
	doubtful                // perhaps carried out: safe only if repeatable
)

// failure is an attempt that was no success.
type failure struct {
	err       error
	verdict   verdict
	connected bool // a connection was made
}

// Pauses between rounds through all endpoints.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// do sends the request to one endpoint after the other until one of them
// answers, it is no longer safe to go on, or the time is up.
func (c *Client) do(ctx context.Context, rq request) (*response, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	inDoubt, refusals, pause := false, 0, firstPause
	var last error
	for tried := 1; ; tried++ {
		at := c.current.Load()
		resp, failed := c.attempt(ctx, c.endpoints[at], rq)
		if failed == nil {
			return resp, nil
		}
		// When the time is up, an attempt before says more about why than the
		// attempt that it cut short.
		if last == nil || ctx.Err() == nil {
			last = failed.err
		}
		inDoubt = inDoubt || failed.verdict == doubtful
		if failed.connected {
			refusals = 0
		} else {
			refusals++
		}
		if failed.verdict == final || (inDoubt && !rq.repeatable) || (c.failFast && refusals >= len(c.endpoints)) {
			break
		}
		// Others may have moved on from this endpoint already.
		c.current.CompareAndSwap(at, (at+1)%int64(len(c.endpoints)))
		if tried%len(c.endpoints) == 0 && !sleep(ctx, pause) {
			break
		}
		if ctx.Err() != nil {
			break
		}
		pause = min(2*pause, lastPause)
	}
	if inDoubt && rq.method != http.MethodGet {
		return nil, doubt(last)
	}
	return nil, last
}

// sleep waits for about d, so that clients do not come back in step. It reports
// whether there is time left.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// attempt sends the request once.
func (c *Client) attempt(ctx context.Context, endpoint *url.URL, rq request) (*response, *failure) {
	budget := c.budget(ctx, rq.repeatable)
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	// Without a connection nothing was sent, so nothing was done.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	token, fresh, failed := c.login(ctx, endpoint)
	if failed != nil {
		return nil, failed
	}
	resp, err := c.send(ctx, endpoint, rq, budget, *token)
	if err != nil {
		f := &failure{err: c.noAnswer(endpoint, err), verdict: doubtful, connected: connected.Load()}
		if refused, ok := errors.AsType[*certs.Error](f.err); ok && refused.Refused() {
			f.connected = false // as good as: the node ended the handshake before it read anything
		}
		if !f.connected {
			f.verdict = notDone
		}
		return nil, f
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, &failure{err: c.noAnswer(endpoint, err), verdict: doubtful, connected: true}
	case resp.StatusCode/100 != 2:
		f := problem(endpoint, resp, body)
		if resp.StatusCode == http.StatusUnauthorized && c.identity.forget(token, fresh) {
			f.verdict = notDone
		}
		return nil, f
	}
	return &response{header: resp.Header, body: body}, nil
}

// longestWait is the longest that a server lets a request ask for.
const longestWait = time.Minute

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 256 << 20

// budget is the time for one attempt. What may be repeated leaves time for
// another endpoint, should this one hang; what may not gets all there is.
func (c *Client) budget(ctx context.Context, repeatable bool) time.Duration {
	left := c.timeout
	if deadline, has := ctx.Deadline(); has {
		left = min(left, time.Until(deadline))
	}
	if repeatable && len(c.endpoints) > 1 {
		return left / 2
	}
	return left
}

func (c *Client) send(ctx context.Context, endpoint *url.URL, rq request, budget time.Duration, token string) (*http.Response, error) {
	// The server gives up a little earlier, so that its reason still arrives.
	wait := min(max(budget*9/10, time.Millisecond), longestWait).Round(time.Millisecond)
	query := url.Values{"timeout": {wait.String()}}
	for name, values := range rq.query {
		query[name] = values
	}
	target := endpoint.String() + rq.path + "?" + query.Encode()
	hr, err := http.NewRequestWithContext(ctx, rq.method, target, bytes.NewReader(rq.body))
	if err != nil {
		return nil, err
	}
	for name, values := range rq.header {
		hr.Header[name] = values
	}
	if token != "" {
		hr.Header.Set("Authorization", "Bearer "+token)
	}
	return c.http.Do(hr)
}

// noAnswer says in one sentence that an endpoint could not be asked.
func (c *Client) noAnswer(endpoint *url.URL, err error) error {
	// The URL error repeats method and path, which its reader knows.
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = c.certs.Explain(err)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s did not answer in time: %w", ErrUnavailable, endpoint, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, endpoint, err)
}

// problem reads an answer that is no success.
func problem(endpoint *url.URL, resp *http.Response, body []byte) *failure {
	e := &Error{Endpoint: endpoint.String(), Status: resp.StatusCode}
	var p wire.Problem
	if strings.HasPrefix(resp.Header.Get("Content-Type"), wire.ProblemType) && json.Unmarshal(body, &p) == nil && p.Code != "" {
		e.Code, e.Detail = p.Code, p.Detail
	} else {
		e.Detail = fmt.Sprintf("%s answered %s, which quorate does not say; check that this is a quorate client URL", endpoint, resp.Status)
	}
	f := &failure{err: e, connected: true}
	switch retry := wire.KindOf(e.Code).Retry; {
	case retry == wire.RetryNever, e.Code == "" && resp.StatusCode < http.StatusInternalServerError:
		f.verdict = final
	case retry == wire.RetrySafe:
		f.verdict = notDone
	default:
		f.verdict = doubtful
	}
	return f
}

// decode reads the JSON of a successful answer.
func (r *response) decode(into any) error {
	if err := json.Unmarshal(r.body, into); err != nil {
		return fmt.Errorf("the answer is not quorate's (%w); check that the endpoint is a quorate client URL", err)
	}
	return nil
}
