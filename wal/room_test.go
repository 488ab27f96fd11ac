package wal

import (
	"errors"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// fill appends entries of group 1 until there is no room, and returns how many it has.
func fill(t *testing.T, l *Log, want model) (last raft.Index) {
	t.Helper()
	for {
		r := record(1, entries(id(min(1, raft.Term(last)), last), 1, 1, 20))
		err := l.Append([]codec.Record{r})
		if errors.Is(err, ErrNoSpace) && errors.Is(err, syscall.ENOSPC) {
			return last
		}
		must(t, err)
		want.add(t, r)
		last++
	}
}

// D10: where entries find no room, a term and a vote still do, and so does what lets
// old segments go; and with these gone, entries do.
func TestD10TermsAndCompactionsHaveRoomWhereEntriesHaveNone(t *testing.T) {
	mem, want := vfs.NewMem(), model{}
	l, _, err := Open(mem, dir, Options{SegmentBytes: 1000, Env: &counting{}})
	must(t, err)
	must(t, l.Append([]codec.Record{record(2, state(1, 1))}))
	want.add(t, record(2, state(1, 1)))
	mem.SetCapacity(mem.Used() + 2000)
	last := fill(t, l, want)
	if last < 5 || l.current().number < 2 {
		t.Fatalf("%d entries, segment %d: too little was written to say anything", last, l.current().number)
	}
	vote := record(2, state(2, 3))
	must(t, l.Append([]codec.Record{vote}))
	want.add(t, vote)
	must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())

	compacted := record(1, base(1, last-1))
	must(t, l.Append([]codec.Record{compacted}))
	want.add(t, compacted)
	mem.SetCapacity(mem.Used()) // what is gone is not given back: others could take it
	more := record(1, entries(id(1, last), 1, 2, 20))
	must(t, l.Append([]codec.Record{more}))
	want.add(t, more)
	must(t, l.Close())
	must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())
}

// D10: a batch that found no room leaves nothing that a later segment would contradict.
func TestD10ARefusedBatchIsNotMetAgain(t *testing.T) {
	mem, want, full := vfs.NewMem(), model{}, false
	l := open(t, vfs.Inject(mem, func(op vfs.Op, _ string) error {
		if full && op == vfs.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	}), "")
	small, large := record(1, entries(id(0, 0), 1, 1, 100)), record(1, entries(id(1, 1), 1, 3, 300))
	must(t, l.Append([]codec.Record{small}))
	want.add(t, small)
	full = true
	for range 3 {
		if err := l.Append([]codec.Record{record(1, entries(id(1, 1), 1, 1, 20))}); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("append to a full disk: %v", err)
		}
	}
	must(t, open(t, mem.Crash(vfs.Kept), want.picture()).Close())
	full = false
	must(t, l.Append([]codec.Record{large})) // goes into the next segment
	want.add(t, large)
	if l.current().number != 2 {
		t.Fatalf("the log is in segment %d", l.current().number)
	}
	must(t, open(t, mem.Crash(vfs.Kept), want.picture()).Close())
	must(t, l.Close())
}

// Random writes to a disk on which there is now more room and now less. What finds none
// is tried again, after what others have to say; a crash at any time leaves what was
// acknowledged, and of what was refused all or nothing.
func TestD10ADiskThatFillsUpAndEmptiesLosesNothing(t *testing.T) {
	refusals, passed := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewMem()
		broken := 0 // so many writes fail, although there is room
		disk := vfs.Inject(mem, func(op vfs.Op, _ string) error {
			if broken > 0 && (op == vfs.OpWrite || op == vfs.OpCreate || op == vfs.OpRename) {
				broken--
				return syscall.ENOSPC
			}
			return nil
		})
		l := open(rt, disk, "")
		acknowledged, want := model{}.picture(), author{rt, model{}}
		var refused []codec.Record
		for range rapid.IntRange(5, 60).Draw(rt, "batches") {
			if room := rapid.IntRange(0, 9).Draw(rt, "room"); room < 4 {
				mem.SetCapacity(mem.Used() + int64(room)*150)
			} else if room < 6 {
				mem.SetCapacity(0)
			} else if room == 6 {
				broken = rapid.IntRange(1, 3).Draw(rt, "broken")
			}
			if len(refused) == 0 {
				r := want.record()
				want.want.add(rt, r)
				refused = append(refused, r)
			}
			next := want.want.picture()
			err := l.Append(refused)
			switch {
			case err == nil:
				acknowledged, refused = next, nil
			case errors.Is(err, ErrNoSpace):
				refusals++
				vote := record(9, state(raft.Term(refusals), 1)) // of a group that nothing waits for
				if l.Append([]codec.Record{vote}) == nil {
					passed++
					acknowledged = with(rt, acknowledged, mem)
					want.want.add(rt, vote)
					next = want.want.picture()
				}
			default:
				rt.Fatal(err)
			}
			survives := func(size int) int { return rapid.IntRange(0, size).Draw(rt, "survives") }
			for _, image := range []*vfs.Mem{mem.Crash(vfs.Lost), mem.Crash(vfs.Kept), mem.Crash(survives)} {
				image.SetCapacity(0)
				must(rt, open(rt, image, acknowledged, next).Close())
			}
		}
		must(rt, l.Close())
	})
	if refusals < 100 || passed < 100 {
		t.Fatalf("%d batches were refused, %d votes were not: the histories no longer show anything", refusals, passed)
	}
}

// with is the picture of what a disk holds that no crash can take any more, after a
// vote of group 9 was acknowledged.
func with(t rapid.TB, before string, mem *vfs.Mem) string {
	t.Helper()
	image := mem.Crash(vfs.Lost)
	image.SetCapacity(0)
	l, saved, err := Open(image, dir, small())
	must(t, err)
	must(t, l.Close())
	vote := saved[9]
	delete(saved, 9)
	got := model(saved).picture()
	if i := len(got); len(before) < i || before[:i] != got {
		t.Fatalf("beside a vote the log holds\n%s\nwanted\n%s", got, before)
	}
	saved[9] = vote
	return model(saved).picture()
}
