package wal

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// A segment can go when nothing in it is needed. A group that is quiet, or whose state
// machine does not keep up, would so hold back the entries of all others. What is needed of
// the oldest segment is then written once more, at the end of the log, in records that say
// that the log has these entries already.
//
// A lap is the time in which all segments that there are at its beginning go. What is moved
// in it was needed at its beginning, and was then less than half of them (slackFactor): so
// less is written again than is freed for good. And whenever something is appended to a log
// that is too long, at least as much of its oldest segment is done with (relieve): it
// gets longer only while what is needed does.
const (
	// The log may be this many times as long as the entries that are needed, and
	// longer by this many segments, before entries are moved.
	slackFactor   = 2
	slackSegments = 4

	// movePart is the part of a segment that is moved at a time, if batches are not
	// larger: whoever writes meanwhile waits for no more.
	movePart = 16
)

// relieve moves what is needed out of some of the oldest segment: as much of it as was
// written just now, and a part at least. It is not called again before the next segment if
// the log is short enough, or if that would not help.
func (l *Log) relieve(written int64) error {
	part := l.opts.SegmentBytes / movePart
	for done := int64(0); l.relieving && done <= written; done += part {
		l.relieving = l.bloated()
		if !l.relieving {
			return nil
		}
		if err := l.move(part); err != nil {
			l.relieving = false
			return err
		}
	}
	return nil
}

func (l *Log) bloated() bool {
	if len(l.segments) <= slackSegments {
		return false
	}
	var size, live int64
	for _, s := range l.segments {
		size += s.size - s.begun
		live += s.live
	}
	return size > slackFactor*live+slackSegments*l.opts.SegmentBytes
}

// move moves what is needed of so many bytes of the oldest segment, from the first frame on in
// which something may be.
func (l *Log) move(bytes int64) error {
	oldest := l.segments[0]
	parts := l.parts(oldest, bytes)
	if err := l.collect(oldest, parts); err != nil {
		return err
	}
	var records []codec.Record
	for i := range parts {
		if p := &parts[i]; len(p.span.Entries) > 0 {
			records = append(records, codec.Record{Group: p.group.id, Write: raft.Write{Append: p.span}, Again: true})
		}
	}
	if len(records) > 0 {
		if err := l.repeat(records); err != nil || !l.relieving {
			return err
		}
	}
	l.relieving = len(parts) > 0
	for i := range parts {
		parts[i].done()
	}
	return nil
}

// part is what is moved at a time of a piece.
type part struct {
	group  *group
	span   raft.Span    // its entries; at first only what they follow
	last   raft.EntryID // of the piece
	frames []int64      // in which they are
	more   bool         // the piece has others, if only with what was cut
}

// parts returns what to read of the segment: of all the pieces in it, the frames that begin
// within so many bytes of the first one.
func (l *Log) parts(s *segment, bytes int64) (parts []part) {
	from := s.size
	for _, id := range slices.Sorted(maps.Keys(s.pieces)) {
		g := l.groups[id]
		for i := range g.pieces {
			if p := &g.pieces[i]; p.segment == s {
				from = min(from, p.frames[0])
				parts = append(parts, part{group: g, span: raft.Span{Prev: g.before(i)}, last: p.last, frames: p.frames})
			}
		}
	}
	for i := range parts {
		p := &parts[i]
		n, _ := slices.BinarySearch(p.frames, from+bytes)
		p.frames, p.more = p.frames[:n], n < len(p.frames)
	}
	return slices.DeleteFunc(parts, func(p part) bool { return len(p.frames) == 0 })
}

// collect reads the entries of parts, and no frames but those that have some: the log may be
// far longer than what is moved.
func (l *Log) collect(s *segment, parts []part) error {
	wanted := map[raft.GroupID][]*part{}
	var frames []int64
	for i := range parts {
		p := &parts[i]
		wanted[p.group.id] = append(wanted[p.group.id], p)
		frames = append(frames, p.frames...)
	}
	slices.Sort(frames)
	if err := l.reread(s, slices.Compact(frames), func(r codec.Record, at int64) {
		for _, p := range wanted[r.Group] {
			if _, in := slices.BinarySearch(p.frames, at); in {
				p.take(r.Write.Append.Entries)
			}
		}
	}); err != nil {
		return err
	}
	for i := range parts {
		if p := &parts[i]; !p.whole() {
			return fmt.Errorf("wal: the entries of group %d between %v and %v are not where they were written, in %s",
				p.group.id, p.span.Prev, p.last, segmentPath(l.dir, s.number))
		}
	}
	return nil
}

// take takes those entries of a record that belong to the piece. One that was replaced by a
// later record of the same frame gives way to it.
func (p *part) take(entries []raft.Entry) {
	for _, e := range entries {
		n := e.Index - p.span.Prev.Index - 1
		if e.Index > p.span.Prev.Index && e.Index <= p.last.Index && n <= raft.Index(len(p.span.Entries)) {
			p.span.Entries = append(p.span.Entries[:n], e)
		}
	}
}

// whole reports whether all entries were found that the frames must have, and nothing else.
func (p *part) whole() bool {
	for i := range p.span.Entries {
		if p.span.Entries[i].Term != p.last.Term {
			return false
		}
	}
	return p.more || p.span.Last() == p.last
}

// done lets what is left of the piece, if anything is, begin with the next frame.
func (p *part) done() {
	if p.span.Last() != p.last {
		rest := &p.group.pieces[p.group.find(p.span.Last().Index+1)]
		rest.frames = rest.frames[len(p.frames):]
	}
}

// repeat writes what is moved, unless it is too much for a batch.
func (l *Log) repeat(records []codec.Record) error {
	l.buf = appendBatch(l.buf[:0], records)
	if len(l.buf) > maxBatch {
		l.relieving = false
		return nil
	}
	moved := uint64(len(l.buf))
	if err := l.write(records); err != nil {
		return err
	}
	l.buf = nil // it may be far larger than what others write
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Moved += moved
	return nil
}

// reread calls each with the records of some frames of a segment, and where the frame begins.
func (l *Log) reread(s *segment, frames []int64, each func(record codec.Record, at int64)) (err error) {
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
		if err := decodeBatch(payload, func(r codec.Record, _ int64) error { each(r, at); return nil }); err != nil {
			return &DamageError{path, at, err.Error()}
		}
	}
	return nil
}
