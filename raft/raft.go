package raft

import (
	"fmt"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

// Raft is one node's part in one group. It is a calculator: its methods take
// inputs, Take gives the effects. It is not safe for concurrent use, and does
// nothing on its own.
type Raft struct {
	cfg Config

	term Term
	vote NodeID // in this term
	lead NodeID // of this term, once known
	log  log

	commit  Index
	applied Index
	disk    disk

	role     Role
	election election    // timer and ballots
	leading  *leadership // only while leading
	asleep   bool        // needs no ticks until the next input
	injured  uint64      // what this start calls itself while it may have forgotten promises (IN1); zero: it is well
	asked    []uint64    // reads that a leader elsewhere was asked about (RD1)
	tokens   uint64      // names of reads given out so far

	out  out
	was  mark  // how the last step left all this
	tape *Tape // on which every input is recorded; nil: on none
}

// New returns the core of a node that continues from what its disk holds. A node
// that holds nothing has no configuration either: it waits for a leader to send
// it one. A new group begins with Bootstrap on each of its first members.
func New(cfg Config, saved Saved) (*Raft, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := (Span{Prev: saved.Base.ID, Entries: saved.Entries}).Check(); err != nil {
		return nil, err
	}
	r := &Raft{cfg: cfg, term: saved.State.Term, vote: saved.State.Vote, log: newLog(saved.Base, saved.Entries)}
	last := r.log.last()
	switch {
	case last.Term > r.term:
		return nil, fmt.Errorf("raft: the log ends in term %d, later than the saved term %d", last.Term, r.term)
	case saved.State.Injured:
		if !r.otherVoters() {
			return nil, ErrLost
		}
		// The log may have had other entries at the indices that were applied, and
		// committed, than those that are left; the driver skips what comes again.
		cfg.Applied = min(cfg.Applied, saved.State.Commit, last.Index)
	case cfg.Applied > last.Index:
		return nil, ErrAhead
	}
	r.applied = max(saved.Base.ID.Index, cfg.Applied)
	r.commit = max(r.applied, min(saved.State.Commit, last.Index))
	r.disk = disk{durable: last.Index, term: r.term, state: saved.State, handed: last.Index}
	r.election.random = random(cfg.Seed)
	// An answer to a read asked before a crash must not be taken for the
	// answer to one asked after it.
	r.tokens = uint64(r.election.random.below(1<<31)) << 32
	if saved.State.Injured {
		r.injured = 1 + uint64(r.election.random.below(1<<62))
	}
	if cfg.Lease {
		// RD3: before a crash this node may have answered a leader that counts
		// on not being deposed for an election timeout.
		r.election.quiet = cfg.ElectionTicks
	}
	r.resetTimer()
	r.mark(last)
	return r, nil
}

// BootstrapID is the entry that every group begins with: the configuration of
// its first members. The state machine's state there is its empty one.
var BootstrapID = EntryID{Term: 1, Index: 1}

// Bootstrap returns what each of a new group's first members has on its disk.
// All of them must be given the same members.
func Bootstrap(config membership.Config) (Saved, error) {
	base := Snapshot{ID: BootstrapID, Config: config, ConfigIndex: BootstrapID.Index}
	if err := base.Check(); err != nil {
		return Saved{}, err
	}
	return Saved{State: HardState{Term: 1, Commit: 1}, Base: base}, nil
}

// Step takes a message from another node. An error means that no well-behaved
// node can have sent it; it has had no effect then.
func (r *Raft) Step(m Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	if m.To != r.cfg.ID {
		return fmt.Errorf("raft: a message for node %x reached node %x", m.To, r.cfg.ID)
	}
	if r.tape != nil {
		r.tape.deck.message = m
		r.tape.note(Input{Kind: stepInput, Message: &r.tape.deck.message})
	}
	if r.asleep && !r.mayStaySleeping(&m) {
		r.wake(m.From)
	}
	if r.observeTerm(&m) {
		r.dispatch(&m)
	}
	r.check()
	return nil
}

func (r *Raft) dispatch(m *Message) {
	switch m.Kind {
	case PreVote:
		r.onPreVote(m)
	case RequestVote:
		r.onRequestVote(m)
	case PreVoteReply, RequestVoteReply:
		r.onBallot(m)
	case AppendEntries:
		r.onAppendEntries(m)
	case AppendEntriesReply:
		r.onAppendEntriesReply(m)
	case Heartbeat:
		r.onHeartbeat(m)
	case HeartbeatReply:
		r.onHeartbeatReply(m)
	case InstallSnapshot:
		r.onInstallSnapshot(m)
	case InstallSnapshotReply:
		r.onInstallSnapshotReply(m)
	case ReadIndex:
		r.onReadIndex(m)
	case ReadIndexReply:
		r.onReadIndexReply(m)
	case TimeoutNow:
		r.onTimeoutNow(m)
	}
}

// observeTerm compares the message's term with ours and reports whether the
// message is of our term now, and so to be looked at.
func (r *Raft) observeTerm(m *Message) bool {
	switch {
	case m.Term == r.term:
		return true
	case m.Kind == PreVote && m.Term > r.term, m.Kind == PreVoteReply && m.Granted:
		return true // it speaks of a term that nobody is in yet (PV1)
	case m.Term < r.term:
		r.refuseOld(m)
		return false
	}
	// RV4 §4.2.3 d §6: a removed or cut-off node that campaigns must not
	// disturb a group whose leader is well. Its term is not even looked at.
	if m.Kind == RequestVote && !m.Transfer && r.hearsLeader() {
		r.trace(RV4, m.From, m.Last)
		return false
	}
	r.keepPromise(m)
	// ALL2 §5.1: whoever is behind, a leader too, becomes a follower at once.
	r.becomeFollower(m.Term, 0)
	r.trace(ALL2, m.From, EntryID{})
	return true
}

// refuseOld answers a message of an older term.
func (r *Raft) refuseOld(m *Message) {
	switch m.Kind {
	case PreVote:
		r.trace(ALL3, m.From, m.Last)
		r.say(Message{Kind: PreVoteReply, To: m.From})
	case RequestVote:
		// RV1 §5.1: the candidate learns from our term that its own is over.
		r.trace(RV1, m.From, m.Last)
		r.say(Message{Kind: RequestVoteReply, To: m.From})
	case AppendEntries, Heartbeat, InstallSnapshot:
		// ALL3, AE1, IS1 §5.1: so that a leader that was deposed without
		// noticing steps down. Also if it is well and we alone have a later
		// term: without this answer we would ignore each other for ever.
		r.trace(staleRule(m.Kind), m.From, m.Span.Prev)
		r.say(Message{Kind: HeartbeatReply, To: m.From})
	}
}

// staleRule is the rule by which a leader of an older term is refused.
func staleRule(kind Kind) Rule {
	switch kind {
	case AppendEntries:
		return AE1
	case InstallSnapshot:
		return IS1
	default:
		return ALL3
	}
}

// becomeFollower enters a term in which we neither lead nor campaign.
func (r *Raft) becomeFollower(term Term, leader NodeID) {
	if term > r.term {
		r.term, r.vote = term, 0
		r.out.after = r.out.after[:0] // promises of an older term need not leave any more
	}
	r.refuseReads()
	if r.role == Leader {
		r.resetTimer()
	}
	// Otherwise the timer runs on: only a leader or a vote that we give may reset
	// it, or a candidate that cannot win would delay those that can.
	r.role, r.lead = Follower, leader
	r.leading, r.election.ballots = nil, nil
}

// hearsLeader reports whether a leader of this term is alive as far as we can
// tell: we lead, or have heard it within the shortest election timeout.
func (r *Raft) hearsLeader() bool {
	return r.role == Leader || r.lead != 0 && r.election.elapsed < r.cfg.ElectionTicks || r.election.quiet > 0
}

// keepPromise remembers, where leases are on, for how long a leader that we have
// answered may count on our silence, although we are about to forget the leader:
// only the word of a new one, or a campaign that it asked for itself, ends that (RD3).
func (r *Raft) keepPromise(m *Message) {
	if !r.cfg.Lease || m.Transfer || m.Kind == AppendEntries || m.Kind == Heartbeat || m.Kind == InstallSnapshot {
		return
	}
	if r.role == Follower && r.lead != 0 {
		r.election.quiet = max(r.election.quiet, r.cfg.ElectionTicks-r.election.elapsed)
	}
}

// follow takes the sender as the leader of this term.
func (r *Raft) follow(leader NodeID) {
	// V5 §5.2: two leaders in one term are proof that somebody is wrong.
	assert(r.role != Leader && (r.lead == 0 || r.lead == leader) || broken("V5: %x and %x both lead in term %d", r.lead, leader, r.term))
	if r.role != Follower || r.lead != leader {
		if r.role == Candidate {
			r.trace(C3, leader, EntryID{})
		}
		r.becomeFollower(r.term, leader) // C3 §5.2: somebody else has won
	}
	r.resetTimer() // AE6 §5.2: it lives
	r.trace(AE6, leader, EntryID{})
}

func (r *Raft) quorum() quorum.Joint { return r.log.config().quorum }

// members is the configuration in force.
func (r *Raft) members() *membership.Config { return r.log.config().config }
