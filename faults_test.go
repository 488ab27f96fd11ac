package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
)

// logFault is a fault of the disk under a node's log.
type logFault struct {
	inject atomic.Pointer[func(vfs.Op) error]
}

func (f *logFault) on(fault func(vfs.Op) error) { f.inject.Store(&fault) }

func (f *logFault) config(cfg *quorate.Config) {
	cfg.FS = vfs.Inject(vfs.OS{}, func(op vfs.Op, path string) error {
		if fault := f.inject.Load(); fault != nil && strings.HasSuffix(path, ".wal") {
			return (*fault)(op)
		}
		return nil
	})
}

// faulty returns a cluster and the fault of each node's disk.
func faulty(t *testing.T, n int) (*cluster, map[*testNode]*logFault) {
	var all []*logFault
	c := newCluster(t, n, func(cfg *quorate.Config) {
		all = append(all, &logFault{})
		all[len(all)-1].config(cfg)
	})
	faults := map[*testNode]*logFault{}
	for i, node := range c.nodes {
		faults[node] = all[i]
	}
	return c, faults
}

func TestALeaderWhoseDiskStallsStepsDown(t *testing.T) {
	c, faults := faulty(t, 3)
	c.propose(c.nodes[0], "before")
	slow := c.leader()
	released := make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	faults[slow].on(func(op vfs.Op) error {
		if op == vfs.OpSync {
			<-released
		}
		return nil
	})
	for _, node := range c.nodes {
		if node != slow {
			c.propose(node, "while the disk of the leader stalls")
		}
	}
	until(t, "another node leads", func() bool { return c.leader() != slow })
	release()
	if got := c.read(slow); len(got) != 3 {
		t.Errorf("afterwards the slow node has %q", got)
	}
}

func TestAFailedSyncStopsTheNodeAndLosesNothing(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.ENOSPC} {
		c, faults := faulty(t, 3)
		c.propose(c.nodes[0], "before")
		bad := c.leader()
		faults[bad].on(func(op vfs.Op) error {
			if op == vfs.OpSync {
				return errno
			}
			return nil
		})
		if _, err := bad.group.Propose(t.Context(), []byte("at the failing disk")); err == nil {
			t.Error("a command was acknowledged by a node whose disk failed")
		}
		<-bad.host.Failed()
		if !errors.Is(bad.host.Err(), errno) {
			t.Errorf("the node stopped because of %v, want %v", bad.host.Err(), errno)
		}
		_ = bad.host.Close(t.Context()) // returns the same error
		bad.host = nil
		c.propose(c.follower(), "by the others")
		faults[bad].inject.Store(nil)
		c.restart(bad)
		got := c.read(bad)
		if len(got) < 2 || got[0] != "before" || got[len(got)-1] != "by the others" {
			t.Errorf("after its restart the node has %q", got)
		}
	}
}

func TestWhatIsCalledNotDoneIsNeverDone(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.nodes[0], "first")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	maybe := 0 // acknowledged in spite of all, or unknown
	for i := range 200 {
		for _, node := range c.nodes {
			_, err := node.group.Propose(gone, fmt.Appendf(nil, "%d", i))
			if err == nil || errors.Is(err, quorate.ErrUnknownOutcome) {
				maybe++
			}
		}
	}
	c.propose(c.nodes[0], "last")
	if got := c.read(c.nodes[0]); len(got) > 2+maybe {
		t.Errorf("%d commands were carried out, 2 for certain and at most %d of the others", len(got), maybe)
	}
}

func TestOldSnapshotsGo(t *testing.T) {
	c := newCluster(t, 1, func(cfg *quorate.Config) { cfg.SnapshotEntries = 20 })
	for i := range 500 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	until(t, "the log is compacted", func() bool { return c.nodes[0].group.Status().Base.Index > 400 })
	c.stop(c.nodes[0])
	files, err := filepath.Glob(filepath.Join(c.nodes[0].cfg.Dir, "snap", "1", "*.snap"))
	if err != nil || len(files) == 0 || len(files) > 2 {
		t.Errorf("%d snapshots are kept: %v", len(files), err)
	}
	c.restart(c.nodes[0])
	if got := c.read(c.nodes[0]); len(got) != 500 {
		t.Errorf("after the restart there are %d commands", len(got))
	}
}

// Without the name of its snapshot on the disk, a state that is only in memory needs its
// log. Whether the name is there nobody knows after a failed sync of the directory, and
// the next attempt writes another file.
func TestTheLogIsKeptUntilTheNameOfASnapshotIsSynced(t *testing.T) {
	var broken atomic.Bool
	var failed atomic.Int64
	broken.Store(true)
	c := newCluster(t, 1, func(cfg *quorate.Config) {
		cfg.SnapshotEntries = 20
		cfg.FS = vfs.Inject(vfs.OS{}, func(op vfs.Op, path string) error {
			if op == vfs.OpSyncDir && broken.Load() && strings.HasSuffix(path, filepath.Join("snap", "1")) {
				failed.Add(1)
				return syscall.EIO
			}
			return nil
		})
	})
	node := c.nodes[0]
	before := node.group.Status().Base
	for i := range 100 {
		c.propose(node, fmt.Sprint(i))
	}
	until(t, "a snapshot fails", func() bool { return failed.Load() > 0 })
	if base := node.group.Status().Base; base != before {
		t.Fatalf("the log begins after %v by a snapshot that may be gone after a crash", base)
	}
	if err := node.host.Err(); err != nil {
		t.Fatalf("the host has ended: %v", err)
	}
	broken.Store(false)
	until(t, "the next one is saved", func() bool { return node.group.Status().Base != before })
	c.stop(node)
	c.restart(node)
	if got := c.read(node); len(got) != 100 {
		t.Errorf("after the restart there are %d commands", len(got))
	}
}

// A crash between the arrival of a snapshot and the log's new beginning leaves a
// file that the log knows nothing of.
func TestASnapshotThatNeverReachedTheLogIsPassedOver(t *testing.T) {
	c := newCluster(t, 1, func(cfg *quorate.Config) { cfg.SnapshotEntries = 20 })
	for i := range 100 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	c.stop(c.nodes[0])
	store, err := snap.Open(vfs.OS{}, filepath.Join(c.nodes[0].cfg.Dir, "snap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []raft.EntryID{{Term: 9, Index: 90}, {Term: 9, Index: 5000}} {
		member := quorate.Member{ID: 1, Role: quorate.Voter}
		w, err := store.Create(1, raft.Snapshot{ID: id, Config: membership.New(member)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	c.restart(c.nodes[0])
	if got := c.read(c.nodes[0]); len(got) != 100 {
		t.Errorf("after the restart there are %d commands", len(got))
	}
}
