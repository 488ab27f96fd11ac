package wal

import (
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// Damage says where something was lost that Open went past, in the order of the log;
// nothing if there was none. What each says of the way out has been done.
func (l *Log) Damage() []*DamageError { return l.damages }

// salvage asks whether the log may go on with what is left of it.
func (l *Log) salvage(r *reading, saved map[raft.GroupID]*raft.Saved) error {
	if r.replay.forgot {
		saved[0] = &raft.Saved{State: raft.HardState{Injured: true}}
	}
	if err := l.opts.Salvage(saved); err != nil {
		return &refusal{r.damages[0], err}
	}
	l.damages = r.damages
	l.groups = map[raft.GroupID]*group{}
	for id, s := range saved {
		l.groups[id] = &group{id: id, state: s.State, base: s.Base}
		l.groups[id].skip(raft.Span{Prev: s.Base.ID, Entries: s.Entries}.Last()) // until they are written
	}
	return nil
}

// refusal is damage that Options.Salvage would not go past. What it says of the way
// out is told in place of what damage says: the two may contradict each other.
type refusal struct {
	damage *DamageError
	why    error
}

func (r *refusal) Error() string   { return r.damage.where() + "; " + r.why.Error() }
func (r *refusal) Unwrap() []error { return []error{r.damage, r.why} }

// salvageBytes is about how much of a group's entries one record of a rewritten log
// holds.
const salvageBytes = 4 << 20

// rewrite writes what was read once more, into one segment, and removes all others: to
// the next reader the log must be whole, and not make somebody injured who has healed.
// A crash before the rename leaves the damage, and one after it a log in which the last
// segment says all that is to be said.
func (l *Log) rewrite(saved map[raft.GroupID]*raft.Saved) error {
	s := newSegment(l.current(), l.opts.Env)
	old := l.segments
	l.segments = nil
	content := s.appendHeader(nil)
	// What is said last may be taken for torn if it is damaged in its turn: it is
	// nothing new.
	batches, begins := append(l.all(saved), l.statements()), []int{}
	for _, records := range batches {
		at := len(content)
		begins = append(begins, at)
		content = appendBatch(content, records)
		if len(content)-at-frameHeader > maxBatch {
			return ErrBatchTooLarge
		}
		s.seal.close(content[at:], int64(at))
	}
	if err := l.create(s, content); err != nil {
		return err
	}
	for i, records := range batches {
		l.noteAll(records, content[begins[i]+frameHeader:], place{segment: s, at: int64(begins[i])})
	}
	// Not kept for later segments: where bits have flipped, others may.
	for _, damaged := range old {
		if err := l.fs.Remove(segmentPath(l.dir, damaged.number)); err != nil {
			return err
		}
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	return nil
}

// all returns everything there is to say of the groups, in batches.
func (l *Log) all(saved map[raft.GroupID]*raft.Saved) [][]codec.Record {
	batches := [][]codec.Record{l.statements()}
	for _, statement := range batches[0] {
		group := saved[statement.Group]
		span := raft.Span{Prev: group.Base.ID, Entries: group.Entries}
		for len(span.Entries) > 0 {
			n, bytes := 0, 0
			for n < len(span.Entries) && (n == 0 || bytes < salvageBytes) {
				bytes += len(span.Entries[n].Data)
				n++
			}
			part := raft.Span{Prev: span.Prev, Entries: span.Entries[:n]}
			batches = append(batches, []codec.Record{{Group: statement.Group, Write: raft.Write{Append: part}}})
			span = raft.Span{Prev: part.Last(), Entries: span.Entries[n:]}
		}
	}
	return batches
}
