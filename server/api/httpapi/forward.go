package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quorate-db/quorate"
)

// onLeader makes an answer that only the leader can give available at every
// node: another node passes the request on. It waits for a leader as long as the
// request may take.
func (s *Server) onLeader(next func(context.Context, http.ResponseWriter, *http.Request) error) answer {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel, _, err := s.query(r)
		if err != nil {
			return err
		}
		defer cancel()
		// Read now: it may have to be sent, and the deadline must hold for it too.
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
		if err != nil {
			return problem(Malformed, "the body was cut short or is too large and nothing was done: "+oneLine(err.Error()))
		}
		leader, err := s.leader(ctx)
		if err != nil {
			return err
		}
		if leader.ID != s.Cluster.Status().ID {
			return s.pass(ctx, w, r, data)
		}
		r.Body = io.NopCloser(bytes.NewReader(data))
		return next(ctx, w, r)
	}
}

// leaderPoll is how often a waiting request looks for a leader.
const leaderPoll = 20 * time.Millisecond

// leader waits for a leader that the configuration knows.
func (s *Server) leader(ctx context.Context) (quorate.Member, error) {
	tick := time.NewTicker(leaderPoll)
	defer tick.Stop()
	for {
		status := s.Cluster.Status()
		if m, ok := status.Config.Find(status.Leader); ok {
			return m, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return quorate.Member{}, quorate.ErrNoLeader
		}
	}
}

// pass sends the request to the leader and its answer to the client. It is passed
// on once: two nodes that take each other for the leader must not play catch.
func (s *Server) pass(ctx context.Context, w http.ResponseWriter, r *http.Request, data []byte) error {
	if r.Header.Get(HeaderForward) != "" {
		return problem(NoLeader, "leadership changed during the request and nothing was done: try again")
	}
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	urls := InfoOf(leader).ClientURLs
	if leader.ID == s.Cluster.Status().ID || len(urls) == 0 {
		return problem(NoLeader, "the leader's client URL is not known here yet and nothing was done: try again, or ask the leader itself")
	}
	answer, err := s.send(ctx, r, urls, data)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for _, name := range []string{"Content-Type", "Location", "Retry-After", "Cache-Control"} {
		if v := answer.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body) // the client may be gone
	return nil
}

// send tries the leader's URLs until one can be dialled.
func (s *Server) send(ctx context.Context, r *http.Request, urls []string, data []byte) (*http.Response, error) {
	var last error
	for _, u := range urls {
		req, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(u, "/")+r.URL.RequestURI(), bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		req.Header.Set(HeaderForward, "1")
		answer, err := s.forward.Do(req)
		if err == nil {
			return answer, nil
		}
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
			return nil, fmt.Errorf("%w: the leader did not answer: %w", quorate.ErrUnknownOutcome, err)
		}
		last = err
	}
	return nil, fmt.Errorf("%w: %w", quorate.ErrNoLeader, last)
}
