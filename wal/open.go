package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// DamageError says that the log lost something that had been durable. Who goes on
// with what is left must know which groups may be hurt (see Options.Salvage).
type DamageError struct {
	Path   string // of the file
	Offset int64  // in bytes, of the first frame that is not as it was written
	Why    string
}

func (e *DamageError) Error() string {
	return e.where() + "; start the node and leave its data directory as it is: where a group has other voters, they give back what was lost; " +
		"what a group of one voter has lost is only in a backup"
}

func (e *DamageError) where() string {
	return fmt.Sprintf("wal: %s is damaged at offset %d: %s", e.Path, e.Offset, e.Why)
}

// Open opens the log in dir, which is made if it does not exist, and returns what
// it holds of every group. The entries' data alias the memory that the segments
// were read into, if most of it is still needed. The caller keeps other processes
// away from dir.
//
// Open may be interrupted and repeated at any time. Its errors are the disk's,
// a [DamageError], or say which file does not belong there.
func Open(fs vfs.FS, dir string, opts Options) (*Log, map[raft.GroupID]*raft.Saved, error) {
	opts.SegmentBytes = cmp.Or(opts.SegmentBytes, defaultSegmentBytes)
	if opts.Env == nil {
		opts.Env = env.Real()
	}
	l := &Log{fs: fs, dir: dir, opts: opts, groups: map[raft.GroupID]*group{}}
	l.status.SyncMode = vfs.ModeOf(fs)
	saved, err := l.recover()
	if err != nil {
		if l.file != nil {
			err = errors.Join(err, l.file.Close())
		}
		return nil, nil, err
	}
	l.measure()
	return l, saved, nil
}

func (l *Log) recover() (map[raft.GroupID]*raft.Saved, error) {
	if err := l.fs.MakeDir(l.dir); err != nil {
		return nil, err
	}
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, err
	}
	numbers, spares, err := list(l.dir, names)
	if err != nil {
		return nil, err
	}
	if err := l.keep(spares); err != nil {
		return nil, err
	}
	saved := map[raft.GroupID]*raft.Saved{}
	if len(numbers) > 0 {
		saved, err = l.read(numbers)
	}
	if err != nil {
		return nil, err
	}
	// A crash may have come between a rename and the sync that follows it, and
	// between a base and the removal that it allows.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return nil, err
	}
	switch {
	case len(numbers) == 0:
		s := newSegment(nil, l.opts.Env)
		return saved, l.create(s, s.appendHeader(nil))
	case len(l.damages) > 0:
		return saved, l.rewrite(saved)
	}
	return saved, l.release()
}

// list returns the numbers of the segments, which must be consecutive, and the
// names of the files that are no part of the log any more, or not yet.
func list(dir string, names []string) (numbers []uint64, spares []string, err error) {
	for _, name := range names {
		if number, ok := parseName(name, suffix); ok {
			numbers = append(numbers, number)
		} else if _, ok := parseName(name, temporarySuffix); ok {
			spares = append(spares, name)
		} else {
			return nil, nil, fmt.Errorf("wal: %s is no part of the log; move it out of the directory, which must hold nothing else",
				filepath.Join(dir, name))
		}
	}
	slices.Sort(numbers)
	for i := range numbers[min(1, len(numbers)):] {
		if want := numbers[i] + 1; numbers[i+1] != want {
			return nil, nil, &DamageError{segmentPath(dir, want), 0, "the file is missing"}
		}
	}
	return numbers, spares, nil
}

// keep keeps files for later segments, as many as there may be.
func (l *Log) keep(spares []string) error {
	for i, name := range spares {
		path := filepath.Join(l.dir, name)
		if i < maxSpares {
			l.spares = append(l.spares, path)
		} else if err := l.fs.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// read replays the segments. The last one is made fit for being written.
func (l *Log) read(numbers []uint64) (map[raft.GroupID]*raft.Saved, error) {
	r := newReading(l.dir)
	r.past = l.opts.Salvage != nil
	var data []byte
	for i, number := range numbers {
		file, err := l.fs.Open(segmentPath(l.dir, number))
		if err != nil {
			return nil, err
		}
		size, err := file.Size()
		if err == nil {
			data, err = readAll(file, size)
		}
		if err == nil {
			err = r.add(number, data)
		}
		if err == nil && i == len(numbers)-1 {
			l.file = file
		} else if err = errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
	}
	saved, err := r.finish()
	if err != nil {
		return nil, err
	}
	l.segments, l.written, l.groups = r.segments, r.end(), r.replay.places()
	r.detach(saved)
	if len(r.damages) > 0 {
		return saved, l.salvage(r, saved)
	}
	l.status.Cut = int64(l.current().torn(data, int(r.end())))
	return saved, mend(l.file, data, r.final, int(r.end()))
}

// readAll returns the first size bytes of a file, which must be there.
func readAll(file vfs.File, size int64) ([]byte, error) {
	data := make([]byte, size)
	return data, readFull(file, data, 0)
}

// readFull fills data from a file that must have so much.
func readFull(file io.ReaderAt, data []byte, offset int64) error {
	n, err := file.ReadAt(data, offset)
	if n == len(data) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// mend makes the last segment what it was read as, and nothing else: what a torn
// batch has left must not meet what is written in its place. The last frame is written
// once more: had its sync failed, it could be in the kernel's memory and not on the
// disk, and a sync alone would not change that. Frames before it were synced.
func mend(file vfs.File, data []byte, final, end int) error {
	if _, err := file.WriteAt(data[final:end], int64(final)); err != nil {
		return err
	}
	if end < len(data) {
		if err := file.Truncate(int64(end)); err != nil {
			return err
		}
	}
	return file.Sync()
}
