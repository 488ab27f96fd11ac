package kv

import "bytes"

// sweepPerCommand is how many changes a command clears away for a Compact before
// it. A command makes one change more often than not, so the sweep gains on the
// writes; and no command, the Compact included, waits for all of it.
const sweepPerCommand = 64

// sweepAtOnce is how many a Sweep clears away.
const sweepAtOnce = 4096

// compact makes the revisions below the given one unreadable. What only they
// could see is swept away by the commands that follow: each sweeps the same
// amount on every node, so that all stores hold the same pairs at the same index.
func (s *step) compact(do Compact) error {
	switch {
	case do.Revision > s.revision:
		return ErrFutureRevision
	case do.Revision <= s.compacted:
		return ErrCompacted
	}
	if s.swept == s.compacted {
		// What the revision that was compacted before has changed is gone through
		// again: it was kept, and is not any more.
		s.sweptOf = 0
	}
	s.compacted = do.Revision
	s.tally.Ranges++ // etcd finds out so which revision to answer with
	return nil
}

// isSwept reports whether all that was compacted has been cleared away.
func (m meta) isSwept() bool { return m.swept == m.compacted && m.sweptOf == 0 }

// sweep clears the next changes up to the compacted revision away, up to a limit, in
// the order in which they were made. Of the compacted revision itself only that
// goes which it has replaced: who follows the store from there wants to see what
// it did, the deletes too.
func (s *step) sweep(limit int) error {
	if s.isSwept() {
		return nil
	}
	type found struct {
		at []byte
		change
	}
	var all []found
	it := s.batch.Iterate()
	// It begins behind what was cleared away: an iterator may have to step over
	// what was deleted, and a range of a million keys is one revision.
	for ok := it.Seek(changeKey(s.swept, s.sweptOf)); ok && len(all) < limit; ok = it.Next() {
		at, value := it.Pair()
		if bytes.Compare(at, changeKey(s.compacted+1, 0)) >= 0 {
			break
		}
		c, err := decodeChange(at, bytes.Clone(value))
		if err != nil {
			it.Close()
			return err
		}
		all = append(all, found{bytes.Clone(at), c})
	}
	if err := it.Close(); err != nil {
		return err
	}
	for _, f := range all {
		s.forget(f.change)
		if f.revision < s.compacted {
			s.batch.Delete(f.at)
		} else {
			f.cleared = true
			s.batch.Set(f.at, f.change.encode())
		}
		s.swept, s.sweptOf = f.revision, f.n+1
	}
	if len(all) < limit {
		s.swept, s.sweptOf = s.compacted, 0
	}
	return nil
}

// forget deletes the version that a change has replaced, and what the change left
// if that is a tombstone that nobody can ask for any more.
func (s *step) forget(c change) {
	if c.replaced != 0 && !c.cleared {
		s.batch.Delete(atRevision(versionsOf(c.key), c.replaced))
		s.space.bytes -= weight(c.key, c.size)
	}
	if c.tombstone && c.revision < s.compacted {
		s.batch.Delete(atRevision(versionsOf(c.key), c.revision))
		s.space.bytes -= weight(c.key, 0)
	}
}
