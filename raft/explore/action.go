package explore

import (
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/progress"
)

// Kind is a kind of thing that may happen.
type Kind uint8

// What may happen. A message arrives, is lost, or arrives and stays on the wire.
// Time passes for a node; its timer runs out; its oldest write is durable; it
// crashes and starts, or crashes and starts from a disk that has lost all but what it
// began with, and knows that it has lost something. A client of a leader proposes or reads; an administrator
// asks for one of the Setup's changes, hands over, compacts. A host reports that
// messages to another node were lost, that a snapshot was not taken, or, of a node
// that is asleep, that the leader's node has fallen silent.
const (
	Deliver Kind = iota
	Drop
	Duplicate
	Tick
	Campaign
	Sync
	Restart
	Propose
	Change
	Transfer
	Compact
	Read
	Unreachable
	SnapshotFailed
	Silence
	Lose
	kinds
)

// In a script's words, as far as it has one for it.
var words = [kinds]string{
	"deliver", "drop", "dup", "tick", "campaign", "sync", "restart",
	"propose", "change", "transfer", "compact", "read", "unreachable", "snapshot", "silent", "lose",
}

func (k Kind) String() string { return words[k] }

// Budget says how often each kind may happen on the way to a state. Deliver and
// Sync may always.
type Budget [kinds]uint8

// action is one thing that happens. The argument is a place on the wire, a node
// or one of the Setup's changes.
type action struct {
	kind Kind
	node raft.NodeID
	arg  uint64
}

// code is an action in four bytes.
type code uint32

func (a action) code() code { return code(a.kind)<<16 | code(a.node)<<8 | code(a.arg) }

func (c code) action() action {
	return action{kind: Kind(c >> 16), node: raft.NodeID(c >> 8 & 0xff), arg: uint64(c & 0xff)}
}

// next returns the state that an action leads to, or what is wrong with it.
func (w *world) next(a action) (after *world, err error) {
	defer violated(&err)
	after = w.branch()
	if a.kind != Deliver && a.kind != Sync {
		after.spent[a.kind]++
	}
	return after, after.perform(a)
}

// actions appends what may happen in this state.
func (w *world) actions(to []action) []action {
	if w.beyond() {
		return to
	}
	for i, p := range w.wire {
		for kind := Deliver; kind <= Duplicate; kind++ {
			to = w.maybe(to, action{kind, p.To, uint64(i)})
		}
	}
	for _, n := range w.nodes {
		if len(n.queue) > 0 {
			to = append(to, action{kind: Sync, node: n.id})
		}
		to = w.maybe(to, action{kind: Tick, node: n.id})
		to = w.maybe(to, action{kind: Restart, node: n.id})
		to = w.maybe(to, action{kind: Lose, node: n.id})
		if n.seen.Role == raft.Leader {
			to = w.leaderActions(to, n)
		} else {
			to = w.maybe(to, action{kind: Campaign, node: n.id})
		}
		if n.seen.Asleep && n.seen.Role != raft.Leader {
			to = w.maybe(to, action{Silence, n.id, uint64(n.seen.Leader)})
		}
		if n.seen.Leader != 0 {
			to = w.maybe(to, action{kind: Read, node: n.id})
		}
		if n.seen.Applied > n.seen.Base.Index {
			to = w.maybe(to, action{kind: Compact, node: n.id})
		}
	}
	return to
}

func (w *world) leaderActions(to []action, n *node) []action {
	to = w.maybe(to, action{kind: Propose, node: n.id})
	for i := range w.setup.Changes {
		to = w.maybe(to, action{Change, n.id, uint64(i)})
	}
	for i := range n.seen.Peers {
		p := &n.seen.Peers[i]
		to = w.maybe(to, action{Transfer, n.id, uint64(p.ID)})
		switch p.State {
		case progress.Replicate:
			to = w.maybe(to, action{Unreachable, n.id, uint64(p.ID)})
		case progress.Snapshot:
			to = w.maybe(to, action{SnapshotFailed, n.id, uint64(p.ID)})
		}
	}
	return to
}

// maybe appends an action if there is a budget for it.
func (w *world) maybe(to []action, a action) []action {
	if a.kind != Deliver && w.spent[a.kind] >= w.setup.Budget[a.kind] {
		return to
	}
	return append(to, a)
}

// beyond reports whether the state is past one of the setup's limits: it is
// looked at, and not gone on from.
func (w *world) beyond() bool {
	if len(w.wire) > w.setup.Wire {
		return true
	}
	for _, n := range w.nodes {
		if n.seen.Term > w.setup.Term || n.seen.Last.Index > w.setup.Last {
			return true
		}
	}
	return false
}
