package explore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/quorum"
)

// past is what has happened and must not be contradicted, whatever the nodes
// themselves still know of it.
type past struct {
	leaders   []raft.NodeID // by term; zero: nobody yet
	committed []commitment  // committed[i] has the index i+1
}

// commitment is a committed entry, and the term in which that was decided.
type commitment struct {
	id raft.EntryID
	in raft.Term
}

// violation is a property that does not hold.
type violation struct{ reason string }

func (v violation) Error() string { return v.reason }

func finding(format string, args ...any) error { return violation{fmt.Sprintf(format, args...)} }

// violated turns an assertion of the core that has failed into a finding.
func violated(err *error) {
	switch v := recover().(type) {
	case nil:
	case raft.Violation:
		*err = finding("%s", v.Reason)
	default:
		panic(v)
	}
}

// observe looks at a core after an input.
func (w *world) observe(n *node) error {
	was := n.seen
	n.seen = n.core.Status()
	if n.seen.Term != was.Term {
		n.round = 0
	}
	if n.seen.Role == raft.Leader {
		if err := w.leads(n); err != nil {
			return err
		}
	}
	if n.seen.Commit > was.Commit {
		return w.commits(n, &was)
	}
	return nil
}

// leads notes the leader of a term. Election Safety: there is one at most.
func (w *world) leads(n *node) error {
	term := int(n.seen.Term)
	if term >= len(w.past.leaders) {
		w.past.leaders = append(w.past.leaders, make([]raft.NodeID, term+1-len(w.past.leaders))...)
	}
	switch w.past.leaders[term] {
	case n.id:
		return nil
	case 0:
		w.past.leaders = slices.Clone(w.past.leaders) // other states share it
		w.past.leaders[term] = n.id
		return w.elected(n)
	default:
		return finding("nodes %d and %d both lead in term %d", w.past.leaders[term], n.id, term)
	}
}

// elected holds a new leader to the definition: a majority has it on disk that they
// voted for it, unless they have gone on to a later term.
func (w *world) elected(n *node) error {
	by := func(voter raft.NodeID) quorum.Ballot {
		v := w.node(voter)
		s := v.disk.State
		if s.Term > n.seen.Term || s.Term == n.seen.Term && s.Vote == n.id ||
			slices.ContainsFunc(v.lost, func(l loss) bool { return l.voted == raft.HardState{Term: n.seen.Term, Vote: n.id} }) {
			return quorum.Granted
		}
		return quorum.Refused
	}
	if n.seen.Config.Quorum().Tally(by) != quorum.Won {
		return finding("node %d leads in term %d without the votes of a majority", n.id, n.seen.Term)
	}
	return nil
}

// commits compares what a node takes for committed with what is. State Machine
// Safety: no two nodes ever take different entries for committed at one index.
func (w *world) commits(n *node, was *raft.Status) error {
	base := n.seen.Base
	if base.Index > was.Base.Index && !w.isCommitted(base) {
		return finding("node %d begins after %v, which was not committed", n.id, base)
	}
	entries := n.core.Entries(max(was.Commit, base.Index), n.seen.Commit, ^uint64(0))
	for i := range entries {
		id := entries[i].EntryID
		switch known := len(w.past.committed); {
		case id.Index <= raft.Index(known):
			if !w.isCommitted(id) {
				return finding("node %d commits %v, and %v was committed there before", n.id, id, w.past.committed[id.Index-1].id)
			}
		case n.seen.Role != raft.Leader && was.Role != raft.Leader:
			return finding("node %d takes %v for committed, which no leader has committed", n.id, id)
		default:
			w.past.committed = append(w.past.committed, commitment{id, was.Term})
		}
	}
	if was.Role == raft.Leader && len(entries) > 0 {
		return w.durable(n, was, entries[len(entries)-1].EntryID)
	}
	return nil
}

func (w *world) isCommitted(id raft.EntryID) bool {
	return id.Index > 0 && id.Index <= raft.Index(len(w.past.committed)) && w.past.committed[id.Index-1].id == id
}

// durable holds a leader to the definition: what it commits is on the disks of a
// majority of those who decided, which were the voters in force before.
func (w *world) durable(n *node, was *raft.Status, id raft.EntryID) error {
	on := func(voter raft.NodeID) quorum.Ballot {
		v := w.node(voter)
		if holds(&v.disk, id) || slices.ContainsFunc(v.lost, func(l loss) bool { return holds(&l.disk, id) }) {
			return quorum.Granted
		}
		return quorum.Refused
	}
	if was.Config.Quorum().Tally(on) != quorum.Won {
		return finding("node %d commits %v, which is not on the disks of a majority", n.id, id)
	}
	return nil
}

// backs holds a node to its word: what it says must not be undone by a crash, and
// must not contradict what it has said before it crashed.
func (n *node) backs(m *raft.Message) error {
	speaksOfNext := m.Kind == raft.PreVote || m.Kind == raft.PreVoteReply && m.Granted
	if !speaksOfNext && n.disk.State.Term < m.Term {
		return finding("node %d says %v in term %d, and its disk is in term %d", n.id, m.Kind, m.Term, n.disk.State.Term)
	}
	switch {
	case m.Kind == raft.RequestVoteReply && m.Granted:
		return n.votes(m.Term, m.To)
	case m.Kind == raft.RequestVote:
		return n.votes(m.Term, n.id)
	case m.Kind == raft.AppendEntriesReply && m.Rejected == raft.EntryID{}, m.Kind == raft.InstallSnapshotReply:
		if !holds(&n.disk, m.Last) {
			return finding("node %d acknowledges %v, which is not on its disk", n.id, m.Last)
		}
	}
	return nil
}

// votes notes a vote that others are told of: one in a term, and never again one
// in an earlier term.
func (n *node) votes(term raft.Term, to raft.NodeID) error {
	vote := raft.HardState{Term: term, Vote: to}
	switch {
	case n.disk.State.Term == term && n.disk.State.Vote != to:
		return finding("node %d votes for %d in term %d, and its disk does not say so", n.id, to, term)
	case term < n.voted.Term, term == n.voted.Term && vote != n.voted:
		return finding("node %d votes for %d in term %d after it voted for %d in term %d", n.id, to, term, n.voted.Vote, n.voted.Term)
	}
	n.voted = vote
	return nil
}

// judge looks at the state that an action about one node has led to.
func (w *world) judge(n *node) error {
	if err := w.inForce(n); err != nil {
		return err
	}
	for _, other := range w.nodes {
		if other.id == n.id {
			other = n
		}
		if err := w.complete(other); err != nil {
			return err
		}
		if other != n {
			if err := match(n, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// inForce holds a node to the latest configuration in its log. Of those in a log
// one at most may be undecided.
func (w *world) inForce(n *node) error {
	latest, open := n.log.Base.ConfigIndex, 0
	for i := range n.log.Entries {
		if e := &n.log.Entries[i]; e.Kind == raft.Membership {
			latest = e.Index
			if !w.isCommitted(e.EntryID) {
				open++
			}
		}
	}
	switch {
	case latest != n.seen.ConfigIndex:
		return finding("node %d goes by the configuration at %d, and its log's latest stands at %d", n.id, n.seen.ConfigIndex, latest)
	case open > 1:
		return finding("node %d has %d changes of membership in its log that are not committed", n.id, open)
	default:
		return nil
	}
}

// complete is Leader Completeness: what was committed in an earlier term is in a
// leader's log.
func (w *world) complete(n *node) error {
	if n.core == nil || n.seen.Role != raft.Leader {
		return nil
	}
	for _, c := range w.past.committed {
		if c.in < n.seen.Term && !holds(&n.log, c.id) {
			return finding("node %d leads in term %d and lacks %v, committed in term %d", n.id, n.seen.Term, c.id, c.in)
		}
	}
	return nil
}

// match is Log Matching: logs that share an entry are the same up to there.
func match(a, b *node) error {
	if a.log.Base.ID.Index > b.log.Base.ID.Index {
		a, b = b, a
	}
	skip := int(b.log.Base.ID.Index - a.log.Base.ID.Index)
	if skip > len(a.log.Entries) {
		return nil
	}
	left, right := a.log.Entries[skip:], b.log.Entries
	for i := min(len(left), len(right)) - 1; i > 0; i-- {
		if left[i].EntryID != right[i].EntryID {
			continue
		}
		for j := range i + 1 {
			if !same(&left[j], &right[j]) {
				return finding("nodes %d and %d both have %v, and differ at %d", a.id, b.id, left[i].EntryID, left[j].Index)
			}
		}
		return nil
	}
	return nil
}

func same(a, b *raft.Entry) bool {
	return a.EntryID == b.EntryID && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) && (a.Config == nil) == (b.Config == nil)
}
