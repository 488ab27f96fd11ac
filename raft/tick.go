package raft

// Tick tells the core that one unit of time has passed, and returns whether there is
// anything to take: mostly there is not. It does nothing to a core that sleeps.
func (r *Raft) Tick() (stirred bool) {
	if r.tape != nil {
		r.tape.note(Input{Kind: tickInput})
	}
	if r.asleep {
		return false
	}
	role, lead, term := r.role, r.lead, r.term
	r.election.elapsed++
	r.election.quiet = max(0, r.election.quiet-1)
	if r.role == Leader {
		r.tickLeader()
	} else if r.election.elapsed >= r.election.timeout {
		r.trace(r.whyCampaign(), 0, EntryID{})
		r.resetTimer()
		r.campaign() // F1 §5.2: no leader was heard; C4: or nobody has won
	}
	r.check()
	return r.asleep || r.role != role || r.lead != lead || r.term != term || r.out.any() || r.leading != nil && r.leading.transfer.to != 0
}

// Patience is how many ticks may pass, the last one included, until one makes something
// necessary, if there is no other input: at least one. A driver may keep back as many,
// and give them when the last of them is due or before the next input, whichever comes
// first; nobody can tell the difference. A core that sleeps has no use for ticks.
func (r *Raft) Patience() int {
	if r.role != Leader {
		return max(1, r.election.timeout-r.election.elapsed)
	}
	l := r.leading
	if l.transfer.to != 0 {
		return 1
	}
	heard := int(l.ticks - min(uint64(r.lastHeard()), l.ticks))
	look := r.preferPeriod()
	return max(1, min(r.cfg.HeartbeatTicks-l.beat, r.cfg.ElectionTicks+1-heard, int(look-l.ticks%look)))
}

// whyCampaign is the rule by which a node whose timer has run out campaigns: whoever
// has stood in this term, and has nothing of a leader of it, has not won and knows
// nobody who has.
func (r *Raft) whyCampaign() Rule {
	if r.vote == r.cfg.ID && r.lead == 0 && r.log.last().Term < r.term {
		return C4
	}
	return F1
}
