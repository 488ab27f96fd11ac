package raft

// disk is what the core knows of its own disk. Writes are handed out by Take in
// order, numbered from 1; Persisted says up to which they are durable.
type disk struct {
	durable Index     // the last entry of the log that is durable
	term    Term      // the last one that is durable
	state   HardState // as last handed out
	handed  Index     // entries up to here have been handed out
	writes  uint64    // handed out so far
	pending []pending // not yet durable, oldest first
}

type pending struct {
	write uint64
	last  Index // of the entries in it that are still in the log; zero if none
	term  Term  // the hard state's
}

// cut forgets what is known of entries after the given one: they are no longer
// in the log. A report about their write may still come, possibly after another
// entry has taken their place; it must not count for that one.
func (d *disk) cut(after Index) {
	d.durable = min(d.durable, after)
	d.handed = min(d.handed, after)
	for i := range d.pending {
		d.pending[i].last = min(d.pending[i].last, after)
	}
}

// Persisted reports that the write with this number, and all before it, are
// durable, and returns whether there is anything to take because of it. Write numbers
// are in Effects.
func (r *Raft) Persisted(write uint64) (stirred bool) {
	if r.tape != nil {
		r.tape.note(Input{Kind: persistedInput, Number: write})
	}
	assert(write <= r.disk.writes || broken("V12: write %d reported durable, %d were asked for", write, r.disk.writes))
	role, offered := r.role, r.offered()
	n := 0
	for ; n < len(r.disk.pending) && r.disk.pending[n].write <= write; n++ {
		r.disk.durable = max(r.disk.durable, r.disk.pending[n].last)
		r.disk.term = r.disk.pending[n].term
	}
	r.disk.pending = r.disk.pending[:copy(r.disk.pending, r.disk.pending[n:])]
	r.ownVoteDurable()
	r.trace(L10, 0, EntryID{Index: r.disk.durable})
	r.maybeCommit(r.disk.durable) // L10 §10.2.1 d: our own disk is one vote among the others
	r.check()
	return r.role != role || r.offered() != offered || r.out.any()
}

// offered is the last entry that the state machine may apply. It stays behind our own
// disk, so that after a crash it never holds what the log has lost.
func (r *Raft) offered() Index { return min(r.commit, r.disk.durable) }

// Applied reports that the state machine has applied everything up to i, and returns
// whether there is anything to take: only where rules are traced.
func (r *Raft) Applied(i Index) (stirred bool) {
	if r.tape != nil {
		r.tape.note(Input{Kind: appliedInput, Index: i})
	}
	assert(i <= r.commit || broken("V2: applied %d of committed %d", i, r.commit))
	if i > r.applied {
		r.applied = i
		r.trace(ALL1, 0, EntryID{Index: i})
	}
	r.check()
	return r.out.any()
}
