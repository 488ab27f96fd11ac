package raft

import "slices"

// reads are the linearizable reads that a leader has under way.
type reads struct {
	round   uint64     // the last round of heartbeats, from 1; answered means: still the leader
	fresh   bool       // some of waiting belong to no round yet
	early   []readFrom // before an entry of this term is committed
	waiting []readFrom // for the answers to their round, oldest first
}

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
	before := r.mark()
	if r.lead == 0 {
		return 0, ErrNoLeader
	}
	r.tokens++
	if r.leading != nil {
		r.register(readFrom{node: r.cfg.ID, token: r.tokens})
	} else {
		r.asked = append(r.asked, r.tokens)
		r.say(Message{Kind: ReadIndex, To: r.lead, Round: r.tokens})
	}
	r.check(before)
	return r.tokens, nil
}

// register takes a read in.
func (r *Raft) register(read readFrom) {
	l := r.leading
	// RD2 §6.4 d: before that, this leader does not know how far its
	// predecessors had committed.
	if at, _ := r.log.at(r.commit); at.Term != r.term {
		l.reads.early = append(l.reads.early, read)
		return
	}
	// RD1 §6.4 d: what is committed now must be seen; whether we are still the
	// leader whose word that is must be confirmed after now.
	read.index, read.round = r.commit, 0
	l.reads.waiting = append(l.reads.waiting, read)
	l.reads.fresh = true
}

// startRound begins one round of heartbeats for all reads since the last.
func (r *Raft) startRound() {
	q := &r.leading.reads
	if at, _ := r.log.at(r.commit); at.Term == r.term && len(q.early) > 0 {
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
	q.round++
	for i := range q.waiting {
		if q.waiting[i].round == 0 {
			q.waiting[i].round = q.round
		}
	}
	r.heartbeat()
}

// finishReads answers the reads whose round a majority has answered: an answer
// to a later round confirms the earlier ones too.
func (r *Raft) finishReads() {
	q := &r.leading.reads
	if len(q.waiting) == 0 {
		return
	}
	confirmed := uint64(r.quorum().Committed(func(id NodeID) Index {
		if p := r.leading.peer(id); p != nil {
			return Index(p.Round)
		}
		return Index(q.round)
	}))
	n := 0
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
	if p := r.answering(m); p != nil {
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
