package raft

// onAppendEntries is the receiving side of replication. Messages of an older
// term have been refused before (AE1).
func (r *Raft) onAppendEntries(m *Message) {
	r.follow(m.From)
	span, known := r.log.after(m.Span)
	if known {
		// All of it lies before our log's start, and so is committed: our
		// committed entries are the leader's (Leader Completeness, §5.4).
		r.promise(Message{Kind: AppendEntriesReply, To: m.From, Last: r.log.base})
		return
	}

	// AE2 §5.3: without the entry before them, these would leave a gap or hide
	// a disagreement. Name the last entry that could be common to both logs.
	if !r.log.holds(span.Prev) {
		r.trace(AE2, m.From, span.Prev)
		r.say(Message{Kind: AppendEntriesReply, To: m.From, Rejected: span.Prev, Last: r.log.lastNotAfter(span.Prev)})
		return
	}

	// AE3, AE4 §5.3: the log is cut only where it truly differs. An old message
	// that arrives late holds a prefix of what we have and must not shorten it.
	if fresh := r.log.fresh(span); len(fresh) > 0 {
		assert(fresh[0].Index > r.commit || broken("V3: leader %x contradicts the committed entry before %v", m.From, fresh[0].EntryID))
		if fresh[0].Index <= r.log.last().Index {
			r.trace(AE3, m.From, fresh[0].EntryID)
		}
		r.disk.cut(fresh[0].Index - 1)
		r.log.replaceFrom(fresh)
		r.trace(AE4, m.From, r.log.last())
	}
	r.promise(Message{Kind: AppendEntriesReply, To: m.From, Last: span.Last()})

	// AE5 §5.3: beyond the last entry of this message our log may still differ
	// from the leader's, whatever the leader has committed.
	if n := min(m.Commit, span.Last().Index); n > r.commit {
		r.trace(AE5, m.From, EntryID{Index: n})
		r.commitTo(n)
	}
}

// after returns the part of the span that lies behind the log's start, and
// whether there is none: then all of it is in the log already.
func (l *log) after(s Span) (Span, bool) {
	if s.Prev.Index >= l.base.Index {
		return s, false
	}
	if s.Last().Index <= l.base.Index {
		return Span{}, true
	}
	return Span{Prev: l.base, Entries: s.Entries[l.base.Index-s.Prev.Index:]}, false
}
