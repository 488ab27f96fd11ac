package wal

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// history is a few batches that lead through several segments, a compaction that
// frees some, and a replaced tail.
func history() [][]codec.Record {
	return [][]codec.Record{
		{record(1, state(1, 1)), record(2, state(1, 2))},
		{record(1, entries(id(0, 0), 1, 3, 60)), record(2, entries(id(0, 0), 1, 1, 10))},
		{record(1, entries(id(1, 3), 1, 2, 90))},
		{record(1, state(2, 0))},
		{record(1, entries(id(1, 4), 2, 3, 50)), record(2, base(1, 1))},
		{record(1, base(1, 4))},
		{record(1, entries(id(2, 7), 2, 2, 100))},
		{record(1, base(2, 8)), record(2, entries(id(1, 1), 1, 1, 150))},
		{record(2, base(3, 9))},
		{record(1, entries(id(2, 9), 2, 1, 10)), record(2, entries(id(3, 9), 3, 1, 10))},
	}
}

// survivals are the crashes that are tried at one moment: everything that was not
// synced is lost, is kept, or is torn at random.
func survivals(rng *rand.Rand) []vfs.Survival {
	random := func(size int) int { return rng.IntN(size + 1) }
	return []vfs.Survival{vfs.Lost, vfs.Kept, random, random}
}

// crowded is a history in which one busy group compacts, and a quiet one holds back
// the first segment with its only entry, until that is moved; files are used again.
func crowded() [][]codec.Record {
	all := [][]codec.Record{
		{record(1, state(1, 1)), record(2, state(1, 2)), record(3, state(1, 2))},
		{record(2, entries(id(0, 0), 1, 1, 10)), record(3, entries(id(0, 0), 1, 2, 10))},
		{record(3, entries(id(1, 1), 2, 1, 10))}, // in place of one of the two
	}
	for i := range raft.Index(13) {
		batch := []codec.Record{record(1, entries(id(min(1, raft.Term(i)), i), 1, 1, 150))}
		if i > 1 {
			batch = append(batch, record(1, base(1, i-1)))
		}
		all = append(all, batch)
	}
	return append(all, []codec.Record{record(2, entries(id(1, 1), 2, 1, 5)), record(3, base(1, 1))})
}

// lagging is a history in which the second group compacts little, and all others free their
// segments around what it needs: that moves in parts, and is then replaced from the middle
// on, moved again, compacted in part, and replaced by a snapshot.
func lagging() [][]codec.Record {
	var all [][]codec.Record
	busy, slow := id(0, 0), id(0, 0)
	next := func(more ...codec.Record) {
		w := entries(busy, 1, 1, 90)
		if busy.Index > 0 {
			w.Base = base(1, busy.Index).Base
		}
		busy = w.Append.Last()
		all = append(all, append([]codec.Record{record(1, w)}, more...))
	}
	write := func(prev raft.EntryID, term raft.Term, n int) codec.Record {
		r := record(2, entries(prev, term, n, 40))
		slow = r.Write.Append.Last()
		return r
	}
	for term := range raft.Term(4) {
		next(write(slow, 1+term/2, 3))
	}
	for range 10 {
		next()
	}
	next(write(id(1, 5), 3, 3), record(3, state(1, 1)))
	for range 9 {
		next()
	}
	next(record(2, base(1, 4)))
	next(write(slow, 3, 1))
	for range 6 {
		next()
	}
	next(record(2, base(4, 7))) // the log has 3/7
	for range 3 {
		next()
	}
	return append(all, []codec.Record{write(id(4, 7), 4, 1)})
}

// The power goes out before every single operation that changes the disk, also
// during the recovery from that. What was acknowledged is always there, and of the
// batch under way all or nothing.
func TestD16ACrashAtAnyOperationLosesNothing(t *testing.T) {
	for name, batches := range map[string][][]codec.Record{"compacting": history(), "crowded": crowded(), "lagging": lagging()} {
		t.Run(name, func(t *testing.T) { crashAnywhere(t, batches, name != "compacting") })
	}
}

func crashAnywhere(t *testing.T, batches [][]codec.Record, moves bool) {
	rng := rand.New(rand.NewPCG(1, 1))
	acknowledged, next := "", ""
	images := 0
	var crash func(mem *vfs.Mem, depth int) vfs.FS
	crash = func(mem *vfs.Mem, depth int) vfs.FS {
		return vfs.Inject(mem, func(op vfs.Op, path string) error {
			if !op.Changes() || depth == 0 {
				return nil
			}
			for _, survives := range survivals(rng) {
				images++
				image := mem.Crash(survives)
				must(t, open(t, crash(image, depth-1), acknowledged, next).Close())
				must(t, open(t, image.Crash(vfs.Lost), acknowledged, next).Close())
			}
			return nil
		})
	}
	want, mem := model{}, vfs.NewMem()
	disk := crash(mem, 2)
	l := open(t, disk, "")
	removed, recycled := false, false
	for _, batch := range batches {
		want.add(t, batch...)
		next = want.picture()
		before, spares := l.Status().Segments, len(l.spares)
		must(t, l.Append(batch))
		acknowledged = next
		removed = removed || l.Status().Segments < before
		recycled = recycled || len(l.spares) < spares
	}
	last, moved := l.current().number, l.Status().Moved > 0
	must(t, l.Close())
	must(t, open(t, disk, acknowledged).Close())
	if last < 4 || !removed || images < 1000 || moved != moves || !recycled {
		t.Fatalf("%d segments, removed %v, moved %v, recycled %v, %d crashes: the history no longer shows anything", last, removed, moved, recycled, images)
	}
}

// Every operation fails once, the disk being full. What was acknowledged is there
// when there is room again, and so it is if it fails while the log is opened.
func TestAFullDiskLosesNothing(t *testing.T) {
	fillAnywhere(t, history())
	fillAnywhere(t, crowded())
	fillAnywhere(t, lagging())
}

func fillAnywhere(t *testing.T, batches [][]codec.Record) {
	t.Helper()
	for failing := 0; ; failing++ {
		mem, want, count := vfs.NewMem(), model{}, 0
		disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
			if !op.Changes() {
				return nil
			}
			count++
			if count > failing {
				return syscall.ENOSPC
			}
			return nil
		})
		acknowledged, next := "", ""
		l, _, err := Open(disk, dir, small())
		for _, batch := range batches {
			if err != nil {
				break
			}
			want.add(t, batch...)
			next = want.picture()
			if err = l.Append(batch); err == nil {
				acknowledged = next
			}
		}
		if l != nil {
			must(t, l.Close())
		}
		must(t, open(t, mem.Crash(vfs.Lost), acknowledged, next).Close())
		must(t, open(t, mem, acknowledged, next).Close())
		if err == nil {
			return // every operation has had its turn
		}
	}
}

// author draws writes that a group could have made, by what the model holds.
type author struct {
	t    *rapid.T
	want model
}

func (a author) record() codec.Record {
	// Most are of one group, so that others hold back segments.
	g := rapid.SampledFrom([]raft.GroupID{1, 1, 1, 1, 1, 1, 2, 3}).Draw(a.t, "group")
	saved := a.want[g]
	if saved == nil {
		saved = &raft.Saved{}
	}
	w := raft.Write{}
	if rapid.Bool().Draw(a.t, "state") {
		w.State = raft.HardState{Term: saved.State.Term + 1, Vote: raft.NodeID(rapid.IntRange(0, 3).Draw(a.t, "vote"))}
	}
	after := a.base(saved, &w)
	if rapid.Bool().Draw(a.t, "append") {
		prev := after.Base.ID
		if n := rapid.IntRange(0, len(after.Entries)).Draw(a.t, "keep"); n > 0 {
			prev = after.Entries[n-1].EntryID
		}
		term := max(1, prev.Term) + raft.Term(rapid.IntRange(0, 1).Draw(a.t, "newer"))
		w.Append = entries(prev, term, rapid.IntRange(1, 4).Draw(a.t, "n"), rapid.IntRange(0, 80).Draw(a.t, "size")).Append
	}
	return record(g, w)
}

// base draws a compaction, the installation of a snapshot, or neither, and returns
// what it leaves of the log.
func (a author) base(saved *raft.Saved, w *raft.Write) raft.Saved {
	after := raft.Saved{Base: saved.Base, Entries: saved.Entries}
	switch rapid.IntRange(0, 3).Draw(a.t, "base") {
	case 0:
		if n := len(saved.Entries); n > 0 {
			e := saved.Entries[rapid.IntRange(0, n-1).Draw(a.t, "compacted")]
			w.Base = base(e.Term, e.Index).Base
		}
	case 1:
		ahead := raft.Index(rapid.IntRange(1, 5).Draw(a.t, "ahead"))
		// Of a term that is new to the log: an entry that was thrown away because a
		// snapshot contradicts those before it can be no part of a later snapshot (§5.3).
		last := saved.Base.ID.Term
		if n := len(saved.Entries); n > 0 {
			last = saved.Entries[n-1].Term
		}
		term := last + raft.Term(rapid.IntRange(1, 3).Draw(a.t, "term"))
		w.Base = base(term, saved.Base.ID.Index+ahead).Base
	}
	if err := after.Add(raft.Write{Base: w.Base}); err != nil {
		a.t.Fatal(err)
	}
	return after
}

// Random writes, crashes at random operations and recoveries, compared with the
// plain sum of the writes.
func TestTheLogIsTheSumOfItsWrites(t *testing.T) {
	moved := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		mem, acknowledged := vfs.NewMem(), model{}.picture()
		want := author{rt, model{}}
		for range rapid.IntRange(1, 4).Draw(rt, "lives") {
			left := rapid.IntRange(0, 150).Draw(rt, "operations until the crash")
			var image *vfs.Mem
			disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
				if left--; left >= 0 || !op.Changes() {
					return nil
				}
				if image == nil {
					image = mem.Crash(func(size int) int { return rapid.IntRange(0, size).Draw(rt, "survives") })
				}
				return syscall.EIO
			})
			next := acknowledged
			l, saved, err := Open(disk, dir, small())
			if err == nil {
				if got := model(saved).picture(); got != acknowledged {
					rt.Fatalf("the log holds\n%s\nwanted\n%s", got, acknowledged)
				}
			}
			for range 40 {
				if err != nil {
					break
				}
				batch := make([]codec.Record, 0, 3)
				for range cap(batch) {
					r := want.record()
					want.want.add(t, r)
					batch = append(batch, r)
				}
				next = want.want.picture()
				if err = l.Append(batch); err == nil {
					acknowledged = next
				}
			}
			if l != nil {
				moved += l.Status().Moved
			}
			if image == nil {
				image = mem.Crash(vfs.Lost)
			}
			mem = image
			l, saved, err = Open(mem, dir, small())
			if err != nil {
				rt.Fatal(err)
			}
			got := model(saved).picture()
			if got != acknowledged && got != next {
				rt.Fatalf("after a crash the log holds\n%s\nwanted\n%s\nor\n%s", got, acknowledged, next)
			}
			must(t, l.Close())
			acknowledged, want.want = got, saved
		}
	})
	if moved == 0 {
		t.Fatal("nothing was ever moved: the histories no longer show that")
	}
}
