package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
)

// A node that has left a group and let go of what it held is refused when it comes back
// under its ID, by itself, and whatever an administrator says.
func TestM13AGroupThatWasRemovedStaysAway(t *testing.T) {
	c := newCluster(t, 3, func(cfg *quorate.Config) { cfg.SnapshotEntries = 10 })
	gone := c.leader()
	for i := range 50 {
		c.propose(gone, fmt.Sprint(i))
	}
	self := quorate.Member{ID: gone.cfg.ID, Address: gone.host.Addr()}
	if err := gone.group.Change(t.Context(), membership.Change{Kind: membership.Remove, Member: self}); err != nil {
		t.Fatal(err)
	}
	if err := gone.host.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	<-gone.group.Stopped()
	if _, err := gone.group.Propose(t.Context(), nil); !errors.Is(err, quorate.ErrStopped) {
		t.Errorf("a command to a group that was removed: %v", err)
	}
	if err := gone.group.Status().Err; !errors.Is(err, quorate.ErrRemoved) {
		t.Errorf("its status: %v", err)
	}
	refused := func() {
		t.Helper()
		left, err := os.ReadDir(filepath.Join(gone.cfg.Dir, "snap", "1"))
		if err != nil || len(left) > 0 {
			t.Errorf("snapshots are left: %v, %v", left, err)
		}
		for range 2 {
			_, err := gone.host.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{self}, StateMachine: &list{}})
			if !errors.Is(err, quorate.ErrRemoved) {
				t.Fatalf("it is started again: %v", err)
			}
		}
		if err := gone.host.Remove(t.Context(), 1); err != nil {
			t.Errorf("removed once more: %v", err)
		}
	}
	refused()
	gone.group = nil
	c.stop(gone)
	c.open(gone)
	refused()

	other := c.leader()
	c.propose(other, "without it")
	if err := other.group.Change(t.Context(), membership.Change{Kind: membership.Add, Member: self}); err != nil {
		t.Fatal(err)
	}
	c.propose(other, "with it, by name")
	if err := other.group.Change(t.Context(), membership.Change{Kind: membership.Promote, Member: self}); err == nil {
		t.Error("it was promoted")
	}
}

// Whatever a crash leaves of a removal, the group is there as it was, or gone.
func TestACrashDuringARemoval(t *testing.T) {
	mem := vfs.NewMem()
	var removing atomic.Bool
	var mu sync.Mutex // the log and the snapshots write from goroutines of their own
	var images []*vfs.Mem
	crash := func(survives ...vfs.Survival) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range survives {
			images = append(images, mem.Crash(s))
		}
	}
	disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
		if removing.Load() && op.Changes() {
			crash(vfs.Lost, vfs.Kept)
		}
		return nil
	})
	open := func(disk vfs.FS) *quorate.Host {
		t.Helper()
		h, err := quorate.Open(quorate.Config{Dir: "d", ID: 1, Listen: "127.0.0.1:0", FS: disk, SnapshotEntries: 10})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	shut := func(h *quorate.Host) {
		t.Helper()
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h := open(disk)
	members := []quorate.Member{{ID: 1, Role: quorate.Voter, Address: h.Addr()}}
	g, err := h.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: &list{}})
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if _, err := g.Propose(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "there is a snapshot", func() bool { return g.Status().Base.Index > 10 })
	removing.Store(true)
	if err := h.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	crash(vfs.Lost)
	removing.Store(false)
	shut(h)

	seen := map[bool]int{}
	for i, image := range images {
		h := open(image)
		l := &list{}
		g, err := h.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: l})
		gone := errors.Is(err, quorate.ErrRemoved)
		seen[gone]++
		switch {
		case gone:
			if names, err := image.List(filepath.Join("d", "snap", "1")); err != nil || len(names) > 0 {
				t.Errorf("image %d: the group is gone, but for %v, %v", i, names, err)
			}
		case err != nil:
			t.Errorf("image %d: %v", i, err)
		default:
			if _, err := g.Read(t.Context()); err != nil || len(l.all()) != 25 {
				t.Errorf("image %d: the group is there with %d of 25 commands, %v", i, len(l.all()), err)
			}
		}
		shut(h)
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("of %d images %d are without the group", len(images), seen[true])
	}
}

// A group that this program does not start any more can be removed, and its entries free
// the log of the others.
func TestAGroupThatWasNotStartedIsRemoved(t *testing.T) {
	c := newCluster(t, 1, func(cfg *quorate.Config) { cfg.LogSegmentBytes, cfg.SnapshotEntries = 64<<10, 10 })
	node := c.nodes[0]
	start := func(id quorate.GroupID) *quorate.Group {
		t.Helper()
		g, err := node.host.Start(quorate.GroupConfig{ID: id, Members: []quorate.Member{{ID: 1, Role: quorate.Voter, Address: node.host.Addr()}}, StateMachine: &list{}})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	quiet := start(2)
	for range 9 { // no snapshot frees them
		if _, err := quiet.Propose(t.Context(), make([]byte, 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	c.stop(node)
	c.restart(node)
	if err := node.host.Remove(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := node.host.Remove(t.Context(), 3); err == nil {
		t.Error("a group that nobody knows was removed")
	}
	until(t, "the log is short", func() bool {
		c.propose(node, string(make([]byte, 10<<10)))
		status, _ := node.host.Stats()
		return status.Segments <= 3
	})
	c.stop(node)
	c.restart(node)
	if _, err := node.host.Start(quorate.GroupConfig{ID: 2, StateMachine: &list{}}); !errors.Is(err, quorate.ErrRemoved) {
		t.Errorf("it is started again: %v", err)
	}
}

// slowView is a state machine whose snapshots are written only when they may be.
type slowView struct {
	list
	begun, may chan struct{}
}

func (s *slowView) Snapshot() (quorate.View, error) { return slowWriter{listView(s.all()), s}, nil }

type slowWriter struct {
	listView
	s *slowView
}

func (w slowWriter) Close() error {
	close(w.s.begun)
	<-w.s.may
	return nil
}

// Who removes a group may close the state machine afterwards: nobody reads from it.
func TestARemovalWaitsForASnapshot(t *testing.T) {
	h, err := quorate.Open(quorate.Config{Dir: t.TempDir(), ID: 1, Listen: "127.0.0.1:0", SnapshotEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &slowView{begun: make(chan struct{}), may: make(chan struct{})}
	g, err := h.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{{ID: 1, Role: quorate.Voter, Address: h.Addr()}}, StateMachine: s})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Propose(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-s.begun
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.Remove(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while a snapshot is being written: %v", err)
	}
	close(s.may)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var none raft.Index
	if s := g.Status(); !errors.Is(s.Err, quorate.ErrRemoved) || s.Applied != none {
		t.Errorf("the status afterwards is %+v", s)
	}
}
