package wal

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/quorate-db/quorate/codec"
)

// A disk that is full is no reason to end: what the log says so far is whole, and
// the next batch goes where the one that found no room was to go. Only a sync that fails
// for want of room is final, like any other.
//
// Room that was written with zeros is sure to be there. Entries leave some of it
// untouched, for batches without any: terms and votes, which let a node take part
// in elections, and what lets old segments go, which makes room.
const (
	// maxReserve is how much of it, in bytes, at most: about a thousand batches, or one
	// with the votes of a thousand groups.
	maxReserve = 64 << 10

	// prewriteStep is how much of a new file is filled with zeros at a time. A
	// sync behind which the file has grown writes metadata of the file system,
	// and takes nearly twice as long; with batches of 4 KiB it is one in 64. A whole
	// segment at once would keep everybody waiting whenever a log is new.
	prewriteStep = 256 << 10
)

var zeros [prewriteStep]byte

// reserve is how much of the file entries leave untouched, in bytes.
func (l *Log) reserve() int64 { return min(maxReserve, l.opts.SegmentBytes/4) }

// place writes the batch in l.buf at the end of the log, in a new segment if it is time
// for one, or if a file for one is there and this one cannot grow. One that is urgent
// takes the room that others leave.
func (l *Log) place(urgent bool) error {
	used := l.current().size - l.current().begun
	if used > 0 && used+int64(len(l.buf)) > l.opts.SegmentBytes {
		err := l.next()
		if err != nil && !(urgent && errors.Is(err, ErrNoSpace)) {
			return err
		}
	}
	err := l.put(urgent)
	if errors.Is(err, ErrNoSpace) && len(l.spares) > 0 && l.current().size > l.current().begun {
		if err = l.next(); err == nil {
			err = l.put(urgent)
		}
	}
	return err
}

// put writes the batch behind the last one, and zeros behind it.
func (l *Log) put(urgent bool) error {
	at := l.current().size
	l.current().seal.close(l.buf, at)
	end := at + int64(len(l.buf))
	written, err := l.prewrite(end)
	if err != nil && !(urgent && errors.Is(err, ErrNoSpace)) {
		return err
	}
	// Not the other way round: a batch that is refused shall not be there whole.
	if _, err := l.file.WriteAt(l.buf, at); err != nil {
		l.refused = true
		return noSpace(err)
	}
	l.written = max(written, end)
	return nil
}

// prewrite sees to it that the file is written, if only with zeros, some way beyond
// end, which is where the next batch will end, and returns how far.
func (l *Log) prewrite(end int64) (written int64, err error) {
	if end+l.reserve() <= l.written {
		return l.written, nil
	}
	whole := l.current().begun + l.opts.SegmentBytes + l.reserve()
	from, to := max(end, l.written), max(end+l.reserve(), min(end+prewriteStep, whole))
	if _, err := l.file.WriteAt(zeros[:to-from], from); err != nil {
		return l.written, noSpace(err)
	}
	return to, nil
}

// wipe takes away the header of a refused batch behind the end of the last segment,
// before another one says that this one ends there.
func (l *Log) wipe() error {
	if !l.refused {
		return nil
	}
	end := l.current().size
	size, err := l.file.Size()
	if err == nil && size >= end+frameHeader {
		if _, err := l.file.WriteAt(zeros[:frameHeader], end); err != nil {
			return noSpace(err)
		}
		err = l.file.Sync()
	}
	l.refused = err != nil
	return err
}

func withoutEntries(records []codec.Record) bool {
	for i := range records {
		if len(records[i].Write.Append.Entries) > 0 {
			return false
		}
	}
	return true
}

// noSpace marks an error after which the log can still be used, if it says that there is
// no room, or that this user may have no more of it.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// unlessFull forgives an error for want of room, where nobody waits for what was
// to be done and it is tried again.
func unlessFull(err error) error {
	if errors.Is(err, ErrNoSpace) {
		return nil
	}
	return err
}
