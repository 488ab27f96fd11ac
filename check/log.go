package check

import "github.com/quorate-db/quorate/raft"

// origin is where an entry was first seen: what it followed, and in whose log.
type origin struct {
	prev raft.EntryID
	sum  uint64
	node raft.NodeID
}

// at returns the entry at an index of the node's log.
func (n *node) at(i raft.Index) (Entry, bool) {
	switch {
	case i == n.base.Index:
		return n.base, true
	case i < n.base.Index || i > n.last().Index:
		return Entry{}, false
	}
	return n.log[i-n.base.Index-1], true
}

func (n *node) last() Entry {
	if len(n.log) == 0 {
		return n.base
	}
	return n.log[len(n.log)-1]
}

// replace puts a run of entries into the node's log. A leader that stays may
// only have appended.
func (c *Checker) replace(n *node, l *Log, leading bool) error {
	if err := c.match(n.Node, l); err != nil {
		return err
	}
	if leading {
		if err := n.appended(l); err != nil {
			return err
		}
	}
	have, known := n.at(l.Prev.Index)
	if !known || have.EntryID != l.Prev {
		n.base, n.log = Entry{EntryID: l.Prev}, n.log[:0]
	}
	keep := l.Prev.Index - n.base.Index
	n.log = append(n.log[:keep], l.Entries...)
	n.checked = min(n.checked, l.Prev.Index)
	return nil
}

// appended returns an error unless the run continues the leader's log: what it
// repeats is as it was, and it leaves out nothing.
func (n *node) appended(l *Log) error {
	lost := func(e Entry) error {
		return broken(LeaderAppendOnly, n.Node, "node %d leads in term %d, and its entry %v is gone or changed", n.Node, n.Term, e.EntryID)
	}
	if have, known := n.at(l.Prev.Index); !known || have.EntryID != l.Prev {
		return lost(have)
	}
	for i := l.Prev.Index + 1; i <= n.last().Index; i++ {
		have, _ := n.at(i)
		at := int(i - l.Prev.Index - 1)
		if at >= len(l.Entries) || !same(l.Entries[at], have) {
			return lost(have)
		}
	}
	return nil
}

// same reports whether nothing tells two entries apart.
func same(a, b Entry) bool {
	return a.EntryID == b.EntryID && (a.Sum == b.Sum || a.Sum == 0 || b.Sum == 0)
}

// match holds each entry against where it was seen before, in any log: whoever
// has it must have it behind the same entry. Then, by induction, whoever has it
// has all that is before it in common.
func (c *Checker) match(id raft.NodeID, l *Log) error {
	prev := l.Prev
	for _, e := range l.Entries {
		if e.Index != prev.Index+1 || e.Term < prev.Term {
			return broken(LogMatching, id, "in the log of node %d entry %v follows %v", id, e.EntryID, prev)
		}
		was, seen := c.entries[e.EntryID]
		switch {
		case !seen:
			was = origin{prev, e.Sum, id}
		case was.prev != prev:
			return broken(LogMatching, id, "entry %v follows %v at node %d, but followed %v at node %d", e.EntryID, prev, id, was.prev, was.node)
		case was.sum == 0:
			was.sum = e.Sum
		case e.Sum != 0 && was.sum != e.Sum:
			return broken(LogMatching, id, "entry %v at node %d is another than it was at node %d", e.EntryID, id, was.node)
		}
		c.entries[e.EntryID] = was
		prev = e.EntryID
	}
	return nil
}
