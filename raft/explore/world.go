package explore

import (
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// world is one state: the nodes, what is on the wire, and what has happened so
// far as far as it matters. It never changes: next makes another, which shares
// with it all but the one node that the action was about.
type world struct {
	*frame
	nodes []*node   // nodes[i] has the ID i+1
	wire  []*packet // no two with the same hash, in the order in which they were sent
	spent Budget
	past  past
}

// frame is what all states of a search have in common.
type frame struct {
	setup     *Setup
	config    raft.Config
	renamings []renaming
	held      bool // writes wait for Sync
}

// node is one member: its core, its disk, and what lies between the two.
type node struct {
	id    raft.NodeID
	core  *raft.Raft
	seen  raft.Status // the core's, after its last input
	disk  raft.Saved  // what a crash leaves
	log   raft.Saved  // the disk's once all of queue is written: the core's own log
	queue []*queued
	taken raft.Index // entries up to here were taken from the core to be applied

	starts uint64
	voted  raft.HardState // the last vote that anybody was told of, since its disk lost what it had
	lost   []loss         // one for each time
	asked  []question     // reads without an answer
	round  uint64         // the last round of heartbeats sent as a leader of seen.Term

	hashes []uint64 // one for each renaming; nil until somebody asks
}

// loss is what a node has forgotten, and others may rest upon.
type loss struct {
	voted raft.HardState // the last vote that anybody had been told of
	disk  raft.Saved
}

// queued is one Take on its way to the disk.
type queued struct {
	write raft.Write
	id    uint64
	after []*packet
	apply raft.Index // committed entries up to here are applied then; zero: none

	hashes []uint64
}

// packet is a message on the wire.
type packet struct {
	raft.Message
	hashes []uint64
}

// question is a read, and what its answer must not be older than.
type question struct {
	token uint64
	least raft.Index
}

// begin returns the state that a setup begins with, or what is wrong with it.
func begin(setup *Setup) (w *world, err error) {
	defer violated(&err)
	f := &frame{setup: setup, config: setup.Config, renamings: []renaming{identity(setup.nodes())}}
	f.config.ElectionTicks, f.config.ElectionSpread, f.config.HeartbeatTicks = electionTicks, -1, 1
	w = &world{frame: f, past: past{committed: []commitment{{raft.BootstrapID, 1}}}}
	for _, id := range setup.Committed {
		w.past.committed = append(w.past.committed, commitment{id, id.Term})
	}
	for i := range setup.nodes() {
		saved, err := setup.disk(i)
		if err != nil {
			return nil, err
		}
		n := &node{id: raft.NodeID(i + 1), disk: saved, log: saved}
		w.nodes = append(w.nodes, n)
		if err := w.start(n); err != nil {
			return nil, err
		}
	}
	for _, e := range setup.Elected {
		if err := w.elect(e); err != nil {
			return nil, err
		}
	}
	for range setup.Rest {
		for _, n := range w.nodes {
			n.core.Tick()
			if err := w.settled(n); err != nil {
				return nil, err
			}
		}
		if err := w.deliverAll(0); err != nil {
			return nil, err
		}
	}
	f.held = setup.Held
	f.renamings = symmetries(w)
	return w, nil
}

// elect lets an election happen that a setup begins with.
func (w *world) elect(e Election) error {
	for _, n := range w.nodes {
		if n.id != e.Away && n.seen.Leader == e.Away {
			n.core.Forget(e.Away)
		}
	}
	n := w.node(e.Leader)
	n.core.Campaign()
	if err := w.settled(n); err != nil {
		return err
	}
	if err := w.deliverAll(e.Away); err != nil {
		return err
	}
	if n.seen.Role != raft.Leader {
		return finding("node %d campaigns in peace and is not elected", n.id)
	}
	return nil
}

// deliverAll delivers in order whatever is on the wire and comes onto it, except to
// the node that is away.
func (w *world) deliverAll(away raft.NodeID) error {
	for delivered := 0; len(w.wire) > 0 && delivered < 1000; delivered++ {
		p := w.wire[0]
		w.wire = w.wire[1:]
		if p.To == away {
			continue
		}
		to := w.node(p.To)
		if err := to.core.Step(p.Message); err != nil {
			return err
		}
		if err := w.settled(to); err != nil {
			return err
		}
	}
	return nil
}

// start makes a core from what the disk holds.
func (w *world) start(n *node) error {
	cfg := w.config
	cfg.ID, cfg.Seed = n.id, 1
	if w.setup.Budget[Read]+w.setup.Budget[Lose] > 0 {
		cfg.Seed += n.starts // the names of reads, and of starts, must differ from start to start
	}
	n.starts++
	core, err := raft.New(cfg, raft.Saved{State: n.disk.State, Base: n.disk.Base, Entries: slices.Clip(n.disk.Entries)})
	if err != nil {
		return err
	}
	n.core, n.log, n.queue, n.asked = core, n.disk, nil, nil
	n.seen, n.taken, n.round = core.Status(), n.disk.Base.ID.Index, 0
	return w.settled(n)
}

// lose makes a core from the disk that the node began with, which is all that is left
// of it. It may vote again in terms in which nobody whom it voted for can be elected.
func (w *world) lose(n *node) error {
	first, err := w.setup.disk(int(n.id) - 1)
	if err != nil {
		return err
	}
	n.lost = append(slices.Clip(n.lost), loss{n.voted, n.disk})
	n.voted = raft.HardState{}
	n.disk = first
	n.disk.State.Injured = true
	return w.start(n)
}

func (w *world) node(id raft.NodeID) *node { return w.nodes[id-1] }

// branch returns a state that may be changed, but for its nodes.
func (w *world) branch() *world {
	b := *w
	b.nodes, b.wire = slices.Clone(w.nodes), slices.Clone(w.wire)
	b.past = past{slices.Clip(w.past.leaders), slices.Clip(w.past.committed)}
	return &b
}

// own returns a node that may be changed.
func (w *world) own(id raft.NodeID) *node {
	n := *w.node(id)
	n.core = n.core.Clone()
	n.queue, n.asked, n.hashes = slices.Clip(n.queue), slices.Clone(n.asked), nil
	w.nodes[id-1] = &n
	return &n
}

// holds reports whether a log has this entry, or had it before a snapshot took
// its place.
func holds(s *raft.Saved, id raft.EntryID) bool {
	switch base := s.Base.ID; {
	case id.Index < base.Index:
		return true
	case id.Index == base.Index:
		return id == base
	default:
		n := id.Index - base.Index
		return n <= raft.Index(len(s.Entries)) && s.Entries[n-1].EntryID == id
	}
}

// end is the last entry of a log.
func end(s *raft.Saved) raft.EntryID {
	return raft.Span{Prev: s.Base.ID, Entries: s.Entries}.Last()
}

// added is a disk after one more write. The old one keeps its entries.
func added(s raft.Saved, w raft.Write) (raft.Saved, error) {
	s.Entries = slices.Clone(s.Entries)
	err := s.Add(w)
	return s, err
}

// first returns what the first members of a group begin with.
func first(voters int) (raft.Saved, error) {
	var members []membership.Member
	for i := range voters {
		members = append(members, membership.Member{ID: raft.NodeID(i + 1), Role: membership.Voter})
	}
	return raft.Bootstrap(membership.New(members...))
}
