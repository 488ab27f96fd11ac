//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// Without a majority nothing may be promised, and nobody may be left waiting.
func TestWithoutAMajorityRequestsEndAndStatusAnswers(t *testing.T) {
	long(t)
	c := startCluster(t, 3)
	put(t, persistent(t, c.nodes...), "before", 1, valueSize)
	c.agree()
	leader := c.leader()
	for _, tc := range []struct {
		name     string
		survivor *node
	}{
		{"the leader survives", leader},
		{"a follower survives", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			survivor := tc.survivor
			if survivor == nil {
				survivor = c.others(c.leader())[0]
			}
			dead := c.others(survivor)
			for _, n := range dead {
				n.process.kill()
			}
			wantNoMajority(t, survivor)
			dead[0].start()
			put(t, persistent(t, survivor, dead[0]), "after", 1, valueSize)
			dead[1].start()
			c.awaitReady()
			c.agree()
		})
	}
}

// A process that is stopped in its tracks, and a machine that swaps, believe that
// nothing has happened when they go on. A leader must not answer from memory then.
func TestALeaderThatWasFrozenAnswersNothingOld(t *testing.T) {
	c := startCluster(t, 3)
	old := c.leader()
	if _, err := old.api.Put(t.Context(), []byte("key"), []byte("before")); err != nil {
		t.Fatal(err)
	}
	if err := old.process.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p := startPulse(t, c.others(old))
	p.end()
	rest := persistent(t, c.others(old)...)
	if _, err := rest.Put(t.Context(), []byte("key"), []byte("after")); err != nil {
		t.Fatal(err)
	}
	if err := old.process.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got, err := old.api.Get(t.Context(), []byte("key")); err != nil || string(got.Bytes) != "after" {
		t.Errorf("the old leader answers %q, %v; another one has acknowledged %q", got.Bytes, err, "after")
	}
	c.agree()
}

func wantNoMajority(t *testing.T, n *node) {
	t.Helper()
	for range 3 {
		wantRefusal(t, n, http.MethodPut, "/v1/kv/in-vain?timeout=1s")
		wantRefusal(t, n, http.MethodGet, "/v1/kv/before1?timeout=1s")
	}
	if _, err := n.status(); err != nil {
		t.Errorf("status: %v", err)
	}
	got, err := n.api.Get(t.Context(), []byte("before1"), client.Stale())
	if err != nil || string(got.Bytes) != string(valueOf("before1", valueSize)) {
		t.Errorf("stale read: %q, %v", got.Bytes, err)
	}
}

// wantRefusal sends a request that cannot succeed: it must end with 503 or 504 and
// a code that says whether it may have been carried out.
func wantRefusal(t *testing.T, n *node, method, path string) {
	t.Helper()
	status, p := ask(t, n, method, path, "value")
	switch {
	case status == http.StatusServiceUnavailable && (p.Code == wire.NoLeader || p.Code == wire.Unavailable || p.Code == wire.Timeout):
	case status == http.StatusGatewayTimeout && (p.Code == wire.OutcomeUnknown || p.Code == wire.Timeout):
		if method == http.MethodPut && p.Code != wire.OutcomeUnknown {
			t.Errorf("%s %s: code %s of a write that may be carried out", method, path, p.Code)
		}
	default:
		t.Errorf("%s %s: status %d, code %q (%s), want 503 or 504", method, path, status, p.Code, p.Detail)
	}
}

// ask sends one request and returns its status and, if it is one, its problem.
func ask(t *testing.T, n *node, method, path, body string) (int, wire.Problem) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, method, n.client+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	var p wire.Problem
	if strings.HasPrefix(resp.Header.Get("Content-Type"), wire.ProblemType) {
		if err := json.Unmarshal(answer, &p); err != nil {
			t.Errorf("%s %s: %v in %q", method, path, err, answer)
		}
	}
	return resp.StatusCode, p
}
