package raft

import "slices"

// reads are the linearizable reads that a leader has under way. Rounds of
// heartbeats, when answered by a majority, prove that it still leads.
type reads struct {
	round   uint64     // the last one, counted from 1
	sent    []sentAt   // the first round of each tick, while a lease could begin there
	fresh   bool       // some of waiting belong to no round yet
	early   []readFrom // before an entry of this term is committed
	waiting []readFrom // for the answers to their round, oldest first
	noLease bool       // leadership was offered to another node in this term
}

type sentAt struct{ round, tick uint64 }

type readFrom struct {
	node  NodeID // who asked
	token uint64 // its name for the read
	index Index
	round uint64 // zero: none yet
}

// Read asks how far the state machine must have come so that what it says is
// linearizable. The answer comes in Effects.Reads under the token returned here.
// A message to the leader may be lost: ask again if no answer comes.
func (r *Raft) Read() (uint64, error) {
	if r.tape != nil {
		r.tape.note(Input{Kind: readInput})
	}
	if r.lead == 0 {
		return 0, ErrNoLeader
	}
	if r.leading != nil && r.leading.reads.full() {
		return 0, ErrBusy
	}
	r.wake(0)
	r.tokens++
	if r.leading != nil {
		r.register(readFrom{node: r.cfg.ID, token: r.tokens})
	} else {
		r.forgetAsked()
		r.asked = append(r.asked, r.tokens)
		r.say(Message{Kind: ReadIndex, To: r.lead, Round: r.tokens})
	}
	r.check()
	return r.tokens, nil
}

// full reports whether no further reads are taken.
func (q *reads) full() bool { return len(q.early)+len(q.waiting) >= maxReads }

// maxReads bounds the reads that a leader has under way; hosts share one among many.
const maxReads = 1 << 12

// maxAsked bounds the questions to a leader that are not answered.
const maxAsked = 256

// forgetAsked gives up the oldest question if there are too many: its message, or
// the answer, is lost.
func (r *Raft) forgetAsked() {
	if len(r.asked) >= maxAsked {
		r.out.reads = append(r.out.reads, Read{Token: r.asked[0]})
		r.asked = slices.Delete(r.asked, 0, 1)
	}
}

// register takes a read in.
func (r *Raft) register(read readFrom) {
	l := r.leading
	l.rest = rest{} // there is something to do (SL1)
	// RD2 §6.4 d: before that, this leader does not know how far its
	// predecessors had committed.
	if !r.committedInTerm() {
		r.trace(RD2, read.node, EntryID{})
		l.reads.early = append(l.reads.early, read)
		return
	}
	// RD1 §6.4 d: what is committed now must be seen; whether we are still the
	// leader whose word that is must be confirmed after now.
	read.index, read.round = r.commit, 0
	r.trace(RD1, read.node, EntryID{Index: read.index})
	if r.holdsLease() {
		r.trace(RD3, read.node, EntryID{Index: read.index})
		r.answerRead(read)
		return
	}
	l.reads.waiting = append(l.reads.waiting, read)
	l.reads.fresh = true
}

// committedInTerm reports whether an entry of the current term is committed.
func (r *Raft) committedInTerm() bool {
	at, _ := r.log.at(r.commit)
	return at.Term == r.term
}

// holdsLease reports whether a majority has answered a round so recently that it
// still refuses to elect anybody else (RV4). RD3 §6.4.1 d: the lease begins when
// the round was sent, and ends early by what clocks may differ. An offer of the
// leadership ends it for the rest of the term: the target need not wait (TR3), and
// nobody knows when the offer arrives.
func (r *Raft) holdsLease() bool {
	if !r.cfg.Lease || r.leading.reads.noLease {
		return false
	}
	sent, confirmed := r.leading.reads.sent, r.confirmed()
	at := 0
	for at+1 < len(sent) && sent[at+1].round <= confirmed {
		at++
	}
	return at < len(sent) && sent[at].round <= confirmed && r.leading.ticks-sent[at].tick < r.cfg.leaseTicks()
}

// confirmed is the last round that a majority has answered: an answer to a later
// round confirms the earlier ones too.
func (r *Raft) confirmed() uint64 {
	return uint64(r.quorum().Committed(func(id NodeID) Index {
		if p := r.leading.peer(id); p != nil {
			return Index(p.Round)
		}
		return Index(r.leading.reads.round)
	}))
}

// nextRound names a new round.
func (r *Raft) nextRound() {
	q, now := &r.leading.reads, r.leading.ticks
	q.round++
	if !r.cfg.Lease {
		return
	}
	q.sent = slices.DeleteFunc(q.sent, func(s sentAt) bool { return now-s.tick >= r.cfg.leaseTicks() })
	if n := len(q.sent); n == 0 || q.sent[n-1].tick < now {
		q.sent = append(q.sent, sentAt{q.round, now})
	}
}

// startRound begins one round of heartbeats for all reads since the last.
func (r *Raft) startRound() {
	q := &r.leading.reads
	if len(q.early) > 0 && r.committedInTerm() {
		early := q.early
		q.early = nil
		for _, read := range early {
			r.register(read)
		}
	}
	if !q.fresh {
		return
	}
	q.fresh = false
	r.heartbeat()
	for i := range q.waiting {
		if q.waiting[i].round == 0 {
			q.waiting[i].round = q.round
		}
	}
}

// finishReads answers the reads whose round a majority has answered.
func (r *Raft) finishReads() {
	q := &r.leading.reads
	if len(q.waiting) == 0 {
		return
	}
	confirmed, n := r.confirmed(), 0
	for ; n < len(q.waiting) && q.waiting[n].round <= confirmed; n++ {
		r.answerRead(q.waiting[n])
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
}

func (r *Raft) answerRead(read readFrom) {
	if read.node == r.cfg.ID {
		r.out.reads = append(r.out.reads, Read{Token: read.token, Index: read.index})
	} else {
		r.say(Message{Kind: ReadIndexReply, To: read.node, Round: read.token, Commit: read.index})
	}
}

// onReadIndex takes in a read that a follower asks for.
func (r *Raft) onReadIndex(m *Message) {
	if p := r.answering(m); p != nil && !r.leading.reads.full() {
		r.register(readFrom{node: m.From, token: m.Round})
	}
}

func (r *Raft) onReadIndexReply(m *Message) {
	if i := slices.Index(r.asked, m.Round); i >= 0 && m.From == r.lead {
		r.asked = slices.Delete(r.asked, i, i+1)
		r.out.reads = append(r.out.reads, Read{Token: m.Round, Index: m.Commit})
	}
}

// refuseReads ends all reads under way: the leader that was asked is no more.
func (r *Raft) refuseReads() {
	for _, token := range r.asked {
		r.out.reads = append(r.out.reads, Read{Token: token})
	}
	r.asked = r.asked[:0]
	if r.leading == nil {
		return
	}
	for _, list := range [][]readFrom{r.leading.reads.early, r.leading.reads.waiting} {
		for _, read := range list {
			if read.node == r.cfg.ID {
				r.out.reads = append(r.out.reads, Read{Token: read.token})
			}
		}
	}
}
