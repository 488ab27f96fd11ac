//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
)

// The life of a cluster, told with the command line alone.
func TestAClusterLivesThroughStopsNewMembersAndRestarts(t *testing.T) {
	c := startCluster(t, 3)
	a, b, third := c.nodes[0], c.nodes[1], c.nodes[2]

	succeed(t, "put", "greeting", "hello", "--endpoints", a.client)
	wantGet(t, b, "greeting", "hello")

	third.stop()
	succeed(t, "put", "greeting", "again", "--endpoints", a.client)
	third.start()
	third.awaitReady()
	wantGet(t, third, "greeting", "again")

	// All that a new member is told of the cluster is one URL.
	d := newNode(t, "d", "--join", a.client)
	d.start()
	d.awaitReady()
	c.nodes = append(c.nodes, d)
	c.wantVoters(a, b, third, d)
	wantGet(t, d, "greeting", "again")

	succeed(t, "member", "remove", third.name, "--endpoints", a.client)
	// It ends by itself, and says why: nobody should think that it still serves.
	if code := third.process.exit(t); code != 1 || !strings.Contains(third.log(), "was removed from the cluster") {
		t.Errorf("the removed member ended with exit code %d", code)
	}
	c.nodes = []*node{a, b, d}
	c.wantVoters(a, b, d)

	for _, n := range c.nodes {
		n.stop()
	}
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	c.wantVoters(a, b, d)
	wantGet(t, d, "greeting", "again")
	succeed(t, "put", "greeting", "still", "--endpoints", d.client)
	wantGet(t, a, "greeting", "still")
	c.agree()
}

// Programs read the log: where it is no terminal, every line is JSON.
func TestANodeLogsInJSONAndSaysWhenItServes(t *testing.T) {
	n := newNode(t, "a")
	n.start()
	n.awaitReady()
	n.stop()
	var ready bool
	for line := range strings.Lines(n.log()) {
		var said struct{ Msg, URL string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		ready = ready || said.Msg == "ready to serve client requests" && said.URL == n.client
	}
	if !ready {
		t.Errorf("it does not say that it serves:\n%s", n.log())
	}
}

// wantGet reads a key through one node.
func wantGet(t *testing.T, n *node, key, want string) {
	t.Helper()
	if got := succeed(t, "get", key, "--endpoints", n.client); got != want {
		t.Errorf("%s on %s is %q, want %q", key, n.name, got, want)
	}
}

// wantVoters waits until every node lists exactly these members, all of them
// voters, under the URLs that they have.
func (c *cluster) wantVoters(voters ...*node) {
	c.t.Helper()
	var want []string
	for _, n := range voters {
		want = append(want, fmt.Sprint(n.name, " voter ", n.peer, " ", []string{n.client}))
	}
	slices.Sort(want)
	for _, n := range c.nodes {
		eventually(c.t, "the members that "+n.name+" lists", func() error {
			var listed wire.Members
			if err := json.Unmarshal([]byte(succeed(c.t, "member", "list", "-o", "json", "--endpoints", n.client)), &listed); err != nil {
				return err
			}
			var got []string
			for _, m := range listed.Members {
				got = append(got, fmt.Sprint(m.Name, " ", m.Role, " ", m.PeerURL, " ", m.ClientURLs))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				return fmt.Errorf("got %q, want %q", got, want)
			}
			return nil
		})
	}
}

// A follower that stayed away while the log was compacted cannot be sent the
// entries that it lacks; they are gone.
func TestAFollowerBehindTheCompactedLogCatchesUpBySnapshot(t *testing.T) {
	c := startCluster(t, 3, "--snapshot-count", "100")
	leader := c.leader()
	late := c.others(leader)[0]
	put(t, persistent(t, c.nodes...), "early", 50, valueSize)
	had := late.await("has the early keys", func(s *wire.Status) bool { return s.Log.Applied >= 50 }).Log.Last
	late.stop()

	put(t, persistent(t, c.others(late)...), "late", 1000, valueSize)
	for _, n := range c.others(late) {
		n.await("has compacted its log", func(s *wire.Status) bool { return s.Log.Compacted > had })
	}
	late.start()
	late.awaitReady()
	c.agree()
	if s, err := late.status(); err != nil || s.Log.Compacted <= had {
		t.Errorf("%s had %d entries and has %+v now (%v): it did not get a snapshot", late.name, had, s, err)
	}
	if got := len(all(t, late.api, "late")); got != 1000 {
		t.Errorf("%s has %d of 1000 keys", late.name, got)
	}
}
