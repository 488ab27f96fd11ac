package raft

import "github.com/quorate-db/quorate/raft/quorum"

// election is the timer that every node runs and, while campaigning, the ballots
// that have come in.
type election struct {
	random  random
	elapsed int // ticks since the timer was reset
	timeout int // ticks
	quiet   int // ticks for which this node helps nobody to lead, itself included (RD3)
	ballots []ballot
}

type ballot struct {
	from NodeID
	says quorum.Ballot
}

// of returns a node's ballot.
func (e *election) of(id NodeID) quorum.Ballot {
	for _, b := range e.ballots {
		if b.from == id {
			return b.says
		}
	}
	return quorum.Unanswered
}

// resetTimer draws a new timeout. F2 §5.2: each draw is new, so that two nodes
// that tied once will hardly tie again.
func (r *Raft) resetTimer() {
	r.election.elapsed = 0
	r.election.timeout = r.cfg.ElectionTicks
	if r.cfg.ElectionSpread > 0 {
		r.election.timeout += r.election.random.below(r.cfg.ElectionSpread)
	}
	r.trace(F2, 0, EntryID{})
}

// Forget reports that a node's process has certainly ended. If it led us, we need
// not wait for its silence before we help to elect another: votes stay votes.
func (r *Raft) Forget(id NodeID) {
	if r.tape != nil {
		r.tape.note(Input{Kind: forgetInput, Node: id})
	}
	if r.lead == id && r.role == Follower && !r.cfg.Lease {
		r.abandon()
	}
	r.check()
}

// Campaign makes this node stand for leader now, as if its timer had run out. It
// does nothing at a node that may not lead or, where leases are on, while a leader
// may count on its silence.
func (r *Raft) Campaign() {
	if r.tape != nil {
		r.tape.note(Input{Kind: campaignInput})
	}
	if r.role != Leader && r.mayLead() && (!r.cfg.Lease || !r.hearsLeader()) {
		r.wake(0)
		r.resetTimer()
		r.campaign()
	}
	r.check()
}

// campaign starts with the question whether we could win.
func (r *Raft) campaign() {
	r.refuseReads()
	r.lead = 0 // or else those who lost the same leader would refuse each other
	r.callForHelp()
	if !r.mayLead() || r.election.quiet > 0 {
		return // a learner, a node that was removed, is injured or not yet invited
	}
	// PV1 §9.6 d: a node that cannot win must not raise the term, or it would
	// depose a leader that is well as soon as it is heard again.
	r.role = PreCandidate
	r.trace(PV1, 0, r.log.last())
	r.ask(Message{Kind: PreVote, Last: r.log.last()}, r.term+1)
}

// mayLead reports whether this node is a voter of the configuration in force or,
// while that is not known to be committed, of one before it. A node that a
// pending change removes may be the only one that can win: of two voters, the
// one that holds the change has the longer log (§4.2.2 d).
func (r *Raft) mayLead() bool {
	if r.injured != 0 {
		return false // IN1: what it would count on may be what it has forgotten
	}
	for i := len(r.log.configs) - 1; i >= 0; i-- {
		if r.log.configs[i].config.Voter(r.cfg.ID) {
			return true
		}
		if r.log.configs[i].index <= r.commit {
			break
		}
	}
	return false
}

// stand raises the term and asks for real.
func (r *Raft) stand(transfer bool) {
	// C1 Fig 2 §5.2: a new term, our own vote in it, and all others asked. The
	// questions wait for the disk: having forgotten our vote we could give it away.
	r.becomeFollower(r.term+1, 0)
	r.resetTimer()
	r.role, r.vote = Candidate, r.cfg.ID
	r.trace(C1, 0, r.log.last())
	r.ask(Message{Kind: RequestVote, Last: r.log.last(), Transfer: transfer}, r.term)
}

// ask sends a question to all other voters. Our own answer counts at once only
// where it promises nothing.
func (r *Raft) ask(m Message, term Term) {
	r.election.ballots = nil
	if m.Kind == PreVote {
		r.election.ballots = []ballot{{r.cfg.ID, quorum.Granted}}
	}
	for _, member := range r.members().Members {
		if member.ID == r.cfg.ID || !r.members().Voter(member.ID) {
			continue
		}
		m.From, m.To, m.Term = r.cfg.ID, member.ID, term
		if m.Kind == PreVote {
			r.out.send = append(r.out.send, m) // speaks of no term that we are in
		} else {
			r.promise(m)
		}
	}
	r.count()
}

// ownVoteDurable counts our own vote. ALL4 §3.8 d: not before the disk has it. A
// lone voter would otherwise lead, send entries to its learners, crash, and lead
// the same term again with other entries.
func (r *Raft) ownVoteDurable() {
	if r.role == Candidate && r.disk.term == r.term && r.election.of(r.cfg.ID) == quorum.Unanswered {
		r.trace(ALL4, 0, EntryID{})
		r.election.ballots = append(r.election.ballots, ballot{r.cfg.ID, quorum.Granted})
		r.count()
	}
}

// onPreVote says whether we would vote for the sender; it changes nothing here.
func (r *Raft) onPreVote(m *Message) {
	if rule := r.againstPreVote(m); rule != "" {
		r.trace(rule, m.From, m.Last)
		r.say(Message{Kind: PreVoteReply, To: m.From})
		return
	}
	r.out.send = append(r.out.send, Message{Kind: PreVoteReply, From: r.cfg.ID, To: m.From, Term: m.Term, Granted: true})
}

// againstPreVote is the rule that forbids it, empty if none does.
func (r *Raft) againstPreVote(m *Message) Rule {
	switch {
	case r.injured != 0:
		return IN1
	case m.Term <= r.term:
		return ALL3 // ALL3 §5.1: the sender is in an earlier term than we
	case r.hearsLeader():
		return RV4
	case r.log.last().newer(m.Last):
		return RV3
	}
	return ""
}

// onRequestVote gives our vote of this term, or not.
func (r *Raft) onRequestVote(m *Message) {
	if rule := r.againstVote(m); rule != "" {
		r.trace(rule, m.From, m.Last)
		r.say(Message{Kind: RequestVoteReply, To: m.From})
		return // the timer runs on: a candidate that cannot win must not delay those that can
	}
	r.vote = m.From
	r.trace(RV2, m.From, m.Last)
	r.resetTimer()
	r.promise(Message{Kind: RequestVoteReply, To: m.From, Granted: true})
}

// againstVote is the rule that forbids it, empty if none does. The same candidate
// may ask again: our answer was lost.
func (r *Raft) againstVote(m *Message) Rule {
	again := r.vote == m.From
	switch {
	case r.injured != 0:
		return IN1
	case !again && (r.vote != 0 || r.lead != 0):
		// RV2 §5.2: one vote per term, first come. With two, two candidates could
		// have a majority each.
		return RV2
	case !again && r.election.quiet > 0 && !m.Transfer:
		return RV4 // RD3: a leader that we have forgotten may still count on our silence
	case r.log.last().newer(m.Last):
		// RV3 §5.4.1: a candidate whose log lacks what ours has may lack a
		// committed entry. Terms count before length.
		return RV3
	}
	return ""
}

// onBallot counts an answer to what we ask at the moment.
func (r *Raft) onBallot(m *Message) {
	switch {
	case m.Kind == PreVoteReply && r.role != PreCandidate, m.Kind == RequestVoteReply && r.role != Candidate:
		return // an answer to a campaign that is over
	case m.Kind == PreVoteReply && m.Granted && m.Term != r.term+1:
		return // or to an earlier one
	}
	if r.election.of(m.From) != quorum.Unanswered {
		return
	}
	says := quorum.Refused
	if m.Granted {
		says = quorum.Granted
	}
	r.election.ballots = append(r.election.ballots, ballot{m.From, says})
	r.count()
}

// count looks whether the campaign is decided. Ballots of nodes that are not
// voters of the configuration in force do not count.
func (r *Raft) count() {
	switch r.quorum().Tally(r.election.of) {
	case quorum.Won:
		if r.role == PreCandidate {
			r.stand(false)
		} else {
			r.becomeLeader()
		}
	case quorum.Lost:
		// Wait as a follower for somebody better, or for the timer (C4 §5.2).
		r.role, r.election.ballots = Follower, nil
	case quorum.Pending:
	}
}

// becomeLeader is entered with a majority of votes (C2 §5.2).
func (r *Raft) becomeLeader() {
	assert(r.role == Candidate || broken("V11: a %v became leader", r.role))
	r.role, r.lead, r.election.ballots = Leader, r.cfg.ID, nil
	r.leading = newLeadership(r)
	r.trace(C2, 0, EntryID{})
	r.trace(L1, 0, EntryID{})
	r.trace(L2, 0, EntryID{})
	// L2 §8 §5.4.2: without an entry of its own term a leader can neither
	// commit what others left behind nor know how far they had committed.
	r.append(Entry{Kind: Blank})
}
