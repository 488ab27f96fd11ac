//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// A member that was wished for as a learner stays one while others come, catch up and
// vote, also when it starts again at another address, until somebody promotes it.
func TestALearnerThatWasAskedForStaysOne(t *testing.T) {
	c := startCluster(t, 3)
	a := c.nodes[0]
	at := []string{"--endpoints", a.client}
	succeed(t, "put", "greeting", "hello", "--endpoints", a.client)

	d := newNode(t, "d", "--initial-cluster-state", "existing", "--join", a.client)
	succeed(t, append(at, "member", "add", "d", "--learner", "--peer-url", d.peer)...)
	refused := quorate(t, append(at, "member", "add", "f", "--learner", "--peer-url", freeURL(t))...)
	if said, err := refused.complaint(); err != nil || refused.code != 1 || !strings.Contains(said, "--max-learners") {
		t.Errorf("another learner: exit code %d, %q (%v)", refused.code, said, err)
	}
	d.start()
	d.wantLearner()

	e := newNode(t, "e", "--join", a.client)
	e.start()
	e.awaitReady()
	d.wantLearner()
	d.stop()
	d.client = freeURL(t)
	d.command = append(d.command, "--listen-client-urls", d.client)
	d.api = dial(t, client.Config{FailFast: true}, d)
	d.start()
	d.wantLearner()
	succeed(t, append(at, "member", "remove", "c")...)
	d.wantLearner()

	succeed(t, append(at, "member", "promote", "d")...)
	d.awaitReady()
	c.nodes = []*node{a, c.nodes[1], d, e}
	c.wantVoters(c.nodes...)
	wantGet(t, d, "greeting", "hello")
	succeed(t, append(at, "member", "add", "f", "--learner", "--peer-url", freeURL(t))...)
	c.agree()
}

// wantLearner waits until the node has come as far as its cluster knows, and the
// cluster knows it as a learner at its URL; then it answers what may be old, and only that.
func (n *node) wantLearner() {
	n.t.Helper()
	row := fmt.Sprint(`"d","role":"learner","peer_url":"`, n.peer, `","client_urls":["`, n.client, `"]`)
	eventually(n.t, n.name+" is a learner", func() error {
		if said := n.says("GET", "/v1/members", ""); !strings.Contains(said, row) {
			return fmt.Errorf("its members are %s, want %s", said, row)
		}
		return nil
	})
	n.await("has caught up", func(s *wire.Status) bool { return s.Leader != 0 && s.Log.Applied == s.Log.Last })
	for body, want := range map[string]string{
		`{"key":"Z3JlZXRpbmc=","serializable":true}`: `"value":"aGVsbG8="`,
		`{"key":"Z3JlZXRpbmc="}`:                     "rpc not supported for learner",
	} {
		if said := n.says("POST", "/v3/kv/range", body); !strings.Contains(said, want) {
			n.t.Errorf("%s answers %s, want %s", body, said, want)
		}
	}
}

// says returns the body of an answer, whatever its status.
func (n *node) says(method, path, body string) string {
	n.t.Helper()
	rq, err := http.NewRequestWithContext(n.t.Context(), method, n.client+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(said)
}
