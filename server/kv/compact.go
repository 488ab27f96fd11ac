package kv

import (
	"bytes"
	"encoding/binary"
)

// sweepPerCommand is how many changes a command clears away for a Compact before
// it. A command makes one change more often than not, so the sweep gains on the
// writes; and no command, the Compact included, waits for all of it.
const sweepPerCommand = 64

// compact makes the revisions below the given one unreadable. What only they
// could see is swept away by the commands that follow: each sweeps the same
// amount on every node, so that all stores hold the same pairs at the same index.
func (s *step) compact(do Compact, out *Result) {
	switch {
	case do.Revision > s.revision:
		out.Code = ErrFutureRevision
	case do.Revision <= s.compacted:
		out.Code = ErrCompacted
	default:
		s.compacted = do.Revision
	}
}

// sweep clears the next few changes below the compacted revision away, in the
// order in which they were made. The changes of the compacted revision itself
// stay: who follows the store from there wants to see them, the deletes too.
func (s *step) sweep() error {
	if s.swept >= s.compacted {
		return nil
	}
	type change struct {
		revision int64
		at, key  []byte
	}
	var found []change
	it := s.batch.Iterate()
	for ok := it.Seek(changeKey(s.swept, 0)); ok && len(found) < sweepPerCommand; ok = it.Next() {
		at, key := it.Pair()
		if bytes.Compare(at, changeKey(s.compacted, 0)) >= 0 {
			break
		}
		found = append(found, change{int64(binary.BigEndian.Uint64(at[1:])), bytes.Clone(at), bytes.Clone(key)})
	}
	if err := it.Close(); err != nil {
		return err
	}
	for _, c := range found {
		if err := s.sweepChange(c.revision, c.key); err != nil {
			return err
		}
		s.batch.Delete(c.at)
		s.swept = c.revision
	}
	if len(found) < sweepPerCommand {
		s.swept = s.compacted
	}
	return nil
}

// sweepChange deletes the versions of a key that the one of the given revision
// has replaced, and that one too if it is a tombstone.
func (s *step) sweepChange(revision int64, key []byte) error {
	prefix := versionsOf(key)
	var old [][]byte
	it := s.batch.Iterate()
	for ok := it.Seek(atRevision(prefix, revision)); ok; ok = it.Next() {
		pair, value := it.Pair()
		rest, mine := bytes.CutPrefix(pair, prefix)
		if !mine {
			break
		}
		v, err := decodeVersion(pair, rest, value)
		if err != nil {
			it.Close()
			return err
		}
		if v.mod < revision || !v.exists() {
			old = append(old, bytes.Clone(pair))
		}
	}
	for _, pair := range old {
		s.batch.Delete(pair)
	}
	return it.Close()
}
