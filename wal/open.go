package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// DamageError says that the log lost something that had been durable. The node
// must not go on with what is left.
type DamageError struct {
	Path   string // of the file
	Offset int64  // in bytes, of the first frame that is not as it was written
	Why    string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("wal: %s is damaged at offset %d: %s; restore this member from its peers: "+
		"remove it from the cluster, empty its data directory and let it join again", e.Path, e.Offset, e.Why)
}

// Open opens the log in dir, which is made if it does not exist, and returns what
// it holds of every group. The entries' data alias the memory that the segments
// were read into. The caller keeps other processes away from dir.
//
// Open may be interrupted and repeated at any time. Its errors are the disk's,
// a [DamageError], or say which file does not belong there.
func Open(fs vfs.FS, dir string, opts Options) (*Log, map[raft.GroupID]*raft.Saved, error) {
	opts.SegmentBytes = cmp.Or(opts.SegmentBytes, defaultSegmentBytes)
	if opts.Env == nil {
		opts.Env = env.Real()
	}
	l := &Log{fs: fs, dir: dir, opts: opts, groups: map[raft.GroupID]*group{}}
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
	numbers, err := l.list()
	if err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return map[raft.GroupID]*raft.Saved{}, l.first()
	}
	r := &replay{groups: map[raft.GroupID]*replayed{}}
	for i, number := range numbers {
		if err := l.read(number, i == len(numbers)-1, r); err != nil {
			return nil, err
		}
	}
	saved, err := r.finish()
	if err != nil {
		return nil, l.damage(numbers[0], 0, err.Error())
	}
	for id, s := range saved {
		log := raft.Span{Prev: s.Base.ID, Entries: s.Entries}
		l.groups[id] = &group{state: s.State, base: s.Base, last: log.Last()}
	}
	// A crash may have come between a rename and the sync that follows it, and
	// between a base and the removal that it allows.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return nil, err
	}
	return saved, l.release()
}

// list returns the numbers of the segments, which must be consecutive. Segments
// that were being created are removed; they never held anything.
func (l *Log) list() ([]uint64, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if number, ok := parseName(name, suffix); ok {
			numbers = append(numbers, number)
			continue
		}
		path := filepath.Join(l.dir, name)
		if _, ok := parseName(name, temporarySuffix); !ok {
			return nil, fmt.Errorf("wal: %s is no part of the log; move it out of the directory, which must hold nothing else", path)
		}
		if err := l.fs.Remove(path); err != nil {
			return nil, err
		}
	}
	slices.Sort(numbers)
	for i := range numbers[min(1, len(numbers)):] {
		if want := numbers[i] + 1; numbers[i+1] != want {
			return nil, l.damage(want, 0, "the file is missing")
		}
	}
	return numbers, nil
}

func (l *Log) damage(number uint64, offset int, why string) error {
	return &DamageError{segmentPath(l.dir, number), int64(offset), why}
}

// first creates segment 1, which has nothing to state.
func (l *Log) first() error {
	s := newSegment(nil, l.opts.Env)
	file, err := s.create(l.fs, l.dir, s.appendHeader(nil))
	if err != nil {
		return err
	}
	l.file, l.segments, l.begun = file, []*segment{s}, s.size
	return nil
}

// read replays one segment. The last one is made fit for being written.
func (l *Log) read(number uint64, last bool, r *replay) error {
	path := segmentPath(l.dir, number)
	file, err := l.fs.Open(path)
	if err != nil {
		return err
	}
	data, err := readAll(file)
	if err == nil {
		err = checkVersion(data, path)
	}
	if err == nil {
		err = l.replay(number, data, last, file, r)
	}
	if err != nil || !last {
		return errors.Join(err, file.Close())
	}
	l.file = file
	return nil
}

func readAll(file vfs.File) ([]byte, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	n, err := file.ReadAt(data, 0)
	if n == len(data) {
		return data, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// replay adds the frames of a segment to r, and cuts what is torn.
func (l *Log) replay(number uint64, data []byte, last bool, file vfs.File, r *replay) error {
	s, err := parseHeader(data, number)
	if err != nil {
		return l.damage(number, 0, err.Error())
	}
	if len(l.segments) > 0 && l.current().size != s.before {
		return l.damage(number-1, int(l.current().size), fmt.Sprintf("the file ends here; it had %d bytes", s.before))
	}
	end, final, begun := segmentHeader, segmentHeader, segmentHeader
	oldest := len(l.segments) == 0
	for {
		payload := s.seal.frame(data, end)
		if payload == nil {
			break
		}
		err := decodeBatch(payload, func(record codec.Record) error {
			s.note(record.Group, &record.Write)
			if number > 1 && oldest && end == segmentHeader {
				return r.begin(record)
			}
			return r.add(record)
		})
		if err != nil {
			return l.damage(number, end, err.Error())
		}
		final, end = end, end+frameHeader+len(payload)
		if number > 1 && final == segmentHeader {
			begun = end
		}
	}
	if err := l.checkTail(s, data, end, last); err != nil {
		return err
	}
	s.size = int64(end)
	l.segments = append(l.segments, s)
	if !last {
		return nil
	}
	l.begun = int64(begun)
	l.status.Cut = int64(len(data) - end)
	return mend(file, data, final, end)
}

// checkTail returns an error if the bytes behind the last valid frame, at end,
// cannot be what a crash left of a batch that was never acknowledged.
func (l *Log) checkTail(s *segment, data []byte, end int, last bool) error {
	if s.number > 1 && end == segmentHeader {
		return l.damage(s.number, end, "the segment's first frame, which was durable before the segment was used, is not valid")
	}
	if end == len(data) {
		return nil
	}
	if !last {
		return l.damage(s.number, end, "the frame is not valid, and there are later segments")
	}
	if later, found := s.seal.headerAfter(data, end); found {
		return l.damage(s.number, end, fmt.Sprintf("the frame is not valid, and a later one begins at offset %d", later))
	}
	return nil
}

// mend makes the last segment what it was read as. The last frame is written once
// more: had its sync failed, it could be in the kernel's memory and not on the
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
