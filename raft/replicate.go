package raft

import "github.com/quorate-db/quorate/raft/progress"

// Propose appends a command to the leader's log and returns the entry's name
// (L3 §5.3). If that entry is committed, the command is carried out; if another
// is committed at its index, it never will be. The data must not be changed
// afterwards.
func (r *Raft) Propose(data []byte) (EntryID, error) { return r.ProposeIn(r.term, data) }

// ProposeIn is Propose on the condition that this node leads the given term: who
// knows in which term a command was offered knows when it can no longer come.
func (r *Raft) ProposeIn(term Term, data []byte) (EntryID, error) {
	if r.tape != nil {
		r.tape.note(Input{Kind: proposeInput, Term: term, Data: data})
	}
	if err := r.mayPropose(uint64(len(data))); err != nil {
		return EntryID{}, err
	}
	if term != r.term {
		return EntryID{}, ErrNotLeader
	}
	id := r.append(Entry{Kind: Command, Data: data})
	r.trace(L3, 0, id)
	r.check()
	return id, nil
}

func (r *Raft) mayPropose(bytes uint64) error {
	switch {
	case r.role != Leader:
		return ErrNotLeader
	case r.leading.transfer.to != 0:
		return ErrTransferring // TR1 §3.10 d: the target could never catch up
	case r.leading.uncommitted > 0 && r.leading.uncommitted+bytes > r.cfg.MaxUncommittedBytes:
		return ErrBusy
	}
	return nil
}

// append puts one entry at the end of the leader's log. L4 Fig 3 §5.3: a leader
// never does anything else to its log.
func (r *Raft) append(e Entry) EntryID {
	r.wake(0)
	e.EntryID = EntryID{r.term, r.log.last().Index + 1}
	r.log.extend([]Entry{e})
	r.leading.uncommitted += e.Size()
	r.trace(L4, 0, e.EntryID)
	return e.EntryID
}

// broadcast sends each follower what it lacks, as far as its window allows. L1
// §5.2: for a new leader that is the blank entry, which also announces it.
func (r *Raft) broadcast() {
	r.startRound()
	for i := range r.leading.peers {
		p := &r.leading.peers[i]
		r.replicate(p)
		// The commit index rides on entries; where none go, it goes alone.
		if p.State == progress.Replicate && p.Told < min(r.commit, p.Match) {
			r.beat(p, 0)
		}
	}
	r.finishReads()
	r.maybeTimeoutNow()
}

// replicate sends one follower entries from Next on (L5 §5.3).
func (r *Raft) replicate(p *peer) {
	last := r.log.last().Index
	for p.CanSend() && (p.Next <= last || p.State == progress.Probe) {
		if p.Next <= r.log.base.Index {
			r.sendSnapshot(p)
			return
		}
		r.sendEntries(p, r.log.span(p.Next-1, last, r.cfg.MaxMessageBytes))
	}
}

func (r *Raft) sendEntries(p *peer, s Span) {
	r.out.send = append(r.out.send, Message{
		Kind: AppendEntries, From: r.cfg.ID, To: p.id, Term: r.term, Span: s, Commit: r.commit,
	})
	var bytes uint64
	for i := range s.Entries {
		bytes += s.Entries[i].Size()
	}
	p.Told = max(p.Told, min(r.commit, s.Last().Index))
	if p.InFlight() > 0 {
		r.trace(L11, p.id, s.Last())
	}
	p.Sent(s.Last().Index, bytes)
}

// sendSnapshot announces a snapshot to a follower that needs entries from before
// the log's start (SN2 §7). Which one goes, this or a newer, is the host's choice.
func (r *Raft) sendSnapshot(p *peer) {
	s, _ := r.log.snapshot(r.log.base.Index)
	r.out.send = append(r.out.send, Message{
		Kind: InstallSnapshot, From: r.cfg.ID, To: p.id, Term: r.term, Snapshot: &s,
	})
	p.AwaitSnapshot(s.ID.Index)
	r.trace(SN2, p.id, s.ID)
}

func (r *Raft) heartbeat() {
	r.leading.beat = 0
	r.nextRound()
	r.trace(L7, 0, EntryID{})
	for i := range r.leading.peers {
		r.beat(&r.leading.peers[i], r.leading.reads.round)
	}
}

// beat sends a sign of life; with a round that is not zero, one to be answered.
// It tells no more of the commit index than the follower is known to hold.
func (r *Raft) beat(p *peer, round uint64) {
	commit := min(r.commit, p.Match)
	p.Told = max(p.Told, commit)
	m := Message{Kind: Heartbeat, From: r.cfg.ID, To: p.id, Term: r.term, Commit: commit, Round: round}
	if r.leading.rest.offer != 0 && round >= r.leading.rest.offer {
		m.Sleep, m.Last = true, r.leading.rest.last
	}
	r.addressInjured(p, &m)
	r.out.send = append(r.out.send, m)
}

func (r *Raft) onAppendEntriesReply(m *Message) {
	p := r.answering(m)
	if p == nil {
		return
	}
	if m.Rejected != (EntryID{}) {
		// L6 §5.3: the follower named the last of its entries that could match;
		// the last of ours that could is not after that, and not of a later
		// term. Each round trip settles a term at least.
		if p.Rejected(m.Rejected.Index, r.log.lastNotAfter(m.Last).Index) {
			r.trace(L6, m.From, m.Rejected)
		}
		return
	}
	if !r.mayHold(m.Last) {
		return
	}
	if p.Acked(m.Last.Index) {
		r.trace(L5, m.From, m.Last)
		r.maybeCommit(m.Last.Index)
	}
}

// mayHold reports whether a follower that claims to have everything up to an entry
// speaks of our log: nobody can hold more of it than we do, or something else.
func (r *Raft) mayHold(last EntryID) bool {
	return last.Index < r.log.base.Index || r.log.holds(last)
}

func (r *Raft) onHeartbeat(m *Message) {
	r.follow(m.From)
	if r.believes(m) {
		r.commitTo(min(m.Commit, r.log.last().Index))
	}
	r.maybeHeal(m)
	if m.Round != 0 {
		r.say(Message{Kind: HeartbeatReply, To: m.From, Round: m.Round, Sleep: r.maybeSleep(m)})
	}
}

func (r *Raft) onHeartbeatReply(m *Message) {
	p := r.answering(m)
	if p == nil {
		return
	}
	if m.Injured == 0 { // IN2: it may have helped to depose us, and forgotten it
		p.Round = max(p.Round, min(m.Round, r.leading.reads.round))
	}
	p.slept = 0
	if m.Sleep {
		p.slept = min(m.Round, r.leading.reads.round)
	}
	last := r.log.last().Index
	switch {
	case p.State == progress.Snapshot, p.Match == last, p.CanSend() && p.Next <= last:
	case p.Next <= r.log.base.Index && r.leading.ticks < p.NotBefore:
	case p.Next <= r.log.base.Index:
		// It lives, and what it lacks can only come as a snapshot, again if the
		// last one was lost.
		p.Lost()
		p.Resume()
	default:
		// What is on its way may be lost, or wait for a slow disk. An empty
		// message tells: it is answered after what was sent before it, or shows
		// by a refusal that this has not arrived. More entries would only pile up.
		r.sendEntries(p, r.log.span(p.Next-1, p.Next-1, 0))
	}
}

// Unreachable reports that messages to the node may have been lost.
func (r *Raft) Unreachable(id NodeID) {
	if r.tape != nil {
		r.tape.note(Input{Kind: unreachableInput, Node: id})
	}
	// Where all sleep, nothing is under way.
	if r.leading != nil && !r.asleep {
		if p := r.leading.peer(id); p != nil {
			p.Lost()
		}
	}
	r.check()
}
