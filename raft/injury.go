package raft

// A disk that has lost something durable has made its node forget: a vote, a term,
// entries that it acknowledged. Such a node is injured. It follows, takes entries and
// applies them, and counts for nothing, until it has from the others whatever it
// can have promised that still matters. Decision 0015 argues why that is safe.
//
// What ends it is an entry that the leader appends after it has learnt of the injured
// node's start, and that a majority without that node holds. Nobody with a vote given
// before the start can still be elected in a later term: the log lacks that entry. And
// what was acknowledged before and is committed stands before it in the leader's log.

// sayInjured puts the injury on an answer to a leader.
func (r *Raft) sayInjured(m *Message) {
	switch m.Kind {
	case AppendEntriesReply, HeartbeatReply, InstallSnapshotReply:
		m.Injured = r.injured
	}
}

// callForHelp tells all others that this node is injured and hears no leader. IN5: it
// asks for no pre-votes, which would otherwise wake a group that sleeps.
func (r *Raft) callForHelp() {
	if r.injured == 0 || r.term == 0 {
		return
	}
	r.trace(IN5, 0, EntryID{})
	for _, m := range r.members().Members {
		if m.ID != r.cfg.ID {
			r.say(Message{Kind: HeartbeatReply, To: m.ID})
		}
	}
}

// mindInjury takes note of what a follower's answer says about its disk.
func (r *Raft) mindInjury(p *peer, m *Message) {
	if m.Injured != 0 {
		r.trace(IN2, p.id, m.Last)
	}
	switch {
	case m.Injured != 0 && m.Injured != p.injured:
		// IN3: it may lack what it has acknowledged. And whatever it has forgotten lies
		// before the entry appended now.
		p.injured, p.mend = m.Injured, r.append(Entry{Kind: Blank})
		p.Progress, p.slept = r.newPeer(p.id, r.leading.ticks).Progress, 0
		r.trace(IN3, p.id, p.mend)
	case m.Injured == 0 && p.injured != 0 && m.Rejected == (EntryID{}) && m.Last.Index >= p.mend.Index:
		p.injured = 0 // an answer from before the injury cannot speak of this entry
		r.maybeCommit(p.Match)
	}
}

// addressInjured makes a heartbeat one that an injured follower believes, and tells it
// what heals it. IN4: not before that is committed, for which its own word does not
// count (IN2).
func (r *Raft) addressInjured(p *peer, m *Message) {
	if p.injured == 0 {
		return
	}
	m.Injured, m.Last, m.Sleep = p.injured, EntryID{}, false
	if r.commit >= p.mend.Index {
		m.Last = p.mend
	}
}

// believes reports whether the commit index in a heartbeat may be taken over. A leader
// that does not know of our injury vouches for entries that we had, and in their places
// may now be others.
func (r *Raft) believes(m *Message) bool { return r.injured == 0 || m.Injured == r.injured }

// maybeHeal ends the injury if the leader has said what heals and it is on this disk.
// An offer to an earlier start says nothing about what was forgotten since.
func (r *Raft) maybeHeal(m *Message) {
	if r.injured == 0 || m.Injured != r.injured || m.Last.Index == 0 || r.disk.durable < m.Last.Index ||
		m.Last.Index > r.log.base.Index && !r.log.holds(m.Last) {
		return
	}
	r.trace(IN4, m.From, m.Last)
	r.injured = 0
	if r.vote == 0 {
		// Whom it has voted for in this term is forgotten; its leader cannot be deposed
		// by anybody who was elected in the same one.
		r.vote = r.lead
	}
	r.promise(Message{Kind: AppendEntriesReply, To: m.From, Last: m.Last})
}

// otherVoters reports whether anybody else can have what this node has lost. One that
// knows of no configuration waits to be invited.
func (r *Raft) otherVoters() bool {
	members := r.members().Members
	for _, m := range members {
		if m.ID != r.cfg.ID && r.members().Voter(m.ID) {
			return true
		}
	}
	return len(members) == 0 || !r.members().Voter(r.cfg.ID)
}

// Injured reports whether this node's disk has lost something that the others have
// not yet given back.
func (r *Raft) Injured() bool { return r.injured != 0 }
