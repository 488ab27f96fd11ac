package wal

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// busy appends entries of one group, and compacts all but the last few.
type busy struct {
	t    *testing.T
	log  *Log
	want model
	last raft.Index
}

func (b *busy) put(records ...codec.Record) {
	b.t.Helper()
	must(b.t, b.log.Append(records))
	b.want.add(b.t, records...)
}

func (b *busy) entry(size int) {
	b.t.Helper()
	b.put(b.next(size))
	b.last++
}

// next is one more entry, and the compaction of those before the last two.
func (b *busy) next(size int) codec.Record {
	w := entries(id(min(1, raft.Term(b.last)), b.last), 1, 1, size)
	if b.last > 2 {
		w.Base = base(1, b.last-2).Base
	}
	return record(1, w)
}

// recycled is a log whose last segment is in a file that has held another one, of
// which frames are left behind the end.
func recycled(t *testing.T) (mem *vfs.Mem, b *busy) {
	t.Helper()
	mem = vfs.NewMem()
	b = &busy{t: t, log: open(t, mem, ""), want: model{}}
	for b.log.current().number < 6 || b.log.current().size > b.log.current().begun+100 {
		b.entry(20)
	}
	path := segmentPath(dir, b.log.current().number)
	behind := load(t, mem, path)[b.log.current().size:]
	if len(behind) < 100 || !slices.ContainsFunc(behind, func(c byte) bool { return c != 0 }) {
		t.Fatalf("behind the log there are %d bytes, %q", len(behind), behind)
	}
	return mem, b
}

// Whatever a file has held before, a crash leaves what was acknowledged in its new use,
// and nothing of the old.
func TestFramesOfAnEarlierUseNeverComeBack(t *testing.T) {
	mem, b := recycled(t)
	number := b.log.current().number
	for b.log.current().number == number {
		must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
		must(t, open(t, mem.Crash(vfs.Kept), b.want.picture()).Close())
		b.entry(1)
	}
}

// D04: what is behind a damaged batch in a used file is a later batch, which proves
// that it was acknowledged, or an earlier use, which proves nothing.
func TestD04DamageInAUsedFileIsRefused(t *testing.T) {
	mem, b := recycled(t)
	path, start := segmentPath(dir, b.log.current().number), int(b.log.current().size)
	b.entry(1)
	second := int(b.log.current().size)
	b.entry(1)
	data := load(t, mem, path)
	for at := start; at < second; at++ {
		disk := mem.Crash(vfs.Lost)
		spoilt := slices.Clone(data)
		spoilt[at] ^= 4
		store(t, disk, path, spoilt)
		refused(t, disk, path, int64(start))
	}
}

// D05: the last batch is torn at every byte, and what the file held before is there
// again.
func TestD05ATailTornInAUsedFileIsCut(t *testing.T) {
	mem, b := recycled(t)
	path, start, want := segmentPath(dir, b.log.current().number), int(b.log.current().size), b.want.picture()
	before := load(t, mem, path)
	b.put(record(1, state(7, 7)))
	end, after := int(b.log.current().size), load(t, mem, path)
	for at := start; at < end; at++ {
		for how, data := range map[string][]byte{
			"end lost":   append(slices.Clone(after[:at]), before[at:]...),
			"begin lost": append(slices.Clone(before[:at+1]), after[at+1:]...),
		} {
			if slices.Equal(data[:end], after[:end]) {
				continue // the two are equal where it was torn
			}
			disk := mem.Crash(vfs.Lost)
			store(t, disk, path, data)
			l := open(t, disk, want)
			if length := len(load(t, disk, path)); length != start {
				t.Fatalf("%s at %d: the file has %d bytes, want %d", how, at, length, start)
			}
			must(t, l.Close())
		}
	}
}

// The process dies before every single operation, and the machine runs on: names and
// bytes that were not synced are still there. What the next process writes, also into
// files that it finds without a use, must then survive a power cut.
func TestTheNextProcessWritesToNothingThatACutCouldBringBack(t *testing.T) {
	died := errors.New("the process is dead")
	for left := 0; ; left++ {
		mem, want, count := vfs.NewMem(), model{}, 0
		disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
			if op.Changes() {
				count++
			}
			if count > left {
				return died
			}
			return nil
		})
		l, _, err := Open(disk, dir, small())
		for _, batch := range crowded() {
			if err == nil {
				want.add(t, batch...)
				err = l.Append(batch)
			}
		}
		l, saved, opens := Open(mem, dir, small())
		must(t, opens)
		next := model(saved)
		for i := range raft.Index(6) {
			r := record(9, entries(id(min(1, raft.Term(i)), i), 1, 1, 150))
			must(t, l.Append([]codec.Record{r}))
			next.add(t, r)
			must(t, open(t, mem.Crash(vfs.Lost), next.picture()).Close())
		}
		if err == nil {
			return // every operation has had its turn
		}
	}
}

// crashes runs a busy log and lets the power go out before each operation that matches,
// nothing being left of what was not synced. It opens what is there.
func crashes(t *testing.T, match func(op vfs.Op, path string) bool, found func(path string, l *Log)) {
	t.Helper()
	mem, n := vfs.NewMem(), 0
	b := &busy{t: t, want: model{}}
	disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
		if b.log != nil && match(op, path) {
			n++
			next := maps.Clone(b.want) // the batch under way is durable: segments change before it is begun, and after
			next[1] = &raft.Saved{Base: b.want[1].Base, Entries: slices.Clone(b.want[1].Entries)}
			next.add(t, b.next(20))
			l := open(t, mem.Crash(vfs.Lost), b.want.picture(), next.picture())
			found(path, l)
			must(t, l.Close())
		}
		return nil
	})
	b.log = open(t, disk, "")
	for range 40 {
		b.entry(20)
	}
	if n < 3 {
		t.Fatalf("it happened %d times", n)
	}
}

// A new segment has all that it begins with, but not its name.
func TestASegmentThatWasBegunIsNone(t *testing.T) {
	used := false
	crashes(t, func(op vfs.Op, path string) bool {
		return op == vfs.OpRename && strings.HasSuffix(path, temporarySuffix)
	}, func(path string, l *Log) {
		fresh := path == temporaryPath(dir, l.current().number+1) // its name was never durable
		if slices.Contains(l.spares, path) == fresh {
			t.Fatalf("%s: beside segment %d are %q", path, l.current().number, l.spares)
		}
		used = used || !fresh
	})
	if !used {
		t.Fatal("no file was used again")
	}
}

// A segment has lost its name, but the disk does not know it yet.
func TestASegmentThatWasToGoIsReadAgain(t *testing.T) {
	renamed := ""
	crashes(t, func(op vfs.Op, path string) bool {
		if op == vfs.OpRename && strings.HasSuffix(path, suffix) {
			renamed = path
			return false
		}
		return op == vfs.OpSyncDir && renamed != ""
	}, func(_ string, l *Log) {
		if segmentPath(dir, l.segments[0].number) <= renamed || len(l.spares) == 0 {
			t.Fatalf("%s was not let go again: the log begins with segment %d, beside it are %q", renamed, l.segments[0].number, l.spares)
		}
		renamed = ""
	})
}

func TestAHugeFileIsNotKept(t *testing.T) {
	mem := vfs.NewMem()
	b := &busy{t: t, log: open(t, mem, ""), want: model{}}
	b.entry(10_000)
	for b.log.segments[0].number == 1 {
		b.entry(100)
	}
	if got := b.log.Status(); got.Spares != 0 {
		t.Fatalf("status %+v after the removal of a segment with one huge batch", got)
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}

// Two files are there without a use, one of them named after a segment that is still to
// come. When that goes in its turn, it does not take the other's name.
func TestAFileDoesNotTakeTheNameOfAnother(t *testing.T) {
	mem := vfs.NewMem()
	must(t, open(t, mem, "").Close())
	for _, number := range []uint64{3, 9} {
		store(t, mem, temporaryPath(dir, number), make([]byte, 100))
	}
	b := &busy{t: t, log: open(t, mem, ""), want: model{}}
	for b.log.segments[0].number < 6 {
		b.entry(20)
		names, err := mem.List(dir)
		must(t, err)
		if got := b.log.Status(); len(names) != got.Segments+got.Spares {
			t.Fatalf("%+v, and on the disk %q", got, names)
		}
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}
