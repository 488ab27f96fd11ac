package raft

// mark is what check compares a step's outcome with: how the step before it left
// the core.
type mark struct {
	term    Term
	vote    NodeID
	lead    NodeID
	role    Role
	last    EntryID
	commit  EntryID
	applied Index
}

func (r *Raft) mark(last EntryID) {
	was := &r.was
	was.term, was.vote, was.lead, was.role = r.term, r.vote, r.lead, r.role
	if was.commit.Index != r.commit { // what is committed never changes (V3)
		was.commit, _ = r.log.at(r.commit)
	}
	was.last, was.applied = last, r.applied
}

// check asserts what must be true of the state and of the step that led to it
// (doc.go lists V1 to V14). It costs the same however long the log is.
func (r *Raft) check() {
	was, last := &r.was, r.log.last()
	r.checkTerm(was)
	r.checkLog(was, last)
	assert((r.role == Leader) == (r.leading != nil) || broken("V11: a %v with leader's data: %t", r.role, r.leading != nil))
	assert(!r.asleep || r.lead != 0 && r.commit == last.Index || broken("V13: asleep with leader %x, %d committed, last %v", r.lead, r.commit, last))
	assert(r.injured == 0 || r.role == Follower || broken("V14: an injured %v", r.role))
	if r.role == Leader {
		r.checkLeader(was, last)
	}
	r.mark(last)
}

func (r *Raft) checkTerm(was *mark) {
	assert(r.term >= was.term || broken("V1: term %d fell to %d", was.term, r.term))
	if r.term == was.term {
		assert(was.vote == 0 || r.vote == was.vote || broken("V1: vote for %x became %x in term %d", was.vote, r.vote, r.term))
		assert(was.lead == 0 || r.lead == 0 || r.lead == was.lead || broken("V5: leader %x became %x in term %d", was.lead, r.lead, r.term))
	}
}

func (r *Raft) checkLog(was *mark, last EntryID) {
	assert(r.log.base.Index <= r.applied || broken("V2: compacted %d of applied %d", r.log.base.Index, r.applied))
	assert(r.applied <= r.commit || broken("V2: applied %d of committed %d", r.applied, r.commit))
	assert(r.commit <= last.Index || broken("V2: commit %d after last %v", r.commit, last))
	assert(r.applied >= was.applied || broken("V2: applied %d fell to %d", was.applied, r.applied))
	assert(r.commit >= was.commit.Index || broken("V3: commit %d fell to %d", was.commit.Index, r.commit))
	if was.commit.Index > r.log.base.Index {
		assert(r.log.holds(was.commit) || broken("V3: committed entry %v is gone", was.commit))
	}
	assert(last.Term <= r.term || broken("V4: last entry %v in term %d", last, r.term))
	assert(r.disk.durable <= last.Index && r.disk.handed <= last.Index || broken("V10: durable %d, handed out %d, last %v", r.disk.durable, r.disk.handed, last))
}

func (r *Raft) checkLeader(was *mark, last EntryID) {
	assert(r.lead == r.cfg.ID && r.vote == r.cfg.ID || broken("V5: leads in term %d, but voted for %x and follows %x", r.term, r.vote, r.lead))
	if was.role == Leader && was.term == r.term {
		assert(last.Index >= was.last.Index || broken("V6: the leader's log fell from %v to %v", was.last, last))
		if r.commit > was.commit.Index {
			at, _ := r.log.at(r.commit)
			assert(at.Term == r.term || broken("V8: commit rose to %v in term %d", at, r.term))
		}
	}
	for i := range r.leading.peers {
		p := &r.leading.peers[i]
		assert(p.Match < p.Next && p.Match <= last.Index || broken("V7: node %x has match %d, next %d, last %v", p.id, p.Match, p.Next, last))
	}
}
