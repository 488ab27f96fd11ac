//go:build linux

package torture

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/check/linear"
)

// A judge that never finds anything proves nothing. Here two of three nodes lose
// their disks, which nobody may do to a cluster, and begin again without the third:
// what was acknowledged is gone, and the judge has to say so.
func TestALostDiskOfAMajorityIsFound(t *testing.T) {
	r, _ := begin(t, 3)
	left := r.cluster.nodes[:2]
	r.startLoad(1, left, 200)
	r.load.Run(r.ctx)
	for _, n := range r.cluster.nodes {
		n.kill()
	}
	for _, n := range left {
		if err := os.RemoveAll(n.data()); err != nil {
			t.Fatal(err)
		}
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
	}
	r.awaitService(left)
	reads, stop := context.WithTimeout(r.ctx, patience)
	defer stop()
	if unread := r.load.LastReads(reads); unread > 0 {
		t.Fatalf("%d keys could not be read", unread)
	}
	history := r.load.History()
	acked, lost, err := audit(r.ctx, left, history)
	if err != nil || acked == 0 || len(lost) != acked {
		t.Errorf("%d of %d acknowledged writes are found to be lost, %v", len(lost), acked, err)
	}
	result, err := linear.Check(history, checkTime)
	if err != nil || result.Verdict != linear.NotLinearizable {
		t.Errorf("the verdict is %v, %v\n%s", result.Verdict, err, linear.Text(result.Smallest))
	}
}

// Nor may a node that ends by itself pass for one that was killed.
func TestANodeThatEndsByItselfIsNoticed(t *testing.T) {
	r, _ := begin(t, 3)
	r.awaitService(r.cluster.nodes)
	if err := r.cluster.nodes[1].signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.ctx.Done():
	case <-time.After(patience):
		t.Error("nobody noticed")
	}
}
