package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// A node that shares no group with others any more does not look for them when they are gone.
func TestARemovalForgetsTheOtherMembers(t *testing.T) {
	c := newCluster(t, 3, nil)
	node := c.leader()
	c.propose(node, "x")
	if err := node.host.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, other := range c.nodes {
		if other != node {
			c.stop(other)
		}
	}
	until(t, "it has forgotten the others", func() bool {
		_, stats := node.host.Stats()
		return len(stats.Peers) == 0
	})
}

// endless is a state that is never written to its end.
type endless struct {
	disk
	views atomic.Int64 // that are open
	began chan struct{}
}

type endlessView struct{ s *endless }

func (s *endless) Snapshot() (quorate.View, error) {
	s.views.Add(1)
	return endlessView{s}, nil
}

func (v endlessView) WriteTo(w io.Writer) (written int64, err error) {
	for err == nil {
		var n int
		n, err = w.Write(make([]byte, 64<<10))
		written += int64(n)
	}
	return written, err
}

func (v endlessView) Close() error {
	v.s.views.Add(-1)
	return nil
}

// Stage takes it in for as long as it comes.
func (s *endless) Stage(_ raft.Index, r io.Reader) error {
	s.views.Add(1)
	defer s.views.Add(-1)
	close(s.began)
	_, err := io.Copy(io.Discard, r)
	return err
}

func (s *endless) Adopt(raft.Index) (bool, error) { return false, nil }
func (s *endless) Unstage(raft.Index) error       { return nil }

// Nor does anybody send it to another node any more, or take in what another one sends.
func TestARemovalEndsTransfers(t *testing.T) {
	const from = 100 // so that who comes later gets a snapshot
	for at := range 2 {
		c := &cluster{t: t, dir: t.TempDir()}
		slow := func(cfg *quorate.Config) { cfg.SnapshotRate = 1 << 20 }
		nodes := []*testNode{c.add(slow), c.add(slow)}
		t.Cleanup(func() {
			for _, node := range nodes {
				c.stop(node)
			}
		})
		states := []*endless{{disk: disk{applied: from}}, {began: make(chan struct{})}}
		member := quorate.Member{ID: 1, Role: quorate.Voter, Address: nodes[0].host.Addr()}
		var err error
		if nodes[0].group, err = nodes[0].host.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{member}, StateMachine: states[0], From: from}); err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[1].host.Start(quorate.GroupConfig{ID: 1, StateMachine: states[1]}); err != nil {
			t.Fatal(err)
		}
		learner := membership.Change{Kind: membership.Add, Member: quorate.Member{ID: 2, Address: nodes[1].host.Addr()}}
		if err := nodes[0].group.Change(t.Context(), learner); err != nil {
			t.Fatal(err)
		}
		<-states[1].began
		if err := nodes[at].host.Remove(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if n := states[at].views.Load(); n != 0 {
			t.Errorf("node %d: its state is still used %d times", nodes[at].cfg.ID, n)
		}
	}
}

// A removal that finds no room on the disk has not happened yet, whatever else was written.
func TestARemovalWaitsForRoomOnTheDisk(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
		if full.Load() && op == vfs.OpWrite && strings.HasSuffix(path, ".wal") {
			return syscall.ENOSPC
		}
		return nil
	})
	h, err := quorate.Open(quorate.Config{Dir: "d", ID: 1, Listen: "127.0.0.1:0", FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	g, err := h.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{{ID: 1, Role: quorate.Voter, Address: h.Addr()}}, StateMachine: &list{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Propose(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	var proposing sync.WaitGroup
	proposing.Go(func() {
		if _, err := g.Propose(t.Context(), []byte("for which there is no room")); !errors.Is(err, quorate.ErrUnknownOutcome) {
			t.Errorf("a command of a group that was removed meanwhile: %v", err)
		}
	})
	until(t, "it waits for room", func() bool { return h.Vitals().DiskFull })
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := h.Remove(short, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("on a full disk: %v", err)
	}
	proposing.Wait()
	full.Store(false)
	if err := h.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	again, err := quorate.Open(quorate.Config{Dir: "d", ID: 1, Listen: "127.0.0.1:0", FS: mem.Crash(vfs.Lost)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	if _, err := again.Start(quorate.GroupConfig{ID: 1, StateMachine: &list{}}); !errors.Is(err, quorate.ErrRemoved) {
		t.Errorf("after a crash it is started again: %v", err)
	}
}
