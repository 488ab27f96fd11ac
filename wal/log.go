package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// Options are how a log is kept. The zero value is good.
type Options struct {
	// SegmentBytes is how much is appended to a segment before the next one is
	// begun; 16 MiB if zero. A single larger batch still goes into one segment.
	SegmentBytes int64

	// Salvage is asked, where something is lost that had been durable, whether to go on
	// with what is left: the hard states of groups that may have lost something say that
	// they are injured, and a group zero, which is none, that others may be of which
	// nothing is left. What it refuses, and where it is nil, Open answers with a
	// [DamageError], and changes nothing.
	Salvage func(map[raft.GroupID]*raft.Saved) error

	// Env times the syncs and draws the salts; env.Real if nil.
	Env env.Env
}

const defaultSegmentBytes = 16 << 20

// Log is a node's log. Append and Close are called by one goroutine at a time,
// Status by any.
type Log struct {
	fs   vfs.FS
	dir  string
	opts Options

	file     vfs.File   // of the last segment
	segments []*segment // oldest first, at least one
	written  int64      // length of its file
	refused  bool       // a batch that found no room may have left something behind its end
	spares   []string   // paths of files for segments to come
	groups   map[raft.GroupID]*group
	buf      []byte
	failed   error

	relieving bool // some entries were moved out of the oldest segment, and others may follow

	damages []*DamageError // that Open went past

	mu     sync.Mutex
	status Status
}

// Status is a copy of what there is to know about a log.
type Status struct {
	Segments int           // files
	Bytes    int64         // of the log in all of them
	Mark     uint64        // how far it has come: rises with each batch that is durable, also over crashes
	Spares   int           // files beside them, for segments to come
	Cut      int64         // bytes of a torn batch that Open cut, if its beginning was there
	Moved    uint64        // bytes written again since Open, to free segments that few entries held back
	Syncs    uint64        // batches made durable since Open
	LastSync time.Duration // how long the disk took for the last of them, written and synced
	SyncMode vfs.SyncMode  // how that is done; empty: the file system does not say
}

// ErrNoSpace is wrapped by the error for a batch that found no room on the disk.
var ErrNoSpace = errors.New("wal: the disk has no room for more of the log")

// ErrClosed is returned by Append after Close.
var ErrClosed = errors.New("wal: the log is closed")

// ErrBatchTooLarge is returned for a batch of more than 1 GiB, of which nothing
// was written. The log can still be used.
var ErrBatchTooLarge = errors.New("wal: a batch of more than 1 GiB; write less at once")

// Append makes the records durable, in order, all or none. It keeps none of them.
//
// An error that wraps [ErrNoSpace] says that the disk has no room: nothing of the batch
// counts, and it may be tried again, or others before it. Any other error of the disk
// is final: nobody knows what of the batch it holds, so nothing can be put behind it,
// and after a failed sync the kernel may take what it has lost for written. Append returns
// that error from then on; what the disk has is found out by opening the log again.
func (l *Log) Append(records []codec.Record) error {
	if l.failed != nil {
		return l.failed
	}
	if len(records) == 0 {
		return nil
	}
	l.buf = appendBatch(l.buf[:0], records)
	if len(l.buf) > maxBatch {
		return ErrBatchTooLarge
	}
	current, written := l.current(), int64(len(l.buf))
	err := l.write(records)
	l.relieving = l.relieving || l.current() != current
	if err == nil {
		err = unlessFull(l.relieve(written)) // what is not moved now may be later
	}
	if errors.Is(err, ErrNoSpace) {
		return err
	}
	if err != nil {
		l.failed = fmt.Errorf("wal: the log in %s can no longer be written; find the cause, then restart: %w", l.dir, err)
		return l.failed
	}
	return nil
}

// write writes the batch in l.buf and takes note of what it says.
func (l *Log) write(records []codec.Record) error {
	began := l.opts.Env.Now() // not only of the sync: in vfs.DSync it is the write that waits
	if err := l.place(withoutEntries(records)); err != nil {
		return err
	}
	current := l.current()
	if err := l.file.Sync(); err != nil {
		return err
	}
	took := l.opts.Env.Now().Sub(began)
	at := current.size
	current.size += int64(len(l.buf))
	l.noteAll(records, l.buf[frameHeader:], place{segment: current, at: at})
	if err := unlessFull(l.release()); err != nil {
		return err
	}
	l.publish(took)
	return nil
}

func (l *Log) current() *segment { return l.segments[len(l.segments)-1] }

// noteAll is note for the records of a frame with that payload.
func (l *Log) noteAll(records []codec.Record, payload []byte, at place) {
	for i := range records {
		at.bytes = recordHeader + int64(binary.LittleEndian.Uint32(payload))
		payload = payload[at.bytes:]
		l.note(&records[i], at)
	}
}

// note remembers what a durable record means, and where it stands.
func (l *Log) note(r *codec.Record, at place) {
	g := l.groups[r.Group]
	if g == nil {
		g = &group{id: r.Group}
		l.groups[r.Group] = g
	}
	if r.Write.State != (raft.HardState{}) {
		g.state = r.Write.State
	}
	if r.Write.Base != nil {
		g.rebase(*r.Write.Base, at.segment.number)
	}
	switch {
	case r.Again:
		g.again(r.Write.Append, at)
	case len(r.Write.Append.Entries) > 0:
		g.append(r.Write.Append, at)
	}
}

// next begins a new segment with what every group must not lose, so that the
// segments before are needed for their entries only.
func (l *Log) next() error {
	if err := l.wipe(); err != nil {
		return err
	}
	s := newSegment(l.current(), l.opts.Env)
	content := appendBatch(s.appendHeader(nil), l.statements())
	s.seal.close(content[segmentHeader:], segmentHeader)
	return l.create(s, content)
}

// statements says of every group what the log so far amounts to, but for entries:
// of those only where they end.
func (l *Log) statements() []codec.Record {
	records := make([]codec.Record, 0, len(l.groups))
	for _, id := range slices.Sorted(maps.Keys(l.groups)) {
		g := l.groups[id]
		w := raft.Write{State: g.state, Append: raft.Span{Prev: g.last()}}
		if g.base.ID != (raft.EntryID{}) {
			w.Base = &g.base
		}
		records = append(records, codec.Record{Group: id, Write: w})
	}
	return records
}

// release removes the oldest segments of which no group needs anything.
// Each removal is durable before the next: a crash must not leave a gap, which
// could not be told from a file that somebody lost.
func (l *Log) release() error {
	for len(l.segments) > 1 && l.idle(l.segments[0]) {
		if err := l.retire(l.segments[0]); err != nil {
			return err
		}
		l.segments = slices.Delete(l.segments, 0, 1)
	}
	return nil
}

func (l *Log) idle(s *segment) bool { return len(s.pieces) == 0 && s.until <= l.current().number }

// Close closes the file. Everything that was appended is durable already.
func (l *Log) Close() error {
	if errors.Is(l.failed, ErrClosed) {
		return nil
	}
	l.failed = ErrClosed
	return l.file.Close()
}

// Status returns what the log is at the moment.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *Log) publish(sync time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.LastSync = sync
	l.status.Syncs++
	l.measure()
}

func (l *Log) measure() {
	l.status.Segments, l.status.Bytes, l.status.Spares = len(l.segments), 0, len(l.spares)
	for _, s := range l.segments {
		l.status.Bytes += s.size
	}
	l.status.Mark = l.current().number<<32 + uint64(l.current().size)
}
