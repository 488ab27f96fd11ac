package wal

import (
	"errors"
	"slices"

	"github.com/quorate-db/quorate/vfs"
)

const (
	// maxSpares is how many files without a use are kept: one for the next
	// segment, and one more, since a compaction often frees two at once.
	maxSpares = 2

	// prewriteStep is how much of a new file is filled with zeros at a time. A
	// sync behind which the file has grown writes metadata of the file system,
	// and takes nearly twice as long; with batches of 4 KiB it is one in 64. A whole
	// segment at once would keep everybody waiting whenever a log is new.
	prewriteStep = 256 << 10
)

var zeros [prewriteStep]byte

// create makes the segment's file, with content as its beginning, durable in one
// step: until the rename it is no part of the log, after it it is whole. It is a
// file that has had an earlier use, if there is one: its blocks are allocated and
// written.
func (l *Log) create(s *segment, content []byte) error {
	temporary, open := temporaryPath(l.dir, s.number), l.fs.Create
	if n := len(l.spares); n > 0 {
		temporary, open = l.spares[n-1], l.fs.Open
		l.spares = l.spares[:n-1]
	}
	length, err := begin(open, temporary, content)
	if err != nil {
		return err
	}
	path := segmentPath(l.dir, s.number)
	if err := l.fs.Rename(temporary, path); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	file, err := l.fs.Open(path)
	if err != nil {
		return err
	}
	s.size = int64(len(content))
	old := l.file
	l.file, l.segments, l.begun, l.written = file, append(l.segments, s), s.size, length
	if old == nil {
		return nil
	}
	return old.Close()
}

// begin writes the beginning of a file and returns how long the file is. It closes
// it again, since some systems cannot rename an open one.
func begin(open func(string) (vfs.File, error), path string, content []byte) (length int64, err error) {
	file, err := open(path)
	if err != nil {
		return 0, err
	}
	_, err = file.WriteAt(content, 0)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		length, err = file.Size()
	}
	return length, errors.Join(err, file.Close())
}

// prewrite sees to it that the file is written, if only with zeros, some way beyond
// end, which is where the next batch will end.
func (l *Log) prewrite(end int64) error {
	if end <= l.written {
		return nil
	}
	l.written = max(end, min(end+prewriteStep, l.begun+l.opts.SegmentBytes))
	_, err := l.file.WriteAt(zeros[:l.written-end], end)
	return err
}

// retire takes the file of a segment that is no longer needed out of the log, in
// one step: its new name is one that Open takes for no segment.
func (l *Log) retire(s *segment) error {
	path, spare := segmentPath(l.dir, s.number), temporaryPath(l.dir, s.number)
	// One that a huge batch has made is not worth its place on the disk. And its name
	// may be that of a file with which a crash once kept this segment from beginning.
	if len(l.spares) == maxSpares || s.size > 2*l.opts.SegmentBytes || slices.Contains(l.spares, spare) {
		if err := l.fs.Remove(path); err != nil {
			return err
		}
		return l.fs.SyncDir(l.dir)
	}
	if err := l.fs.Rename(path, spare); err != nil {
		return err
	}
	// Nobody writes to the file before its old name is gone for good: a crash could
	// bring the name back, and a segment with somebody else's content.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.spares = append(l.spares, spare)
	return nil
}
