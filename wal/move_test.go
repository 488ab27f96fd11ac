package wal

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// quiet is a busy log whose first segment some quiet groups, from 2 on, have one entry in.
func quiet(t *testing.T, mem *vfs.Mem, groups, size int) *busy {
	t.Helper()
	b := &busy{t: t, log: open(t, mem, ""), want: model{}}
	for g := range groups {
		b.put(record(raft.GroupID(g+2), entries(id(0, 0), 1, 1, size)))
	}
	return b
}

// Two quiet groups and a busy one: the log stays within what the doc of the package
// says, however long it goes on.
func TestQuietGroupsDoNotHoldBackTheLog(t *testing.T) {
	mem := vfs.NewMem()
	b := quiet(t, mem, 2, 10)
	most := 0
	for range 300 {
		b.entry(50)
		most = max(most, b.log.Status().Segments)
	}
	got := b.log.Status()
	if most > slackSegments+3 || got.Moved == 0 || got.Moved > 4000 {
		t.Fatalf("at most %d segments, and %+v", most, got)
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}

// Moving most of a log would free nothing.
func TestALogThatIsNeededIsNotMoved(t *testing.T) {
	mem, want := vfs.NewMem(), model{}
	l := open(t, mem, "")
	for i := range raft.Index(60) {
		r := record(1+raft.GroupID(i%2), entries(id(min(1, raft.Term(i/2)), i/2), 1, 1, 60))
		must(t, l.Append([]codec.Record{r}))
		want.add(t, r)
	}
	if got := l.Status(); got.Moved != 0 || got.Segments < 10 {
		t.Fatalf("%+v", got)
	}
	must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())
}

// A group that would keep all others waiting is left in peace, and so are those beside
// it: the segment would not be freed.
func TestAHugeGroupIsNotMoved(t *testing.T) {
	b := quiet(t, vfs.NewMem(), 1, moveSegments*300)
	b.put(record(3, entries(id(0, 0), 1, 1, 1)))
	for range 200 {
		b.entry(50)
	}
	if got := b.log.Status(); got.Moved != 0 || b.log.segments[0].number != 1 {
		t.Fatalf("%+v", got)
	}
}

// Entries that were replaced are not moved, and hold back nothing.
func TestReplacedEntriesHoldBackNothing(t *testing.T) {
	mem := vfs.NewMem()
	b := quiet(t, mem, 1, 10)
	b.put(record(2, entries(id(1, 1), 1, 3, 30)))
	for b.log.current().number < 3 {
		b.entry(50)
	}
	b.put(record(2, base(1, 1)), record(2, entries(id(1, 1), 2, 1, 10)))
	b.entry(50)
	if got := b.log.segments[0].number; got == 1 {
		t.Fatal("segment 1 is kept, although all that is needed was written again")
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}

// A snapshot replaced the log of a quiet group. It has nothing that could be moved, and
// the log can be opened however long it goes on.
func TestAGroupWithoutLiveEntriesIsNotMoved(t *testing.T) {
	mem := vfs.NewMem()
	b := quiet(t, mem, 1, 10)
	b.put(record(2, entries(id(1, 1), 1, 4, 5)))
	b.put(record(2, base(3, 3)))
	for range 60 {
		b.entry(50)
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
	b.put(record(2, entries(id(3, 3), 3, 1, 5)))
	for range 60 {
		b.entry(50)
	}
	if got := b.log.segments[0].number; got < 10 {
		t.Fatalf("the log still begins with segment %d", got)
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}

// The power goes out before each operation on the disk while entries move: whether the
// batch with them is lost, torn or whole, and the segments they come from there or
// gone, the groups have what they had.
func TestEntriesMoveWholeOrNotAtAll(t *testing.T) {
	for _, survives := range []vfs.Survival{vfs.Lost, vfs.Kept, func(size int) int { return size / 2 }} {
		mem, n := vfs.NewMem(), 0
		var b *busy
		disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
			if b == nil || !op.Changes() || !b.log.bloated() {
				return nil
			}
			n++
			next := b.next(50)
			after := model{1: {Base: b.want[1].Base, Entries: append([]raft.Entry{}, b.want[1].Entries...)}}
			after[2], after[3] = b.want[2], b.want[3]
			after.add(t, next)
			must(t, open(t, mem.Crash(survives), b.want.picture(), after.picture()).Close())
			return nil
		})
		q := quiet(t, mem, 2, 10)
		must(t, q.log.Close())
		q.log = open(t, disk, q.want.picture())
		b = q
		for b.log.Status().Moved == 0 {
			b.entry(50)
		}
		if n < 5 {
			t.Fatalf("%d crashes: nothing is shown", n)
		}
	}
}

// What was valid when it was written, and is damaged when it is to be moved, stops the
// log: the segment is not let go.
func TestDamageIsNotMoved(t *testing.T) {
	mem := vfs.NewMem()
	b := quiet(t, mem, 1, 10)
	data := load(t, mem, segmentPath(dir, 1))
	data[segmentHeader+frameHeader+10] ^= 1
	store(t, mem, segmentPath(dir, 1), data)
	for range 100 {
		var damage *DamageError
		err := b.log.Append([]codec.Record{b.next(50)})
		if errors.As(err, &damage) {
			if damage.Path != segmentPath(dir, 1) || damage.Offset != segmentHeader {
				t.Fatal(err)
			}
			refused(t, mem, damage.Path, damage.Offset)
			return
		}
		must(t, err)
		b.last++
	}
	t.Fatal("the damage was not noticed")
}

// many is a log of large segments with a busy group and so many quiet ones, which have
// an entry in every segment or so and compact nothing.
func many(t *testing.T, fs vfs.FS, groups int) *busy {
	t.Helper()
	l, _, err := Open(fs, dir, Options{SegmentBytes: 1 << 14})
	must(t, err)
	b := &busy{t: t, log: l, want: model{}}
	for round := range raft.Index(2 * slackSegments) {
		for g := range groups {
			b.put(record(raft.GroupID(g+2), entries(id(min(1, raft.Term(round)), round), 1, 1, 100)))
		}
		for range 30 {
			b.entry(500)
		}
	}
	return b
}

// A log may be far longer than what is moved in it, and whoever writes waits: nothing
// else is read, and few groups are moved at a time.
func TestWhatIsMovedIsLittleAndReadAlone(t *testing.T) {
	fs := &readsOf{FS: vfs.NewMem()}
	b := many(t, fs, 10)
	for _, how := range []string{"as it was written", "as Open finds it"} {
		for n, moves, under := 0, 0, 0; moves < 15; n++ {
			if n > 2000 || under > 15 {
				t.Fatalf("%s: only %d moves, the last of which freed nothing within %d batches", how, moves, under)
			}
			before, oldest := b.log.Status().Moved, b.log.segments[0]
			fs.bytes = 0
			b.entry(500)
			moved := int64(b.log.Status().Moved - before)
			if moved > 2_000 {
				t.Fatalf("%s: %d bytes are moved at a time", how, moved)
			}
			if moved > 0 {
				moves++
			}
			if moved > 0 || under > 0 {
				under++
			}
			if b.log.segments[0] != oldest {
				under = 0
			}
			if fs.bytes > 3*moved {
				t.Fatalf("%s: %d bytes are read and %d moved, of a log of %d", how, fs.bytes, moved, b.log.Status().Bytes)
			}
		}
		must(t, b.log.Close())
		b.log = open(t, fs, b.want.picture())
		b.log.opts.SegmentBytes = 1 << 14
	}
	must(t, b.log.Close())
}

// readsOf counts the bytes that are read from its files.
type readsOf struct {
	vfs.FS
	bytes int64
}

func (r *readsOf) Open(path string) (vfs.File, error) {
	f, err := r.FS.Open(path)
	return readFile{f, r}, err
}

type readFile struct {
	vfs.File
	of *readsOf
}

func (f readFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.of.bytes += int64(n)
	return n, err
}
