package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// written is a log on a disk, and where the frames of its last segment begin.
type written struct {
	mem      *vfs.Mem
	pictures []string // after each batch, the empty log first
	path     string   // of the last segment
	data     []byte   // in it
	starts   []int    // of the frames, and at last the end
}

// write writes batches of two groups, n to the last segment.
func write(t *testing.T, segments, n int) *written {
	t.Helper()
	w := &written{mem: vfs.NewMem()}
	want := model{}
	w.pictures = []string{want.picture()}
	l := open(t, w.mem, w.pictures...)
	last := raft.Index(0)
	batch := func() {
		records := []codec.Record{
			record(1, entries(id(min(1, raft.Term(last)), last), 1, 2, 12)),
			record(2, state(raft.Term(last+1), 1)),
		}
		must(t, l.Append(records))
		want.add(t, records...)
		last += 2
		w.pictures = append(w.pictures, want.picture())
	}
	for len(l.segments) < segments {
		batch()
	}
	w.starts = []int{int(l.current().begun)}
	for len(w.starts) <= n {
		if len(w.starts) > 1 || segments == 1 {
			batch() // the one that began a later segment is in it already
		}
		w.starts = append(w.starts, int(l.current().size))
	}
	w.path = segmentPath(dir, l.current().number)
	must(t, l.Close())
	w.data = load(t, w.mem, w.path)[:l.current().size]
	return w
}

func load(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	data, err := readAll(f, size)
	must(t, err)
	must(t, f.Close())
	return data
}

// content is what a segment holds that is not the last one, without what is behind it.
func content(t testing.TB, fs vfs.FS, number uint64) []byte {
	t.Helper()
	next, err := parseHeader(load(t, fs, segmentPath(dir, number+1)), number+1)
	must(t, err)
	return load(t, fs, segmentPath(dir, number))[:next.before]
}

func store(t testing.TB, fs vfs.FS, path string, data []byte) {
	t.Helper()
	file, err := fs.Create(path)
	must(t, err)
	_, err = begin(file, data)
	must(t, err)
	must(t, fs.SyncDir(filepath.Dir(path)))
}

// refused opens a log that must not open, and checks what the user is told.
func refused(t *testing.T, fs vfs.FS, path string, offset int64) {
	t.Helper()
	_, _, err := Open(fs, dir, small())
	var damage *DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("the log was opened, or refused with %v", err)
	}
	if damage.Path != path || damage.Offset != offset {
		t.Fatalf("%v; want it at offset %d of %s", err, offset, path)
	}
	for _, part := range []string{path, fmt.Sprint("offset ", offset), "start the node and leave its data directory"} {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("%q does not say %q", err, part)
		}
	}
}

// D04: what was acknowledged is never cut, whatever follows it.
func TestD04AFlippedByteInTheMiddleIsRefused(t *testing.T) {
	w := write(t, 2, 3)
	for at := range w.starts[2] {
		disk := w.mem.Crash(vfs.Lost)
		data := slices.Clone(w.data)
		data[at] ^= 1 << (at % 8)
		store(t, disk, w.path, data)
		if at >= 8 && at < 12 {
			// The version is looked at first, and only believed if the checksum
			// holds; so this, too, is damage.
			refused(t, disk, w.path, 0)
			continue
		}
		refused(t, disk, w.path, frameOf(w, at))
	}
}

// frameOf returns where the frame, or the header of the segment, begins that has
// the byte at this offset.
func frameOf(w *written, at int) int64 {
	start := 0
	for _, s := range append([]int{segmentHeader}, w.starts...) {
		if s <= at {
			start = s
		}
	}
	return int64(start)
}

// The last batch may have been acknowledged; but what a flipped bit makes of it
// is just what a crash in the middle of writing it looks like.
func TestAFlippedByteInTheLastBatchCountsAsTorn(t *testing.T) {
	w := write(t, 2, 3)
	for at := w.starts[2]; at < w.starts[3]; at++ {
		disk := w.mem.Crash(vfs.Lost)
		data := slices.Clone(w.data)
		data[at] ^= 0x10
		store(t, disk, w.path, data)
		must(t, open(t, disk, w.pictures[len(w.pictures)-2]).Close())
	}
}

// Nothing but the header of the later batch got to the disk. It still proves that
// the batch before was once durable.
func TestATornBatchBehindADamagedOneIsEvidence(t *testing.T) {
	w := write(t, 2, 3)
	data := slices.Clone(w.data[:w.starts[2]+frameHeader])
	data[w.starts[1]+frameHeader] ^= 1
	store(t, w.mem, w.path, data)
	refused(t, w.mem, w.path, int64(w.starts[1]))
}

func TestDamageInAnEarlierSegmentIsRefused(t *testing.T) {
	w := write(t, 3, 1)
	path := segmentPath(dir, 2)
	whole := content(t, w.mem, 2)
	for at := range whole {
		disk := w.mem.Crash(vfs.Lost)
		data := slices.Clone(whole)
		data[at] ^= 0x80
		store(t, disk, path, data)
		var damage *DamageError
		if _, _, err := Open(disk, dir, small()); !errors.As(err, &damage) || damage.Path != path {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	disk := w.mem.Crash(vfs.Lost)
	store(t, disk, path, whole[:len(whole)-1])
	if _, _, err := Open(disk, dir, small()); !errors.As(err, new(*DamageError)) {
		t.Fatalf("cut by a byte: %v", err)
	}
}

// D07: a segment that has a successor is shorter than it was. Between two frames all
// that is left is valid, and only the next segment knows how long this one was.
func TestD07AFullSegmentFoundShortIsRefused(t *testing.T) {
	w := write(t, 3, 1)
	for number := uint64(1); number <= 2; number++ {
		path := segmentPath(dir, number)
		whole := content(t, w.mem, number)
		sealed, err := parseHeader(whole, number)
		must(t, err)
		frame, next := 0, segmentHeader
		for size := range whole {
			if size == next { // all frames before are whole
				frame, next = next, next+frameHeader+len(sealed.seal.frame(whole, next))
			}
			disk := w.mem.Crash(vfs.Lost)
			store(t, disk, path, whole[:size])
			refused(t, disk, path, int64(frame))
		}
	}
}

// D15: a gap in the numbers.
func TestD15AMissingSegmentIsRefused(t *testing.T) {
	for missing := uint64(1); missing <= 3; missing++ {
		w := write(t, 4, 1)
		path := segmentPath(dir, missing)
		must(t, w.mem.Remove(path))
		if missing == 1 {
			// The log that is left looks as if it had been compacted, but no base
			// covers what is gone.
			path = segmentPath(dir, 2)
		}
		refused(t, w.mem, path, 0)
	}
}

// Nothing in the segments that are left builds upon what was lost: only the
// statement at the beginning of the oldest knows that there was more.
func TestTheMissingEntriesOfAQuietGroupAreNoticed(t *testing.T) {
	mem := vfs.NewMem()
	l := open(t, mem, "")
	must(t, l.Append([]codec.Record{record(2, entries(id(0, 0), 1, 3, 10))}))
	for term := raft.Term(1); len(l.segments) < 2; term++ {
		must(t, l.Append([]codec.Record{record(1, state(term, 1))}))
	}
	must(t, l.Close())
	must(t, mem.Remove(segmentPath(dir, 1)))
	refused(t, mem, segmentPath(dir, 2), 0)
}

func TestASegmentThatIsNotWholeIsRefused(t *testing.T) {
	for _, size := range []int{0, 1, segmentHeader - 1, segmentHeader, segmentHeader + frameHeader + 1} {
		w := write(t, 2, 1)
		store(t, w.mem, w.path, w.data[:size])
		offset := int64(0)
		if size >= segmentHeader {
			offset = segmentHeader
		}
		refused(t, w.mem, w.path, offset)
	}
}

func TestTheSegmentOfAnotherPlaceIsRefused(t *testing.T) {
	w := write(t, 2, 1)
	store(t, w.mem, w.path, load(t, w.mem, segmentPath(dir, 1)))
	refused(t, w.mem, w.path, 0)
}

func TestFramesOfAnEarlierUseAreNotValid(t *testing.T) {
	w := write(t, 2, 2)
	old := load(t, w.mem, segmentPath(dir, 1))
	store(t, w.mem, w.path, append(slices.Clone(w.data), old[segmentHeader:]...))
	must(t, open(t, w.mem, w.pictures[len(w.pictures)-1]).Close())
}

// D15: names that are not the log's, and what a file system puts into its root.
func TestD15UnknownFilesAreRefused(t *testing.T) {
	for _, name := range []string{"lost+found", "1.wal", "00000000000000000000.wal", "0000000000000000000x.wal", "00000000000000000001.wal.bak"} {
		w := write(t, 1, 1)
		path := filepath.Join(dir, name)
		store(t, w.mem, path, nil)
		_, _, err := Open(w.mem, dir, small())
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it") {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestAnotherFormatVersionIsNotDamage(t *testing.T) {
	w := write(t, 1, 1)
	header := (&segment{number: 1}).appendHeader(nil)
	header[8] = version + 1
	reseal(header)
	store(t, w.mem, w.path, append(header, w.data[segmentHeader:]...))
	_, _, err := Open(w.mem, dir, small())
	if err == nil || errors.As(err, new(*DamageError)) || !strings.Contains(err.Error(), "format version 4") {
		t.Fatal(err)
	}
}
