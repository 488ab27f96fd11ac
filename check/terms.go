package check

import "github.com/quorate-db/quorate/raft"

// ballot is what a node may use once.
type ballot struct {
	node raft.NodeID
	term raft.Term
}

// Sent takes in a message at the moment at which it leaves its sender: from then
// on others may build on it, whatever becomes of the sender. Both what a node
// promised and what it claimed are in its messages.
func (c *Checker) Sent(m *raft.Message) error {
	n := c.node(m.From)
	switch m.Kind {
	case raft.PreVote, raft.PreVoteReply:
		return nil // of a term that nobody is in
	case raft.RequestVote:
		if err := c.voted(m.From, m.Term, m.From); err != nil {
			return err
		}
	case raft.RequestVoteReply:
		if m.Granted {
			if err := c.voted(m.From, m.Term, m.To); err != nil {
				return err
			}
		}
	case raft.AppendEntries, raft.Heartbeat, raft.InstallSnapshot:
		if err := c.leads(m.From, m.Term); err != nil {
			return err
		}
	}
	n.told = max(n.told, m.Term)
	return nil
}

// voted records a vote that was given away.
func (c *Checker) voted(id raft.NodeID, term raft.Term, candidate raft.NodeID) error {
	b := ballot{id, term}
	if was := c.votes[b]; was != 0 && was != candidate {
		return broken(OneVote, id, "in term %d node %d voted for %d, and then for %d", term, id, was, candidate)
	}
	c.votes[b] = candidate
	return nil
}

// leads records a leader of a term.
func (c *Checker) leads(id raft.NodeID, term raft.Term) error {
	if was := c.leaders[term]; was != 0 && was != id {
		return broken(ElectionSafety, id, "nodes %d and %d both lead in term %d", was, id, term)
	}
	c.leaders[term] = id
	return nil
}

// term holds an observation against the one before, and against what the node
// said in this life and in those before.
func (c *Checker) term(n *node, o *Observation) error {
	id := o.Node
	if o.Term < n.told {
		return broken(NoStepBack, id, "node %d is in term %d, but spoke in term %d before", id, o.Term, n.told)
	}
	if promised := c.votes[ballot{id, o.Term}]; promised != 0 && promised != o.Vote {
		return broken(OneVote, id, "in term %d node %d voted for %d, and now knows of a vote for %d", o.Term, id, promised, o.Vote)
	}
	if n.alive {
		switch {
		case o.Term < n.Term:
			return broken(NoStepBack, id, "the term of node %d fell from %d to %d", id, n.Term, o.Term)
		case o.Commit < n.Commit:
			return broken(NoStepBack, id, "the commit of node %d fell from %d to %d", id, n.Commit, o.Commit)
		case o.Term == n.Term && n.Vote != 0 && o.Vote != n.Vote:
			return broken(OneVote, id, "in term %d the vote of node %d changed from %d to %d", o.Term, id, n.Vote, o.Vote)
		}
	}
	if o.Role == raft.Leader {
		return c.leads(id, o.Term)
	}
	return nil
}
