package raft

import "github.com/quorate-db/quorate/raft/membership"

// maybeCommit is called when an acknowledgement, ours or a follower's, has come:
// of the entry at acked and all before it.
func (r *Raft) maybeCommit(acked Index) {
	if r.leading == nil || acked <= r.commit {
		return
	}
	n := r.quorum().Committed(r.matched)
	// L8 §5.4.2 Fig 8: an entry of an earlier term may be on a majority and
	// still be overwritten. One of this term carries all before it along.
	if at, ok := r.log.at(n); ok && at.Term == r.term && n > r.commit {
		r.trace(L8, 0, at)
		if r.log.config().joint() {
			r.trace(M3, 0, at)
		}
		r.commitTo(n)
	}
}

// matched is the last entry that is known to be on a node's disk.
func (r *Raft) matched(id NodeID) Index {
	if id == r.cfg.ID {
		return r.disk.durable
	}
	if p := r.leading.peer(id); p != nil && p.injured == 0 { // IN2
		return p.Match
	}
	return 0
}

// commitTo raises the commit index (ALL1 §5.3: what lies below is applied in
// order, by the host, up to Effects.Commit).
func (r *Raft) commitTo(n Index) {
	if n <= r.commit {
		return
	}
	if r.leading != nil {
		committed := r.log.entries[r.commit-r.log.base.Index : n-r.log.base.Index]
		for i := range committed {
			r.leading.uncommitted -= min(r.leading.uncommitted, committed[i].Size())
		}
	}
	was := r.commit
	r.commit = n
	if r.leading == nil {
		return
	}
	// A joint configuration may have been committed by an earlier leader that
	// did not live to leave it.
	if now := r.log.config(); now.index <= n && (was < now.index || now.joint()) {
		r.changeCommitted()
	}
}

// Entries returns the committed entries after the given index, up to and
// including last, but no more than maxBytes of them and at least one. They must
// not be changed. It panics if they are not there: the host asks only for what
// Effects.Commit offers and it has not yet reported as applied.
func (r *Raft) Entries(after, last Index, maxBytes uint64) []Entry {
	assert(last <= r.commit || broken("entries up to %d asked, %d committed", last, r.commit))
	if after >= last {
		return nil
	}
	return r.log.span(after, last, maxBytes).Entries
}

// Members returns the configuration in force and the index of its entry, which
// names it: Change takes it as a condition.
func (r *Raft) Members() (membership.Config, Index) {
	at := r.log.config()
	return *at.config, at.index
}
