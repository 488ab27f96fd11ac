package check

import "github.com/quorate-db/quorate/raft"

// committed is the entry that an index has for ever.
type committed struct {
	Entry
	by   raft.Term   // it was committed in this term or before
	node raft.NodeID // who was first to say so
}

// commit holds what a node newly takes for committed against the chain.
func (c *Checker) commit(n *node) error {
	if last := n.last(); n.Commit > last.Index {
		return broken(CommitInLog, n.Node, "node %d commits up to %d, but its log ends with %v", n.Node, n.Commit, last.EntryID)
	}
	for i := max(n.checked+1, n.base.Index); i <= n.Commit; i++ {
		e, _ := n.at(i)
		if err := c.settle(n, e); err != nil {
			return err
		}
	}
	n.checked = max(n.checked, n.Commit)
	return nil
}

// settle takes an entry for committed, because this node does.
func (c *Checker) settle(n *node, e Entry) error {
	if e.Index == 0 {
		return nil
	}
	was, known := c.chain[e.Index]
	switch {
	case !known:
		was = committed{e, n.Term, n.Node}
	case !same(was.Entry, e):
		return broken(StateMachineSafety, n.Node, "index %d is %v for node %d, but was %v for node %d%s",
			e.Index, e.EntryID, n.Node, was.EntryID, was.node, differs(was.EntryID == e.EntryID))
	}
	earlier := !known || n.Term < was.by
	was.by = min(was.by, n.Term)
	was.Sum = max(was.Sum, e.Sum) // one of them may be unknown
	c.chain[e.Index] = was
	c.top = max(c.top, e.Index)
	if !earlier {
		return nil
	}
	for _, l := range c.nodes {
		if l.alive && l.Role == raft.Leader {
			if err := c.complete(l, was); err != nil {
				return err
			}
		}
	}
	return nil
}

func differs(sameID bool) string {
	if sameID {
		return ", with another content"
	}
	return ""
}

// elected holds the log of a new leader against all that was committed before
// its term.
func (c *Checker) elected(l *node) error {
	for i := max(l.base.Index, 1); i <= c.top; i++ {
		if was, known := c.chain[i]; known {
			if err := c.complete(l, was); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete returns an error if a leader lacks an entry that was committed in an
// earlier term. What is behind its snapshot was applied, and compared then.
func (c *Checker) complete(l *node, was committed) error {
	if was.by >= l.Term || was.Index < l.base.Index {
		return nil
	}
	if have, ok := l.at(was.Index); !ok || !same(have, was.Entry) {
		return broken(LeaderCompleteness, l.Node, "node %d leads in term %d without entry %v, which node %d had committed by term %d",
			l.Node, l.Term, was.EntryID, was.node, was.by)
	}
	return nil
}

// Applied takes in entries that a node gave to its state machine, in this order.
// All entries count, not only those that carry a command. The node's term must
// have been seen before: the entries were committed in it or earlier.
func (c *Checker) Applied(id raft.NodeID, entries ...Entry) error {
	n := c.node(id)
	for _, e := range entries {
		if n.applied != 0 && e.Index != n.applied+1 {
			return broken(ApplyInOrder, id, "node %d applied %v after index %d", id, e.EntryID, n.applied)
		}
		if err := c.settle(n, e); err != nil {
			return err
		}
		n.applied = e.Index
	}
	return nil
}

// Restored takes in that a node's state machine begins anew with a snapshot, or
// with what it found on its disk. It may be older than what the node had applied
// only after a restart.
func (c *Checker) Restored(id raft.NodeID, snapshot raft.EntryID) error {
	n := c.node(id)
	if snapshot.Index < n.applied {
		return broken(ApplyInOrder, id, "node %d went back to a snapshot of %v after it had applied %d", id, snapshot, n.applied)
	}
	n.applied = snapshot.Index
	return c.settle(n, Entry{EntryID: snapshot})
}

// Acknowledged takes in that a client was told that its command is done. From
// then on no later leader may lack it, which Leader Completeness sees to, and no
// node may apply another, which State Machine Safety does: here remains that it
// was committed at all.
func (c *Checker) Acknowledged(id raft.EntryID) error {
	was, known := c.chain[id.Index]
	switch {
	case !known:
		return broken(Acknowledgement, 0, "entry %v was acknowledged, but no node has committed it", id)
	case was.EntryID != id:
		return broken(Acknowledgement, 0, "entry %v was acknowledged, but %v was committed at its index", id, was.EntryID)
	}
	return nil
}
