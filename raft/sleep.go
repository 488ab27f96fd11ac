package raft

import "github.com/quorate-db/quorate/raft/quorum"

// A group that has nothing to do needs no ticks and no heartbeats, so long as its
// driver tells the sleepers when the node of their leader falls silent. Sleep
// promises nothing: whoever wakes knows of the others only what their messages tell.

// rest is how long a leader's group has had nothing to do, and its offer to sleep.
type rest struct {
	ticks int     // for which nothing has been under way
	last  EntryID // of the log all the while
	offer uint64  // the first round of heartbeats that offers to sleep; zero: none does
}

// Asleep reports whether this core needs no ticks until its next input.
func (r *Raft) Asleep() bool { return r.asleep }

// tickRest counts for how long there has been nothing to do, offers to sleep, and
// sleeps once the others do.
func (r *Raft) tickRest() {
	l := r.leading
	if r.cfg.SleepTicks == 0 {
		return
	}
	if last := r.log.last(); l.rest.last != last || !r.atRest() {
		l.rest = rest{last: last}
		return
	}
	switch l.rest.ticks = min(l.rest.ticks+1, r.cfg.SleepTicks); {
	case l.rest.ticks < r.cfg.SleepTicks:
	case l.rest.offer == 0:
		// SL1: from the next round of heartbeats on the followers are asked. An
		// answer to an earlier round may be older than what has kept us awake.
		l.rest.offer = l.reads.round + 1
		r.trace(SL1, 0, l.rest.last)
	case r.othersSleep():
		r.asleep = true
		r.trace(SL3, 0, l.rest.last)
	}
}

// atRest reports whether nothing is under way (SL1): the whole log is committed, and
// nobody waits for this leader. Whether its followers are as far, they say themselves.
func (r *Raft) atRest() bool {
	l, last := r.leading, r.log.last()
	switch {
	case r.commit != last.Index, last.Term != r.term, len(r.disk.pending) > 0, r.log.config().joint():
		return false
	default:
		return l.transfer.to == 0 && len(l.reads.early)+len(l.reads.waiting) == 0 && r.preferred() == 0
	}
}

// othersSleep reports whether every follower sleeps whose node is alive, and whether
// those who do are a majority with us. SL3: without one, nobody would ever notice
// that this group has lost its leader, or this leader its group (L9).
func (r *Raft) othersSleep() bool {
	l := r.leading
	for i := range l.peers {
		if p := &l.peers[i]; !p.silent && p.slept < l.rest.offer {
			return false
		}
	}
	return r.quorum().Committed(func(id NodeID) Index {
		if p := l.peer(id); p != nil && p.slept < l.rest.offer {
			return 0
		}
		return quorum.MaxIndex
	}) > 0
}

// mayStaySleeping reports whether a message is no reason to wake: it offers what we
// do already, or accepts it late.
func (r *Raft) mayStaySleeping(m *Message) bool {
	if !m.Sleep || m.Term != r.term {
		return false
	}
	if r.leading != nil {
		return m.Kind == HeartbeatReply
	}
	return m.Kind == Heartbeat && m.From == r.lead && m.Last == r.log.last()
}

// maybeSleep takes the leader's offer and reports whether this follower sleeps. SL2:
// only if it has and knows just what the leader has: what a sleeper lacks, nobody
// would send it; and what it waits for, it must ask for again.
func (r *Raft) maybeSleep(m *Message) bool {
	last := r.log.last()
	r.asleep = m.Sleep && r.cfg.SleepTicks > 0 && m.Last == last && r.commit == last.Index &&
		len(r.disk.pending) == 0 && len(r.asked) == 0 && r.election.quiet == 0 && r.injured == 0
	if r.asleep {
		r.trace(SL2, m.From, last)
	}
	return r.asleep
}

// wake ends the sleep because of an input; from is whose message that was, zero if
// it was nobody's. SL4: time begins to count again, from its beginning.
func (r *Raft) wake(from NodeID) {
	if !r.asleep {
		return
	}
	r.asleep = false
	r.trace(SL4, from, EntryID{})
	if r.leading != nil {
		r.wakeLeader()
		return
	}
	r.resetTimer()
	if from != r.lead {
		// The leader may be asleep, and has to know that somebody counts on its
		// heartbeats again. If this is lost, we shall ask it for a pre-vote.
		r.say(Message{Kind: HeartbeatReply, To: r.lead})
	}
}

// wakeLeader begins anew with all that a leader counts in ticks. SL5: it cannot
// know for how long it slept. The answers that it has bind nobody any more (RD3), but
// nobody has failed to answer either (L9).
func (r *Raft) wakeLeader() {
	l := r.leading
	r.trace(SL5, 0, EntryID{})
	l.rest = rest{}
	l.beat = r.cfg.HeartbeatTicks // the others shall know at the next tick
	l.reads.sent = l.reads.sent[:0]
	for i := range l.peers {
		l.peers[i].Heard = l.ticks
	}
}

// Silent reports that nothing has been heard from a node, of any group, for so many
// ticks: less than an election timeout if it has been heard, but has begun anew. A
// leader no longer expects that a silent node's part in the group sleeps. To report
// it again changes nothing.
func (r *Raft) Silent(id NodeID, ticks int) {
	if r.tape != nil {
		r.tape.note(Input{Kind: silentInput, Node: id, Number: uint64(ticks)})
	}
	switch {
	case r.leading != nil:
		if p := r.leading.peer(id); p != nil {
			p.slept = 0
			if p.silent = ticks >= r.cfg.ElectionTicks; !p.silent || !r.othersSleep() {
				r.wake(0) // one that has begun anew may have forgotten what is committed
			}
		}
	case r.lead != id || r.role != Follower:
	case ticks >= r.cfg.ElectionTicks:
		// SL6: had we been awake all the time we would not hear our leader either
		// (RV4). Whether to campaign now or by timeout is the driver's choice.
		r.trace(SL6, id, EntryID{})
		r.abandon()
	default:
		r.wake(0) // and if it does not lead any more, the timer will tell
	}
	r.check()
}

// abandon forgets the leader: nothing is to be expected of it.
func (r *Raft) abandon() {
	if r.asleep {
		r.asleep = false
		r.trace(SL4, r.lead, EntryID{})
	}
	r.refuseReads()
	r.lead = 0
}

// Alive reports that a node which was silent has been heard again: a leader wakes,
// so that it is told what it has missed.
func (r *Raft) Alive(id NodeID) {
	if r.tape != nil {
		r.tape.note(Input{Kind: aliveInput, Node: id})
	}
	if r.leading != nil {
		if p := r.leading.peer(id); p != nil && p.silent {
			p.silent = false
			r.wake(0)
		}
	}
	r.check()
}
