package quorate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// staging is a disk that takes snapshots in beside its state.
type staging struct {
	disk
	read     atomic.Int64 // bytes by Stage
	ended    atomic.Int64 // calls of it
	mu       sync.Mutex
	staged   map[raft.Index][]byte
	fails    error // of Adopt
	adopted  int
	restored int
}

func (s *staging) Stage(at raft.Index, r io.Reader) error {
	defer s.ended.Add(1)
	s.read.Store(0)
	var data bytes.Buffer
	if _, err := io.Copy(&data, countedReader{r, &s.read}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged[at] = data.Bytes()
	return nil
}

type countedReader struct {
	from io.Reader
	n    *atomic.Int64
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.n.Add(int64(n))
	return n, err
}

func (s *staging) Adopt(at raft.Index) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.staged[at]
	if s.fails != nil || !ok {
		return false, s.fails
	}
	delete(s.staged, at)
	s.adopted++
	return true, s.disk.Restore(bytes.NewReader(data))
}

func (s *staging) Unstage(upTo raft.Index) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.staged {
		if at <= upTo {
			delete(s.staged, at)
		}
	}
	return nil
}

func (s *staging) Restore(r io.Reader) error {
	s.restored++
	return s.disk.Restore(r)
}

func (s *staging) begin(t *testing.T, node *testNode, as quorate.StateMachine) {
	t.Helper()
	group, err := node.host.Start(quorate.GroupConfig{ID: 1, StateMachine: as})
	if err != nil {
		t.Fatal(err)
	}
	node.group, node.list = group, &s.list
}

const stagingCount, stagingSize = 500, 4096

// newcomer is a node that has just been added to a group of one, whose log no longer goes
// back to the beginning.
func newcomer(t *testing.T, net *fragile, s *staging, as quorate.StateMachine) (c *cluster, leader, node *testNode) {
	c = &cluster{t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		for _, node := range c.nodes {
			c.stop(node)
		}
	})
	leader = c.add(func(cfg *quorate.Config) { cfg.SnapshotEntries, cfg.Network = 50, net })
	member := quorate.Member{ID: 1, Role: quorate.Voter, Address: leader.host.Addr()}
	c.beginOn(leader, &disk{}, []quorate.Member{member})
	for i := range stagingCount {
		c.propose(leader, fmt.Sprintf("%d%s", i, strings.Repeat("x", stagingSize))[:stagingSize])
	}
	until(t, "the log is compacted", func() bool { return leader.group.Status().Base.Index > 100 })
	node = c.add(func(cfg *quorate.Config) { cfg.Peers = []quorate.Member{member} })
	net.aim(node)
	net.read = s.read.Load
	s.staged = map[raft.Index][]byte{}
	s.begin(t, node, as)
	learner := membership.Change{Kind: membership.Add, Member: quorate.Member{ID: 2, Address: node.host.Addr()}}
	if err := leader.group.Change(t.Context(), learner); err != nil {
		t.Fatal(err)
	}
	return c, leader, node
}

// A snapshot is staged while it arrives, also one that breaks off, and is never stored as a
// file. It goes on as long as the receiver runs.
func TestASnapshotThatIsStagedGoesOn(t *testing.T) {
	for name, restart := range map[string]bool{"the connection broke": false, "the receiver was stopped": true} {
		t.Run(name, func(t *testing.T) {
			net, s := &fragile{passes: 1 << 20}, &staging{}
			c, leader, node := newcomer(t, net, s, s)
			until(t, "half of a snapshot is there", func() bool { return len(net.all()) == 1 && net.all()[0].broke.Load() })
			if restart {
				c.stop(node)
				c.open(node)
				s.begin(t, node, s)
			}
			c.propose(leader, "meanwhile")
			net.mend()
			if got := c.read(node); len(got) != stagingCount+1 || got[stagingCount] != "meanwhile" {
				t.Fatalf("after the snapshot the node has %d commands", len(got))
			}
			all, streams, whole := net.all(), 2, int64(8+8+stagingCount*(4+stagingSize))
			if restart { // the second one learns that nothing is held, and the third brings what there is by then
				streams, whole = 3, whole+int64(4+len("meanwhile"))
			}
			if len(all) != streams {
				t.Fatalf("there were %d streams", len(all))
			}
			held, sent := all[streams-1].held.Load(), all[streams-1].sent.Load()
			if restart != (held == 0) || !restart && held < net.passes/4 || held+sent != whole {
				t.Errorf("%d bytes were there, and %d were sent after them", held, sent)
			}
			left, err := filepath.Glob(filepath.Join(node.cfg.Dir, "snap", "1", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("files are left: %q, %v", left, err)
			}
			if s.adopted != 1 || s.restored != 0 || len(s.staged) != 0 {
				t.Errorf("%d adopted, %d restored, %d are staged still", s.adopted, s.restored, len(s.staged))
			}
		})
	}
}

// Whoever dies when the log begins with the snapshot, and the state is still the old one,
// adopts it at the next start.
func TestAStagedSnapshotIsAdoptedAtTheNextStart(t *testing.T) {
	net, s := &fragile{passes: 1 << 30}, &staging{fails: errors.New("not now")}
	c, _, node := newcomer(t, net, s, s)
	<-node.group.Stopped()
	if err := node.group.Status().Err; !errors.Is(err, s.fails) {
		t.Fatalf("the group has stopped: %v", err)
	}
	c.stop(node)
	s.fails = nil
	c.open(node)
	s.begin(t, node, s)
	if s.adopted != 1 || s.restored != 0 {
		t.Errorf("at its start: %d adopted, %d restored", s.adopted, s.restored)
	}
	if got := c.read(node); len(got) != stagingCount {
		t.Errorf("the node has %d commands", len(got))
	}
	if len(net.all()) != 1 {
		t.Errorf("there were %d streams", len(net.all()))
	}
}

// What a life before has staged and not adopted goes once the log has come as far by
// itself, at a compaction or a start; what is staged of later states stays.
func TestWhatWasStagedAndNotAdoptedGoes(t *testing.T) {
	const early, late = 3, 1 << 40
	c, s := &cluster{t: t, dir: t.TempDir()}, &staging{staged: map[raft.Index][]byte{early: nil, late: nil}}
	node := c.add(func(cfg *quorate.Config) { cfg.SnapshotEntries = 10 })
	t.Cleanup(func() { c.stop(node) })
	member := quorate.Member{ID: 1, Role: quorate.Voter, Address: node.host.Addr()}
	group, err := node.host.Start(quorate.GroupConfig{ID: 1, Members: []quorate.Member{member}, StateMachine: s})
	if err != nil {
		t.Fatal(err)
	}
	node.group, node.list = group, &s.list
	gone := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, left := s.staged[early]
		return !left
	}
	for i := range 30 {
		c.propose(node, fmt.Sprint(i))
	}
	until(t, "a compaction lets go of it", gone)
	c.stop(node)
	s.staged[early] = nil
	c.open(node)
	s.begin(t, node, s)
	until(t, "a start lets go of it", gone)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, kept := s.staged[late]; !kept {
		t.Error("what is staged of a later state is gone")
	}
}

// impatient stages only the beginning of what it is given.
type impatient struct{ *staging }

func (s impatient) Stage(at raft.Index, r io.Reader) error {
	return s.staging.Stage(at, io.LimitReader(r, 100))
}

// A state machine that does not read its snapshot to the end has not taken it in.
func TestAnImpatientStateMachineIsNotBelieved(t *testing.T) {
	net, s := &fragile{passes: 1 << 30}, &staging{fails: errors.New("it is adopted")}
	net.mend()
	_, _, node := newcomer(t, net, s, impatient{s})
	until(t, "it is tried again", func() bool { return len(net.all()) > 2 })
	if err := node.group.Status().Err; err != nil {
		t.Errorf("the group has stopped: %v", err)
	}
}

// What waits for the rest of a snapshot ends with its group, which then can be removed; and
// nothing reads on into a state machine that its owner has back.
func TestARemovedGroupStagesNothingMore(t *testing.T) {
	net, s := &fragile{passes: 1 << 20}, &staging{}
	_, _, node := newcomer(t, net, s, s)
	until(t, "half of a snapshot is there", func() bool { return len(net.all()) == 1 && net.all()[0].broke.Load() })
	if s.ended.Load() != 0 {
		t.Fatal("it did not wait for the rest")
	}
	if err := node.host.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if s.ended.Load() != 1 || len(s.staged) != 0 {
		t.Errorf("after the group: %d of one have ended, %d are staged", s.ended.Load(), len(s.staged))
	}
}
