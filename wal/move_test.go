package wal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// huge is a busy log in which one group, the second, has far more than all others: many
// segments full, of several terms, which it does not compact.
func huge(t *testing.T, mem *vfs.Mem) *busy {
	t.Helper()
	b := &busy{t: t, log: open(t, mem, ""), want: model{}}
	last := id(0, 0)
	for i := range 60 {
		r := record(2, entries(last, raft.Term(1+i/7), 1+i%3, 60))
		last = r.Write.Append.Last()
		b.put(r)
		b.entry(20)
	}
	return b
}

// layout is in which segments the log has the entries of the groups.
func layout(l *Log) string {
	var s strings.Builder
	for _, id := range slices.Sorted(maps.Keys(l.groups)) {
		g := l.groups[id]
		fmt.Fprintf(&s, "group %d after %v:", id, g.base.ID)
		for i, p := range g.pieces {
			if i+1 == len(g.pieces) || g.pieces[i+1].segment != p.segment || g.pieces[i+1].last.Term != p.last.Term {
				fmt.Fprintf(&s, " to %v in %d,", p.last, p.segment.number)
			}
		}
		s.WriteString("\n")
	}
	return s.String()
}

// live is how many bytes of entries the groups need, in the log.
func (b *busy) live() (bytes int64) {
	for _, saved := range b.want {
		for i := range saved.Entries {
			bytes += int64(len(saved.Entries[i].Data)) + 4
		}
	}
	return bytes
}

// A group that needs more than all others together: the log is no longer than twice what is
// needed, and less is written again than is freed, lap after lap, also after a restart
// and while the group goes on, replaces some of its log, or compacts some.
func TestAHugeGroupDoesNotHoldBackTheLog(t *testing.T) {
	mem := vfs.NewMem()
	b := huge(t, mem)
	first, written := b.log.current().number, int64(0)
	for round := range 8 {
		for i := range 200 {
			b.entry(20)
			size, live := int64(0), int64(0)
			for _, s := range b.log.segments {
				size += s.size - s.begun
				live += s.live
			}
			// A segment is begun before there is a look at how long the log is.
			if limit := slackFactor*live + (slackSegments+2)*300; size > limit || live > 2*b.live() {
				t.Fatalf("round %d, %d: the log has %d bytes and takes %d for needed, of %d in entries", round, i, size, live, b.live())
			}
		}
		written += int64(b.log.Status().Moved)
		must(t, b.log.Close())
		must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
		before := layout(b.log)
		b.log = open(t, mem, b.want.picture())
		if after := layout(b.log); after != before {
			t.Fatalf("entries were\n%s\nand are, to who opens the log,\n%s", before, after)
		}
		if _, err := inspect(t, mem); err != nil {
			t.Fatal(err)
		}
		last := raft.Span{Entries: b.want[2].Entries}.Last()
		switch round {
		case 1:
			b.put(record(2, entries(last, last.Term, 2, 60)))
		case 3: // a third of it is replaced
			at := b.want[2].Entries[len(b.want[2].Entries)*2/3].EntryID
			b.put(record(2, entries(at, last.Term+1, 20, 60)))
		case 5: // and a quarter compacted
			b.put(record(2, raft.Write{Base: &raft.Snapshot{ID: b.want[2].Entries[len(b.want[2].Entries)/4].EntryID}}))
		}
	}
	if laps := b.log.segments[0].number / first; laps < 3 {
		t.Fatalf("the log begins with segment %d, it was as long as %d: too few laps to show anything", b.log.segments[0].number, first)
	}
	if freed := int64(b.log.segments[0].number) * 300; written == 0 || written > freed {
		t.Fatalf("%d bytes were written again, to free %d", written, freed)
	}
}

// A log of the version before is read and goes on. Who knows no other must never meet what is
// said again in a segment of that version.
func TestALogOfVersion2GoesOn(t *testing.T) {
	mem := vfs.NewMem()
	b := huge(t, mem)
	if b.log.Status().Moved > 0 {
		t.Fatal("the log is of version 3 in truth")
	}
	must(t, b.log.Close())
	files := segmentsOf(t, mem)
	for _, path := range files {
		data := load(t, mem, path)
		data[8] = 2
		reseal(data[:segmentHeader])
		store(t, mem, path, data)
	}
	b.log = open(t, mem, b.want.picture())
	for b.log.segments[0].number <= uint64(len(files)) {
		b.entry(20)
		for _, s := range b.log.segments {
			data := load(t, mem, segmentPath(dir, s.number))
			again := 0
			for at := segmentHeader; at < int(s.size); {
				payload := s.seal.frame(data, at)
				must(t, decodeBatch(payload, func(r codec.Record, _ int64) error {
					if r.Again {
						again++
					}
					return nil
				}))
				at += frameHeader + len(payload)
			}
			if data[8] == 2 && again > 0 {
				t.Fatalf("segment %d is of version 2 and says %d things again", s.number, again)
			}
		}
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
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

// A snapshot in the middle of its log replaced the log of a quiet group, of which each segment
// has something. That holds back nothing, is not moved, and does not come back whatever
// segment the log begins with.
func TestWhatASnapshotReplacesHoldsBackNothing(t *testing.T) {
	mem := vfs.NewMem()
	b := quiet(t, mem, 1, 10)
	last := raft.Index(1)
	for b.log.current().number < 4 {
		b.entry(50)
		b.put(record(2, entries(id(1, last), 1, 1, 5)))
		last++
	}
	b.put(record(2, base(3, 1)))
	if got := b.log.segments[0].number; got != 1 {
		t.Fatalf("the log begins with segment %d before another one says that the group's log ends", got)
	}
	for range 10 {
		must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
		b.entry(50)
	}
	if got := b.log.segments[0].number; got < 4 {
		t.Fatalf("the log still begins with segment %d", got)
	}
	b.put(record(2, entries(id(3, 1), 3, 1, 5)))
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
	if got := b.log.Status().Moved; got != 0 {
		t.Fatalf("%d bytes were moved", got)
	}
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
