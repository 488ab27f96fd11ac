package raft_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// world plays one seed: everything that can happen to a group happens at random,
// and after every step the paper's properties must hold.
type world struct {
	*rafttest.Cluster
	t         *testing.T
	rng       *rand.Rand
	leaders   map[raft.Term]raft.NodeID
	committed map[raft.Index]raft.EntryID // what any node has applied, ever
	commands  []raft.EntryID
	proposed  int
}

func TestRandomSchedulesKeepThePapersProperties(t *testing.T) {
	seeds, steps := 200, 3000
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, uint64(seed))
			for range steps {
				w.step()
				w.checkProperties()
			}
			w.converge()
		})
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	return worldOf(t, seed, rand.New(rand.NewPCG(seed, 1)))
}

func worldOf(t *testing.T, seed uint64, rng *rand.Rand) *world {
	cfg := raft.Config{MaxInFlight: 1 + rng.IntN(8), MaxMessageBytes: uint64(1 + rng.IntN(400)), SleepTicks: rng.IntN(4)}
	return &world{
		Cluster: rafttest.New(1+rng.IntN(5), seed, cfg), t: t, rng: rng,
		leaders: map[raft.Term]raft.NodeID{}, committed: map[raft.Index]raft.EntryID{},
	}
}

// step does one thing, mostly moving messages and time.
func (w *world) step() {
	n := w.Nodes[w.rng.IntN(len(w.Nodes))]
	switch k := w.rng.IntN(100); {
	case k < 50 && len(w.Wire) > 0:
		w.deliver(w.rng.IntN(min(len(w.Wire), 4)))
	case k < 54 && len(w.Wire) > 0: // lost
		w.Wire = w.Wire[1:]
	case k < 57 && len(w.Wire) > 0: // twice, and late
		w.Wire = append(w.Wire, w.Wire[w.rng.IntN(len(w.Wire))])
	case n.Core == nil:
		if w.rng.IntN(4) == 0 {
			w.restart(n.ID)
		}
	case k < 70:
		w.Tick(n.ID)
	case k < 80:
		w.propose()
	case k < 85:
		w.Sync(n.ID)
		w.Drain(n.ID)
	case k < 88:
		n.Synced = !n.Synced
	case k < 90:
		w.Crash(n.ID)
	case k < 92:
		_ = w.Compact(n.ID)
	case k < 95:
		w.change()
	case k < 97:
		w.transfer()
	case k < 98:
		w.hush(n)
	default:
		w.SnapshotsFail(n)
	}
}

// restart starts a node, of which the others' drivers know that it has begun anew.
func (w *world) restart(id raft.NodeID) {
	w.Start(id)
	for _, n := range w.Nodes {
		if n.Core != nil {
			n.Core.Silent(id, 0)
			w.Drain(n.ID)
		}
	}
}

// hush lets a node take another for silent, or for alive again: as a driver may that
// hears little.
func (w *world) hush(n *rafttest.Node) {
	other := raft.NodeID(1 + w.rng.IntN(len(w.Nodes)))
	n.Core.Silent(other, 10)
	if w.rng.IntN(2) == 0 {
		n.Core.Alive(other)
	}
	w.Drain(n.ID)
}

// SnapshotsFail reports to a leader that a snapshot was lost, which a host must
// do when it was.
func (w *world) SnapshotsFail(n *rafttest.Node) {
	for _, p := range n.Core.Status().Peers {
		n.Core.SnapshotSent(p.ID, n.Core.Base().Index*raft.Index(w.rng.IntN(2)))
	}
	w.Drain(n.ID)
}

func (w *world) deliver(i int) {
	if err := w.Deliver(i); err != nil {
		w.t.Fatalf("a message of our own was refused: %v", err)
	}
}

func (w *world) propose() {
	l := w.Leader()
	if l == nil {
		return
	}
	w.proposed++
	if id, err := l.Core.Propose(fmt.Append(nil, w.proposed)); err == nil {
		w.commands = append(w.commands, id)
	}
	if w.rng.IntN(3) > 0 {
		w.Drain(l.ID)
	}
}

func (w *world) change() {
	l := w.Leader()
	if l == nil {
		return
	}
	id := raft.NodeID(1 + w.rng.IntN(len(w.Nodes)))
	kind := membership.ChangeKind(1 + w.rng.IntN(3))
	if kind == membership.Add && len(w.Nodes) < 7 && w.rng.IntN(2) == 0 {
		id = w.AddNode(raft.Saved{}).ID
	}
	wish := raft.Reconfiguration{Changes: []membership.Change{{Kind: kind, Member: membership.Member{ID: id}}}}
	for w.rng.IntN(2) == 0 { // several at once, through a joint configuration
		kind, id := membership.ChangeKind(1+w.rng.IntN(5)), raft.NodeID(1+w.rng.IntN(len(w.Nodes)))
		wish.Changes = append(wish.Changes, membership.Change{Kind: kind, Member: membership.Member{ID: id}})
	}
	wish.Joint, wish.Stay = w.rng.IntN(4) == 0, w.rng.IntN(8) == 0
	if _, err := l.Core.Reconfigure(wish); errors.Is(err, membership.ErrJoint) {
		_, _ = l.Core.Leave() // refused if that is not the moment
	}
	w.Drain(l.ID)
}

func (w *world) transfer() {
	if l := w.Leader(); l != nil {
		_ = l.Core.Transfer(raft.NodeID(w.rng.IntN(len(w.Nodes) + 1)))
		w.Drain(l.ID)
	}
}

func (w *world) checkProperties() {
	for _, n := range w.Nodes {
		if n.Core == nil {
			continue
		}
		s := n.Core.Status()
		if s.Role == raft.Leader {
			if other, ok := w.leaders[s.Term]; ok && other != n.ID {
				w.t.Fatalf("Election Safety: %d and %d both lead in term %d", other, n.ID, s.Term)
			}
			w.leaders[s.Term] = n.ID
		}
		for _, e := range n.Applied {
			if was, ok := w.committed[e.Index]; ok && was != e.EntryID {
				w.t.Fatalf("State Machine Safety: node %d applied %v, another %v", n.ID, e.EntryID, was)
			}
			w.committed[e.Index] = e.EntryID
		}
	}
}

// converge stops all faults; the voters in force must then agree on everything.
func (w *world) converge() {
	for _, n := range w.Nodes {
		n.Synced = true
		if n.Core == nil {
			w.restart(n.ID)
		}
		w.Drain(n.ID)
	}
	for _, n := range w.Nodes {
		for _, other := range w.Nodes {
			n.Core.Alive(other.ID)
		}
		w.Drain(n.ID)
	}
	for range 400 {
		for _, n := range w.Nodes {
			w.Tick(n.ID)
			for _, p := range n.Core.Status().Peers {
				n.Core.SnapshotSent(p.ID, 0) // hosts report what was lost
			}
		}
		if err := w.Settle(nil); err != nil {
			w.t.Fatal(err)
		}
		w.checkProperties()
	}
	l := w.Leader()
	if l == nil {
		w.t.Fatal("no leader 400 ticks after the last fault")
	}
	if _, err := l.Core.Propose([]byte("last")); err != nil {
		w.t.Fatal(err)
	}
	w.Drain(l.ID)
	if err := w.Settle(nil); err != nil {
		w.t.Fatal(err)
	}
	want := l.Core.Status()
	for _, m := range want.Config.Members {
		if got := w.Node(m.ID).Core.Status(); got.Applied != want.Last.Index {
			w.t.Errorf("node %d applied %d of %d", m.ID, got.Applied, want.Last.Index)
		}
		if got := w.Node(m.ID).Applied; len(got) == 0 || string(got[len(got)-1].Data) != "last" {
			w.t.Errorf("node %d did not apply the last command", m.ID)
		}
	}
	for i, id := range w.committed {
		if i > want.Base.Index && !w.holds(l, id) {
			w.t.Errorf("Leader Completeness: the last leader lacks %v", id)
		}
	}
}

func (w *world) holds(n *rafttest.Node, id raft.EntryID) bool {
	for _, e := range n.Applied {
		if e.EntryID == id {
			return true
		}
	}
	return false
}
