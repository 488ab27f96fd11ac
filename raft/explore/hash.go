package explore

import (
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// renaming gives the node i+1 the name renaming[i]. States that a renaming turns
// into each other behave alike, so that only one of them needs to be looked at,
// as long as the names mean nothing: a renaming must leave the first state as it
// is. (A leader that removes itself prefers, of two equal successors, the lower
// name; of such a pair of states one way is tried.)
type renaming []raft.NodeID

func (r renaming) name(id raft.NodeID) uint64 {
	if id == 0 || int(id) > len(r) {
		return uint64(id)
	}
	return uint64(r[id-1])
}

func identity(n int) renaming {
	r := make(renaming, n)
	for i := range r {
		r[i] = raft.NodeID(i + 1)
	}
	return r
}

// maxRenamed keeps the number of renamings small; those that leave the other
// nodes alone are still a group, which is what merging by the least needs.
const maxRenamed = 4

// symmetries returns the renamings under which a first state is the same, the
// identity before all others.
func symmetries(w *world) []renaming {
	all := []renaming{identity(len(w.nodes))}
	permute(all[0], min(maxRenamed, len(w.nodes)), func(r renaming) {
		if !slices.Equal(r, all[0]) {
			all = append(all, slices.Clone(r))
		}
	})
	w.renamings = all
	for _, n := range w.nodes {
		n.hashes = nil
	}
	for i, p := range w.wire {
		w.wire[i] = w.pack(p.Message)
	}
	var kept []renaming
	for i, r := range all {
		if w.sum(i) == w.sum(0) {
			kept = append(kept, r)
		}
	}
	for _, n := range w.nodes {
		n.hashes = nil
	}
	return kept
}

// permute calls do with every order of the first n names.
func permute(r renaming, n int, do func(renaming)) {
	if n <= 1 {
		do(r)
		return
	}
	for i := range n {
		p := slices.Clone(r)
		p[i], p[n-1] = p[n-1], p[i]
		permute(p, n-1, do)
	}
}

// hash is the same for states that differ only in the names of nodes.
func (w *world) hash() uint64 {
	least := w.sum(0)
	for i := 1; i < len(w.renamings); i++ {
		least = min(least, w.sum(i))
	}
	return max(least, 1) // zero means an empty slot in set
}

// sum is the hash of the state under one renaming. Nodes and messages are sets:
// their hashes are added.
func (w *world) sum(i int) uint64 {
	r := w.renamings[i]
	var sum uint64
	for _, n := range w.nodes {
		if n.hashes == nil {
			n.hashes = w.hashNode(n)
		}
		sum += n.hashes[i]
	}
	for _, p := range w.wire {
		sum += p.hashes[i]
	}
	h := mixed(sum)
	for k, times := range w.spent {
		h.add(uint64(k)<<8 | uint64(times))
	}
	for _, id := range w.past.leaders {
		h.add(r.name(id))
	}
	for _, c := range w.past.committed {
		h.add(uint64(c.id.Term)<<32 | uint64(c.in))
	}
	return uint64(h)
}

// mixed is a hash that words are added to.
type mixed uint64

// add mixes with the finisher of MurmurHash3.
func (h *mixed) add(words ...uint64) {
	for _, w := range words {
		z := uint64(*h)*0x9e3779b97f4a7c15 + w
		z = (z ^ z>>33) * 0xff51afd7ed558ccd
		z = (z ^ z>>33) * 0xc4ceb9fe1a85ec53
		*h = mixed(z ^ z>>33)
	}
}

func (h *mixed) id(id raft.EntryID) { h.add(uint64(id.Term), uint64(id.Index)) }

func (h *mixed) config(c *membership.Config, r renaming) {
	var sum uint64
	for _, m := range c.Members {
		of := mixed(1)
		of.add(r.name(m.ID), uint64(m.Role), uint64(m.Old))
		sum += uint64(of)
	}
	h.add(sum)
	if c.Stay {
		h.add(1)
	}
}

func (h *mixed) span(s raft.Span, r renaming) {
	h.id(s.Prev)
	for i := range s.Entries {
		e := &s.Entries[i]
		h.add(uint64(e.Term), uint64(e.Kind), uint64(len(e.Data)))
		for _, b := range e.Data {
			h.add(uint64(b))
		}
		if e.Config != nil {
			h.config(e.Config, r)
		}
	}
}

func (w *world) hashNode(n *node) []uint64 {
	hashes := make([]uint64, len(w.renamings))
	for i, r := range w.renamings {
		h := mixed(n.core.HashAs(func(id raft.NodeID) raft.NodeID { return raft.NodeID(r.name(id)) }))
		h.add(r.name(n.id), uint64(n.taken), uint64(n.voted.Term), r.name(n.voted.Vote))
		h.config(&n.seen.Config, r) // for Stay, which the core's own hash leaves out
		d := &n.disk
		h.add(uint64(d.State.Term), r.name(d.State.Vote), uint64(d.State.Commit))
		h.id(d.Base.ID)
		if len(n.queue) > 0 { // otherwise the disk has what the core has
			h.config(&d.Base.Config, r)
			h.span(raft.Span{Prev: d.Base.ID, Entries: d.Entries}, r)
		}
		for _, q := range n.queue {
			h.add(w.hashQueued(q)[i])
		}
		if w.setup.Budget[Read]+w.setup.Budget[Lose] > 0 {
			h.add(n.starts, n.round)
		}
		for k := range n.lost {
			l := &n.lost[k]
			h.add(uint64(l.voted.Term), r.name(l.voted.Vote))
			h.span(raft.Span{Prev: l.disk.Base.ID, Entries: l.disk.Entries}, r)
		}
		for _, q := range n.asked {
			h.add(q.token, uint64(q.least))
		}
		hashes[i] = uint64(h)
	}
	return hashes
}

// hashQueued is asked by one goroutine at a time: whoever makes a state is the
// only one to branch from it.
func (w *world) hashQueued(q *queued) []uint64 {
	if q.hashes != nil {
		return q.hashes
	}
	q.hashes = make([]uint64, len(w.renamings))
	for i, r := range w.renamings {
		h := mixed(q.apply)
		h.add(uint64(q.write.State.Term), r.name(q.write.State.Vote), uint64(q.write.State.Commit))
		if q.write.Base != nil {
			h.id(q.write.Base.ID)
		}
		h.span(q.write.Append, r)
		var after uint64
		for _, p := range q.after { // the wire has no order
			after += p.hashes[i]
		}
		h.add(after)
		q.hashes[i] = uint64(h)
	}
	return q.hashes
}

// pack makes a packet of a message, with its hashes.
func (w *world) pack(m raft.Message) *packet {
	p := &packet{m, make([]uint64, len(w.renamings))}
	round := m.Round
	if w.setup.Budget[Read] == 0 && !w.config.Lease {
		round = min(round, 1) // nobody counts rounds, only whether an answer is wanted
	}
	var flags uint64
	if m.Granted {
		flags |= 1
	}
	if m.Transfer {
		flags |= 2
	}
	if m.Sleep {
		flags |= 4
	}
	for i, r := range w.renamings {
		h := mixed(uint64(m.Kind)<<8 | flags)
		h.add(r.name(m.From), r.name(m.To), uint64(m.Term), uint64(m.Commit), round, m.Injured)
		h.id(m.Last)
		h.id(m.Rejected)
		h.span(m.Span, r)
		if m.Snapshot != nil {
			h.id(m.Snapshot.ID)
			h.config(&m.Snapshot.Config, r)
			h.add(uint64(m.Snapshot.ConfigIndex))
		}
		p.hashes[i] = uint64(h)
	}
	return p
}
