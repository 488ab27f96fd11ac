package wal

import (
	"errors"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// A segment can go when every group has compacted what it holds of it. A group that
// is quiet, or whose state machine does not keep up, would so hold back the entries
// of all others. Its live entries, all of them, are then written once more, at the
// end of the log, as one Append behind its base: that replaces them by themselves.
const (
	// The log may be this many times as long as the entries that are needed, and
	// longer by this many segments, before entries are moved. A byte is thus
	// written again at most once for every byte that this frees.
	slackFactor   = 2
	slackSegments = 4

	// moveSegments is how many segments full of entries a group may have and be
	// moved. One with more stays where it is: all others would wait for it.
	moveSegments = 4

	// movePart is the part of a segment that is moved at a time, if groups are not
	// larger: whoever writes meanwhile waits for no more.
	movePart = 16
)

// relieve moves some entries out of the oldest segment, unless the log is short enough
// or that would not help: then it is not called again before the next segment.
func (l *Log) relieve() error {
	l.relieving = false
	if !l.bloated() {
		return nil
	}
	records, err := l.gather(l.movable(l.segments[0]))
	if err != nil || len(records) == 0 {
		return err
	}
	l.buf = appendBatch(l.buf[:0], records)
	if len(l.buf) > maxBatch {
		return nil
	}
	moved := uint64(len(l.buf))
	if err := l.write(records); err != nil {
		return err
	}
	l.buf = nil // it may be far larger than what others write
	if err := l.release(); err != nil {
		return err
	}
	l.relieving = true
	l.mu.Lock()
	l.status.Moved += moved
	l.measure()
	l.mu.Unlock()
	return nil
}

func (l *Log) bloated() bool {
	if len(l.segments) <= slackSegments {
		return false
	}
	var size, live int64
	for _, s := range l.segments {
		size += s.size
		for id, held := range s.held {
			if l.needs(id, held) {
				live += held.bytes
			}
		}
	}
	return size > slackFactor*live+slackSegments*l.opts.SegmentBytes
}

// needs reports whether the group has not compacted all that is held of it.
func (l *Log) needs(id raft.GroupID, h held) bool { return h.last > l.groups[id].base.ID.Index }

// movable returns groups that hold back the segment, as many as are moved at a time;
// none, if one of them is too large, since moving others would free nothing.
func (l *Log) movable(oldest *segment) []raft.GroupID {
	var groups []raft.GroupID
	sum := int64(0)
	for _, id := range slices.Sorted(maps.Keys(oldest.held)) {
		if !l.needs(id, oldest.held[id]) {
			continue
		}
		live := int64(0)
		for _, s := range l.segments {
			live += s.held[id].bytes
		}
		if live > moveSegments*l.opts.SegmentBytes {
			return nil
		}
		if sum += live; sum <= l.opts.SegmentBytes/movePart || len(groups) == 0 {
			groups = append(groups, id)
		}
	}
	return groups
}

// gather reads the live entries of groups, which the oldest segment holds some of. It
// reads no frames but those that have some: the log may be far longer than what is moved.
func (l *Log) gather(groups []raft.GroupID) ([]codec.Record, error) {
	if len(groups) == 0 {
		return nil, nil
	}
	r := newReading(l.dir)
	for i, s := range l.segments {
		frames := s.frames(groups)
		if i == 0 && s.number > 1 {
			frames = append(frames, segmentHeader) // its statement
		}
		slices.Sort(frames)
		if err := l.reread(s, slices.Compact(frames), func(statement bool, record codec.Record) error {
			if _, wanted := slices.BinarySearch(groups, record.Group); !wanted {
				return nil
			}
			if statement && i == 0 {
				return r.replay.begin(record)
			}
			return r.replay.add(record)
		}); err != nil {
			return nil, err
		}
	}
	return l.copies(groups, &r.replay)
}

// frames returns where the frames begin that say something of the groups, if any of
// them has entries in the segment.
func (s *segment) frames(groups []raft.GroupID) (all []int64) {
	for _, id := range groups {
		if h := s.held[id]; h.bytes > 0 {
			all = append(all, h.frames...)
		}
	}
	return all
}

// copies returns what to write for groups whose entries were read into r: none, if a
// snapshot has replaced the log of one. It has no live entries, and will free the
// segment by going past those that it once had.
func (l *Log) copies(groups []raft.GroupID, r *replay) ([]codec.Record, error) {
	var records []codec.Record
	for _, id := range groups {
		base := l.groups[id].base
		if err := r.add(codec.Record{Group: id, Write: raft.Write{Base: &base}}); err != nil {
			return nil, err
		}
		span := raft.Span{Prev: base.ID, Entries: r.groups[id].saved.Entries}
		if len(span.Entries) == 0 {
			return nil, nil
		}
		records = append(records, codec.Record{Group: id, Write: raft.Write{Append: span}})
	}
	return records, nil
}

// reread calls each with the records of some frames of a segment.
func (l *Log) reread(s *segment, frames []int64, each func(statement bool, record codec.Record) error) (err error) {
	if len(frames) == 0 {
		return nil
	}
	path := segmentPath(l.dir, s.number)
	file, err := l.fs.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, at := range frames {
		payload, err := s.seal.read(file, at)
		if err != nil {
			return err
		}
		if payload == nil {
			return &DamageError{path, at, "the frame was valid when it was written, and is no longer"}
		}
		statement := s.number > 1 && at == segmentHeader
		if err := decodeBatch(payload, func(r codec.Record) error { return each(statement, r) }); err != nil {
			return &DamageError{path, at, err.Error()}
		}
	}
	return nil
}
