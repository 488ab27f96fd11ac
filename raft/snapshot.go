package raft

// Compact drops the log up to the given index. SN1 §7 §5.1 d: only what is
// applied may go, and only once a durable state machine or snapshot covers it:
// the host's promise.
func (r *Raft) Compact(upTo Index) error {
	if r.tape != nil {
		r.tape.note(Input{Kind: compactInput, Index: upTo})
	}
	if upTo <= r.log.base.Index {
		return nil
	}
	if upTo > min(r.applied, r.disk.durable) {
		return ErrAhead
	}
	s, _ := r.log.snapshot(upTo)
	r.log.compact(s)
	r.out.base = &s
	r.trace(SN1, 0, s.ID)
	r.check()
	return nil
}

// Base is the entry after which the log begins here.
func (r *Raft) Base() EntryID { return r.log.base }

// Needs reports whether a snapshot would tell this node anything: a host that is
// offered one asks before it takes all of it.
func (r *Raft) Needs(s Snapshot) bool { return s.ID.Index > r.commit && !r.log.holds(s.ID) }

// SnapshotAt returns the name and configuration of a snapshot of the state at
// the given index, which must have been applied and not be compacted.
func (r *Raft) SnapshotAt(i Index) (Snapshot, error) {
	s, ok := r.log.snapshot(i)
	if !ok || i > r.applied {
		return Snapshot{}, ErrCompacted
	}
	return s, nil
}

// onInstallSnapshot comes when the host holds all of a snapshot, durably.
// Messages of an older term have been refused before (IS1); chunks are put in
// order and verified by package snap (IS2).
func (r *Raft) onInstallSnapshot(m *Message) {
	r.follow(m.From)
	s := *m.Snapshot
	switch at := s.ID.Index; {
	case at <= r.commit:
		// IS1 Fig 13 §7: an old one. We have all of it already.
		r.trace(IS1, m.From, s.ID)
		committed, _ := r.log.at(r.commit)
		r.promise(Message{Kind: InstallSnapshotReply, To: m.From, Last: committed})
		return
	case r.log.holds(s.ID):
		// IS3 Fig 13 §7: it covers a prefix of our log. Nothing needs loading,
		// and what follows may already have been acknowledged.
		r.trace(IS3, m.From, s.ID)
		r.commitTo(at)
	default:
		// IS4 Fig 13 §7: our log ends before it, or differs.
		r.trace(IS4, m.From, s.ID)
		r.restore(s)
	}
	r.promise(Message{Kind: InstallSnapshotReply, To: m.From, Last: s.ID})
}

// restore begins again from a snapshot.
func (r *Raft) restore(s Snapshot) {
	r.log = newLog(s, nil)
	r.disk.cut(0)
	r.disk.handed = s.ID.Index
	r.commit, r.applied = s.ID.Index, s.ID.Index
	r.out.base, r.out.install = &s, &s
}

func (r *Raft) onInstallSnapshotReply(m *Message) {
	p := r.answering(m)
	if p == nil || !r.mayHold(m.Last) {
		return
	}
	if p.Acked(m.Last.Index) {
		r.maybeCommit(m.Last.Index)
	}
}

// SnapshotSent reports how the transfer of a snapshot to the node has ended: up to
// which entry it now has everything, or zero if it came to nothing. The host must
// report it either way: nothing else is sent until it does or the node
// acknowledges. After failures the next attempt waits longer and longer.
func (r *Raft) SnapshotSent(to NodeID, upTo Index) {
	if r.tape != nil {
		r.tape.note(Input{Kind: snapshotSentInput, Node: to, Index: upTo})
	}
	if r.leading != nil {
		if p := r.leading.peer(to); p != nil {
			p.SnapshotEnded(min(upTo, r.log.last().Index), r.leading.ticks, uint64(r.cfg.ElectionTicks))
		}
	}
	r.check()
}
