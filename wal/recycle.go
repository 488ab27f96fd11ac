package wal

import (
	"errors"
	"slices"

	"github.com/quorate-db/quorate/vfs"
)

// maxSpares is how many files without a use are kept: one for the next segment, and
// one more, since a compaction often frees two at once.
const maxSpares = 2

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
	first, err := open(temporary)
	if err != nil {
		return noSpace(err)
	}
	length, err := begin(first, content)
	path := segmentPath(l.dir, s.number)
	if err == nil {
		err = noSpace(l.fs.Rename(temporary, path))
	}
	if errors.Is(err, ErrNoSpace) {
		l.spares = append(l.spares, temporary) // for the next attempt
	}
	if err != nil {
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
	s.begun = s.size
	old := l.file
	l.file, l.segments, l.written = file, append(l.segments, s), length
	if old == nil {
		return nil
	}
	return old.Close()
}

// begin writes the beginning of a file and returns how long the file is. It closes
// it again, since some systems cannot rename an open one.
func begin(file vfs.File, content []byte) (length int64, err error) {
	_, err = file.WriteAt(content, 0)
	if err = noSpace(err); err == nil {
		err = file.Sync()
	}
	if err == nil {
		length, err = file.Size()
	}
	return length, errors.Join(err, file.Close())
}

// retire takes the file of a segment that is no longer needed out of the log, in
// one step: its new name is one that Open takes for no segment.
func (l *Log) retire(s *segment) error {
	path, spare := segmentPath(l.dir, s.number), temporaryPath(l.dir, s.number)
	// One that a huge batch has made is not worth its place on the disk. And its name
	// may be that of a file with which a crash once kept this segment from beginning.
	if len(l.spares) == maxSpares || s.size > 2*l.opts.SegmentBytes || slices.Contains(l.spares, spare) {
		if err := l.fs.Remove(path); err != nil {
			return noSpace(err)
		}
		return l.fs.SyncDir(l.dir)
	}
	if err := l.fs.Rename(path, spare); err != nil {
		return noSpace(err)
	}
	// Nobody writes to the file before its old name is gone for good: a crash could
	// bring the name back, and a segment with somebody else's content.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.spares = append(l.spares, spare)
	return nil
}
