package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// ghost is what a node's disk must hold.
type ghost struct {
	saved   raft.Saved
	before  *raft.Saved              // what saved was before the last write; nil: unknown
	pending []raft.Write             // decided, in order, and not yet said to be durable
	reached map[raft.Term]raft.Index // in each term, how far its durable log has come
	written uint64                   // the last of its node's writes that was about it
	excused bool                     // its disk was damaged on purpose: what it lost is no news
	hurt    bool                     // its log was: if it has lost something, it must know it
	left    *raft.Saved              // what that has left, until its node has started; nil: what saved says
	lost    []raft.Saved             // what it had each time when it did
}

func (j *judge) ghost(id raft.NodeID) *ghost {
	g := j.ghosts[id]
	if g == nil {
		g = &ghost{reached: map[raft.Term]raft.Index{}}
		j.ghosts[id] = g
	}
	return g
}

// Recovered implements quorate.Observer: the disk must hold what was durable, and
// of what was being written a first part (D01 to D05, I8).
func (o *observer) Recovered(id raft.GroupID, saved *raft.Saved, applied raft.Index) {
	n := o.node
	j, r := o.on(id)
	if j == nil {
		return
	}
	g := j.ghost(n.id)
	injured := saved.State.Injured && (g.hurt || g.saved.State.Injured)
	if n.life > 1 && !g.excused && !injured && !g.explains(saved) && !g.begunEarlier(saved) {
		j.fail(n, broken("I8", "the disk of node %d holds term %d, vote %d and the log %v..%v; durable were term %d, vote %d and %v..%v",
			n.id, saved.State.Term, saved.State.Vote, saved.Base.ID, last(saved),
			g.saved.State.Term, g.saved.State.Vote, g.saved.Base.ID, last(&g.saved)))
		return
	}
	switch {
	case g.left != nil && equal(g.left, saved):
		g.written = 0 // what is last in a log that was salvaged says nothing new
	case !equal(&g.saved, saved):
		g.before, g.written = nil, n.writes // it may be what was being written
	}
	g.left = nil
	if saved.State.Injured {
		g.lost = append(g.lost, g.saved)
		j.checker.Forgot(n.id)
		r.applied = 0
	}
	g.saved = raft.Saved{State: saved.State, Base: saved.Base, Entries: append([]raft.Entry{}, saved.Entries...)}
	g.pending = nil
	r.begin(saved.Base, saved.Entries)
	r.budget = recovered(saved)
	j.checker.Restarted(n.id)
	j.fail(n, j.checker.Saw(check.Observation{
		Node: n.id, Term: saved.State.Term, Vote: saved.State.Vote, Log: logOf(saved.Base.ID, saved.Entries),
	}))
	if id, ok := find(saved, applied); ok {
		j.fail(n, j.checker.Restored(n.id, id))
		r.applied = id.Index
	}
}

// begins is told that a host may write the beginning of the group before it says
// what it has found.
func (j *judge) begins(n *node, members []membership.Member) error {
	g := j.ghost(n.id)
	if g.saved.Base.ID != (raft.EntryID{}) {
		return nil
	}
	first, err := raft.Bootstrap(membership.New(members...))
	if err == nil {
		g.pending = append(g.pending, raft.Write{State: first.State, Base: &first.Base})
	}
	return err
}

func last(s *raft.Saved) raft.EntryID {
	if n := len(s.Entries); n > 0 {
		return s.Entries[n-1].EntryID
	}
	return s.Base.ID
}

// find returns the entry at an index of what a disk held.
func find(s *raft.Saved, at raft.Index) (raft.EntryID, bool) {
	switch {
	case at == 0 || at < s.Base.ID.Index || at > last(s).Index:
		return raft.EntryID{}, false
	case at == s.Base.ID.Index:
		return s.Base.ID, true
	}
	return s.Entries[at-s.Base.ID.Index-1].EntryID, true
}

func logOf(prev raft.EntryID, entries []raft.Entry) *check.Log {
	l := &check.Log{Prev: prev, Entries: make([]check.Entry, len(entries))}
	for i := range entries {
		l.Entries[i] = check.Of(&entries[i])
	}
	return l
}

// flipped looks at what a log still gives of the group after a bit of it has
// flipped: all of it, or all but what was in the last frame, which nobody can tell
// from one that was never finished (D04). A log that is still to be salvaged, or whose
// groups have not begun again, may hold either.
func (j *judge) flipped(n *node, all map[raft.GroupID]*raft.Saved) error {
	g, saved := j.ghost(n.id), given(all, j.group)
	unfinished := g.written == n.writes && (g.before == nil || equal(g.before, saved))
	if g.excused || g.left != nil || unfinished || g.explains(saved) {
		return nil
	}
	return broken("D04", "a bit has flipped on the disk of node %d, and its log opens as if nothing were wrong, with %v..%v of group %d; durable were %v..%v",
		n.id, saved.Base.ID, last(saved), j.group, g.saved.Base.ID, last(&g.saved))
}

// given returns what a log gives of a group. One that it does not know begins
// injured if the log is marked as one that may have lost all of it.
func given(all map[raft.GroupID]*raft.Saved, id raft.GroupID) *raft.Saved {
	if saved := all[id]; saved != nil {
		return saved
	}
	return &raft.Saved{State: raft.HardState{Injured: all[0] != nil}}
}

// begunEarlier reports whether a damaged log is whole but for the word that its beginning
// could go: nobody needs that.
func (g *ghost) begunEarlier(saved *raft.Saved) bool {
	again := raft.Saved{State: saved.State, Base: saved.Base, Entries: slices.Clone(saved.Entries)}
	return g.hurt && saved.Base.ID.Index < g.saved.Base.ID.Index && saved.Holds(g.saved.Base.ID) &&
		again.Add(raft.Write{Base: &g.saved.Base}) == nil && g.explains(&again)
}

// explains reports whether a disk may hold this.
func (g *ghost) explains(saved *raft.Saved) bool {
	could := raft.Saved{State: g.saved.State, Base: g.saved.Base, Entries: append([]raft.Entry{}, g.saved.Entries...)}
	for i := 0; ; i++ {
		if equal(&could, saved) {
			return true
		}
		if i == len(g.pending) || could.Add(g.pending[i]) != nil {
			return false
		}
	}
}

func equal(a, b *raft.Saved) bool {
	if a.State != b.State || a.Base.ID != b.Base.ID || len(a.Entries) != len(b.Entries) {
		return false
	}
	for i := range a.Entries {
		if a.Entries[i].EntryID != b.Entries[i].EntryID || !bytes.Equal(a.Entries[i].Data, b.Entries[i].Data) {
			return false
		}
	}
	return true
}

// Durable implements quorate.Observer.
func (o *observer) Durable(records []codec.Record) {
	writes := o.node.writes + 1
	for i := range records {
		j, _ := o.on(records[i].Group)
		if j == nil {
			return
		}
		g, w := j.ghost(o.node.id), &records[i].Write
		if !slices.ContainsFunc(records[:i], func(r codec.Record) bool { return r.Group == records[i].Group }) {
			if g.left != nil { // it begins anew, or with a snapshot
				g.lost = append(g.lost, g.saved)
				g.saved, g.pending, g.left = *g.left, nil, nil
			}
			before := g.saved
			g.before, g.written = &before, writes
			o.node.writes = writes
		}
		if len(w.Append.Entries) > 0 && w.Append.Prev.Index < last(&g.saved).Index {
			g.saved.Entries = slices.Clone(g.saved.Entries) // before keeps what is replaced
		}
		if len(g.pending) > 0 {
			g.pending = g.pending[1:]
		}
		if err := g.saved.Add(*w); err != nil {
			j.fail(o.node, broken("I8", "node %d wrote what does not follow what it had written: %v", o.node.id, err))
		}
		term := g.saved.State.Term
		g.reached[term] = max(g.reached[term], last(&g.saved).Index)
	}
}

// behind sees to it that a state machine stays behind its node's log, as the disk
// has it: after a crash it would hold what the log has lost (I13).
func (j *judge) behind(n *node, r *replica, does string) {
	if durable := last(&j.ghost(n.id).saved).Index; r.applied > durable {
		j.fail(n, broken("I13", "the state machine of node %d %s %d, and the log on its disk ends at %d", n.id, does, r.applied, durable))
	}
}

// sent looks at a message at the moment at which it leaves (I9): what it promises
// or claims must be durable.
func (j *judge) sent(n *node, e *codec.Envelope) {
	m := &e.Message
	j.fail(n, j.checker.Sent(m))
	g := j.ghost(n.id)
	switch m.Kind {
	case raft.RequestVote:
		if !g.voted(m.Term, m.From) {
			j.early(n, m, "its own vote")
		}
	case raft.RequestVoteReply:
		if m.Granted && !g.voted(m.Term, m.To) {
			j.early(n, m, "the vote")
		}
	case raft.AppendEntriesReply:
		// A promise of an earlier term, which the write that made it durable has itself
		// overtaken, is like a message that was long under way.
		overtaken := g.saved.State.Term > m.Term && m.Last.Index <= g.reached[m.Term]
		if m.Rejected == (raft.EntryID{}) && m.Last.Index > last(&g.saved).Index && !overtaken {
			j.early(n, m, fmt.Sprintf("entry %v", m.Last))
		}
	case raft.InstallSnapshotReply:
		if m.Last.Index > last(&g.saved).Index {
			j.early(n, m, fmt.Sprintf("the snapshot up to %v", m.Last))
		}
	}
}

// voted reports whether the disk keeps its node from voting for anybody else in
// this term.
func (g *ghost) voted(term raft.Term, whom raft.NodeID) bool {
	s := &g.saved.State
	return s.Term > term || s.Term == term && s.Vote == whom
}

func (j *judge) early(n *node, m *raft.Message, what string) {
	g := j.ghost(n.id)
	j.fail(n, broken("I9", "node %d sent %v of term %d to node %d before %s was durable: its disk has term %d, vote %d, log up to %v",
		n.id, m.Kind, m.Term, m.To, what, g.saved.State.Term, g.saved.State.Vote, last(&g.saved)))
}
