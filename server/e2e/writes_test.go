//go:build unix

package e2e

import (
	"testing"

	"github.com/quorate-db/quorate/server/client"
)

const (
	loadClients = 16
	loadKeys    = 10_000
)

// The promise of the whole: what was acknowledged is there, on every node, once,
// whoever died meanwhile.
func TestNoAcknowledgedWriteIsLostWhileLeadersAreKilled(t *testing.T) {
	long(t)
	c := startCluster(t, 3)
	l := startLoad(c, loadClients, loadKeys/loadClients)
	for _, acked := range []int64{1500, 4000, 6500} {
		l.awaitAcked(acked)
		dead := c.leader()
		dead.process.kill()
		// It comes back only when the others have gone on without it, so that it
		// has something to catch up with.
		l.awaitAcked(l.acked.Load() + 500)
		dead.start()
	}
	acked, numbered := l.wait()
	c.awaitReady()

	hashes := c.settle()
	t.Logf("state hashes: %+v", hashes)
	equal := 0.0
	if equalHashes(hashes) {
		equal = 1
	} else {
		t.Errorf("the states differ: %+v", hashes)
	}
	goals.report(t, "hashes_equal", equal)

	lost := 0
	for _, n := range c.nodes {
		local := all(t, n.api, loadPrefix, client.Stale())
		lost = max(lost, missing(acked, local), missing(acked, all(t, n.api, loadPrefix)))
		for key, writes := range numbered {
			if got := local[key].Version; got != writes {
				t.Errorf("%s: %s was written %d times in a session and applied %d times", n.name, key, writes, got)
			}
		}
	}
	goals.report(t, "writes_lost", float64(lost))
	if lost > 0 {
		t.Errorf("%d of %d acknowledged keys are lost", lost, len(acked))
	}
}
