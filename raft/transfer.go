package raft

import "github.com/quorate-db/quorate/raft/membership"

// transfer is a leadership on its way to another node.
type transfer struct {
	to    NodeID // zero: none
	ticks int    // since it was asked for
	told  bool   // it has everything and was told to campaign
}

// Transfer hands leadership to another voter: to the one given, or if that is
// zero to the one most up to date. It ends with that node's campaign or, after
// an election timeout, with nothing changed.
func (r *Raft) Transfer(to NodeID) error {
	if r.tape != nil {
		r.tape.note(Input{Kind: transferInput, Node: to})
	}
	return r.handOver(to)
}

func (r *Raft) handOver(to NodeID) error {
	if r.role != Leader {
		return ErrNotLeader
	}
	if to == 0 {
		to = r.successor()
	}
	if to == r.cfg.ID {
		return nil
	}
	if r.leading.peer(to) == nil || !r.mayTakeOver(to) {
		return ErrNotVoter
	}
	r.wake(0)
	// TR1 §3.10 d: from now on no proposals, so that the target can catch up.
	r.leading.transfer = transfer{to: to}
	r.leading.reads.noLease = true
	r.trace(TR1, to, EntryID{})
	r.check()
	return nil
}

// Resign gives up leadership at once, to whoever has most of the log if anybody
// answers: this node knows that it cannot lead well, because its disk stalls, say.
func (r *Raft) Resign() {
	if r.tape != nil {
		r.tape.note(Input{Kind: resignInput})
	}
	if r.leading != nil {
		r.wake(0)
		if to := r.successor(); to != 0 { // with nobody to take over, better we than none
			r.sendTimeoutNow(to)
			r.becomeFollower(r.term, 0)
		}
	}
	r.check()
}

// successor is the voter that answers and has most of the log; of several, the
// one with the lowest ID. Zero if there is none.
func (r *Raft) successor() NodeID {
	var best NodeID
	var match Index
	for _, p := range r.leading.peers {
		if r.mayTakeOver(p.id) && (best == 0 || p.Match > match) {
			best, match = p.id, p.Match
		}
	}
	return best
}

// mayTakeOver reports whether another member is a voter that answers and is well.
func (r *Raft) mayTakeOver(id NodeID) bool {
	return r.members().Voter(id) && r.active(id) && r.leading.peer(id).injured == 0
}

func (r *Raft) active(id NodeID) bool {
	return r.leading.ticks-r.leading.peer(id).Heard <= uint64(r.cfg.ElectionTicks)
}

// maybeTimeoutNow tells the target to campaign once it has the whole log.
func (r *Raft) maybeTimeoutNow() {
	t := &r.leading.transfer
	if t.to == 0 || t.told {
		return
	}
	if p := r.leading.peer(t.to); p != nil && p.Match == r.log.last().Index {
		r.sendTimeoutNow(t.to)
		t.told = true
	}
}

func (r *Raft) sendTimeoutNow(to NodeID) {
	r.out.send = append(r.out.send, Message{Kind: TimeoutNow, From: r.cfg.ID, To: to, Term: r.term})
}

func (r *Raft) tickTransfer() {
	t := &r.leading.transfer
	if t.to == 0 {
		return
	}
	// TR2 §3.10 d: the target does not answer or cannot win. Clients wait.
	if t.ticks++; t.ticks >= r.cfg.ElectionTicks {
		r.trace(TR2, t.to, EntryID{})
		*t = transfer{}
	}
}

// preferOther hands leadership to a voter with a higher priority than ours that
// holds all we have committed. It looks once in a few election timeouts, so that a
// target that cannot win does not keep clients waiting.
func (r *Raft) preferOther() {
	l := r.leading
	if l.transfer.to != 0 || l.ticks%r.preferPeriod() != 0 {
		return
	}
	if to := r.preferred(); to != 0 {
		_ = r.handOver(to) // refused: then not
	}
}

// preferPeriod is after how many ticks a leader looks again for one to prefer.
func (r *Raft) preferPeriod() uint64 { return 4 * uint64(r.cfg.ElectionTicks) }

// preferred is the voter that we should hand leadership to; zero: nobody.
func (r *Raft) preferred() (to NodeID) {
	self, _ := r.members().Find(r.cfg.ID)
	best := self.Priority
	for i := range r.leading.peers {
		p := &r.leading.peers[i]
		m, _ := r.members().Find(p.id)
		if m.Role == membership.Voter && m.Priority > best && p.Match >= r.commit && r.mayTakeOver(p.id) {
			best, to = m.Priority, p.id
		}
	}
	return to
}

// onTimeoutNow campaigns at once.
func (r *Raft) onTimeoutNow(m *Message) {
	if r.role == Leader || !r.mayLead() || r.lead != 0 && r.lead != m.From {
		return
	}
	// TR3 §3.10 d §4.2.3 d: no pre-vote, and with permission to disturb: all
	// others still hear their leader and would refuse.
	r.trace(TR3, m.From, EntryID{})
	r.stand(true)
}
