package wal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
)

const dir = "/wal"

// counting is a world in which time passes by a second whenever it is asked for.
// Its random numbers are the same in every run of the tests, and different in all
// worlds of a run: no two segments have the same seal.
type counting struct {
	env.Env
	n int64
}

var random = rand.New(rand.NewPCG(7, 7))

func (c *counting) Now() time.Time { c.n++; return time.Unix(c.n, 0) }
func (c *counting) Uint64() uint64 { return random.Uint64() }

func small() Options { return Options{SegmentBytes: 300, Env: &counting{}} }

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Writes are built from these parts.

func state(term raft.Term, vote raft.NodeID) raft.Write {
	return raft.Write{State: raft.HardState{Term: term, Vote: vote}}
}

func base(term raft.Term, index raft.Index) raft.Write {
	voter := membership.Member{ID: 1, Role: membership.Voter, Address: "a"}
	return raft.Write{Base: &raft.Snapshot{ID: raft.EntryID{Term: term, Index: index}, Config: membership.New(voter)}}
}

// entries follow prev, all in one term, each with size bytes of data.
func entries(prev raft.EntryID, term raft.Term, n, size int) raft.Write {
	span := raft.Span{Prev: prev}
	for i := range n {
		id := raft.EntryID{Term: term, Index: prev.Index + 1 + raft.Index(i)}
		data := bytes.Repeat([]byte{byte('a' + id.Index%26)}, size)
		span.Entries = append(span.Entries, raft.Entry{EntryID: id, Kind: raft.Command, Data: data})
	}
	return raft.Write{Append: span}
}

func id(term raft.Term, index raft.Index) raft.EntryID { return raft.EntryID{Term: term, Index: index} }

func record(g raft.GroupID, w raft.Write) codec.Record { return codec.Record{Group: g, Write: w} }

// model is what a log must hold: raft.Saved.Add of all that was written.
type model map[raft.GroupID]*raft.Saved

func (m model) add(t rapid.TB, records ...codec.Record) {
	t.Helper()
	for _, r := range records {
		if m[r.Group] == nil {
			m[r.Group] = &raft.Saved{}
		}
		must(t, m[r.Group].Add(r.Write))
	}
}

// picture is equal for equal contents, and can be read in a failed test.
func (m model) picture() string {
	var b strings.Builder
	for _, g := range slices.Sorted(maps.Keys(m)) {
		s := m[g]
		fmt.Fprintf(&b, "group %d: %+v base %v %v\n", g, s.State, s.Base.ID, s.Base.Config.Members)
		for _, e := range s.Entries {
			fmt.Fprintf(&b, "  %v kind %d %d bytes %.3s\n", e.EntryID, e.Kind, len(e.Data), e.Data)
		}
	}
	return b.String()
}

// open opens the log and checks it against the pictures that are allowed.
func open(t rapid.TB, fs vfs.FS, allowed ...string) *Log {
	t.Helper()
	l, saved, err := Open(fs, dir, small())
	must(t, err)
	if got := model(saved).picture(); !slices.Contains(allowed, got) {
		t.Fatalf("the log holds\n%s\nwanted one of\n%s", got, strings.Join(allowed, "\nor\n"))
	}
	return l
}

func TestWhatWasAppendedIsThereAgain(t *testing.T) {
	mem, want := vfs.NewMem(), model{}
	l := open(t, mem, want.picture())
	for _, batch := range [][]codec.Record{
		{record(7, state(1, 2)), record(3, entries(id(0, 0), 1, 4, 10))},
		{record(7, entries(id(0, 0), 1, 2, 0)), record(3, state(2, 0))},
		{record(3, entries(id(1, 2), 2, 5, 30))}, // replaces 3 and 4
		{record(3, base(2, 5)), record(7, base(9, 9))},
		nil,
	} {
		must(t, l.Append(batch))
		want.add(t, batch...)
		must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())
	}
	must(t, l.Close())
	must(t, open(t, mem, want.picture()).Close())
}

func TestTheRealFileSystemKeepsItToo(t *testing.T) {
	for _, mode := range []vfs.SyncMode{vfs.Fdatasync, vfs.DSync} {
		t.Run(string(mode), func(t *testing.T) { keepsRounds(t, vfs.OS{Mode: mode}, t.TempDir()+"/log") })
	}
}

func keepsRounds(t *testing.T, disk vfs.FS, where string) {
	want := model{}
	for round := range 3 {
		l, saved, err := Open(disk, where, Options{SegmentBytes: 300})
		must(t, err)
		if got := model(saved).picture(); got != want.picture() {
			t.Fatalf("round %d holds\n%s\nwanted\n%s", round, got, want.picture())
		}
		for i := range 10 {
			last := raft.Index(10*round + i)
			r := record(1, entries(id(min(1, raft.Term(last)), last), 1, 1, 40))
			must(t, l.Append([]codec.Record{r}))
			want.add(t, r)
		}
		if got := l.Status(); got.Segments < 2 || got.Syncs != 10 || got.SyncMode != vfs.ModeOf(disk) {
			t.Fatalf("status %+v, wanted several segments, 10 syncs and how they are made", got)
		}
		must(t, l.Close())
	}
}

func TestSegmentsGoOnceEveryGroupHasCompactedThem(t *testing.T) {
	mem, want := vfs.NewMem(), model{}
	l := open(t, mem, want.picture())
	put := func(records ...codec.Record) {
		t.Helper()
		must(t, l.Append(records))
		want.add(t, records...)
	}
	put(record(1, state(1, 1)), record(2, state(1, 2)))
	put(record(2, entries(id(0, 0), 1, 1, 8)))
	for i := range 20 {
		put(record(1, entries(id(min(1, raft.Term(i)), raft.Index(i)), 1, 1, 100)))
	}
	full := l.Status().Segments
	if full < 5 {
		t.Fatalf("%d segments, wanted at least 5 for the test to mean anything", full)
	}
	put(record(1, base(1, 15)))
	if got := l.Status().Segments; got != full {
		t.Fatalf("%d of %d segments are left, although group 2 needs the first", got, full)
	}
	put(record(2, base(1, 1)))
	after := l.Status()
	if after.Segments >= full-2 {
		t.Fatalf("%d of %d segments are left, although only entries 16 to 20 are needed", after.Segments, full)
	}
	names, err := mem.List(dir)
	must(t, err)
	if len(names) != after.Segments+after.Spares || after.Spares != maxSpares {
		t.Fatalf("status says %+v, the disk has %q", after, names)
	}
	// Group 2 wrote nothing in any segment that is left, and is known all the same.
	must(t, open(t, mem.Crash(vfs.Lost), want.picture()).Close())
	must(t, open(t, mem.Crash(vfs.Kept), want.picture()).Close())
}

func TestStatusTellsTheSizeAndTheLastSync(t *testing.T) {
	mem := vfs.NewMem()
	l := open(t, mem, "")
	must(t, l.Append([]codec.Record{record(1, state(1, 1))}))
	got := l.Status()
	size := l.current().size
	if length := int64(len(load(t, mem, segmentPath(dir, 1)))); length <= size {
		t.Fatalf("the file has %d bytes: nothing is written ahead of the log, which has %d", length, size)
	}
	if want := (Status{Segments: 1, Bytes: size, Mark: 1<<32 + uint64(size), Syncs: 1, LastSync: time.Second}); got != want {
		t.Fatalf("status %+v, want %+v", got, want)
	}
}

func TestTheFirstFailureIsFinal(t *testing.T) {
	for _, failing := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		for _, why := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			if failing == vfs.OpWrite && why == syscall.ENOSPC {
				continue // no failure: see room_test.go
			}
			t.Run(failing.String()+" "+why.Error(), func(t *testing.T) {
				mem, want := vfs.NewMem(), model{}
				broken, writes := false, 0
				disk := vfs.Inject(mem, func(op vfs.Op, path string) error {
					if op == vfs.OpWrite || op == vfs.OpSync {
						writes++
					}
					if broken && op == failing {
						return why
					}
					return nil
				})
				l := open(t, disk, "")
				good := record(1, entries(id(0, 0), 1, 3, 20))
				must(t, l.Append([]codec.Record{good}))
				want.add(t, good)
				acknowledged := want.picture()

				broken = true
				bad := []codec.Record{record(1, entries(id(1, 3), 1, 2, 20))}
				if err := l.Append(bad); !errors.Is(err, why) {
					t.Fatalf("append to a broken disk: %v", err)
				}
				broken = false
				before := writes
				if err := l.Append(bad); !errors.Is(err, why) {
					t.Fatalf("append after the failure: %v, want the same error", err)
				}
				if writes != before {
					t.Fatal("the disk was tried again after it had failed")
				}
				must(t, l.Close())
				must(t, open(t, mem.Crash(vfs.Lost), acknowledged).Close())

				// The process dies and starts again, the machine runs on: whatever
				// recovery took for written must then survive a power cut.
				want.add(t, bad...)
				l = open(t, mem, acknowledged, want.picture())
				must(t, l.Close())
				_, saved, err := Open(mem, dir, small())
				must(t, err)
				must(t, open(t, mem.Crash(vfs.Lost), model(saved).picture()).Close())
			})
		}
	}
}

func TestAClosedLogRefuses(t *testing.T) {
	l := open(t, vfs.NewMem(), "")
	must(t, l.Close())
	if err := l.Append([]codec.Record{record(1, state(1, 1))}); !errors.Is(err, ErrClosed) {
		t.Fatalf("append: %v", err)
	}
	must(t, l.Close())
}

// sink is a file that takes everything and keeps nothing.
type sink struct{ vfs.File }

func (sink) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (sink) Sync() error                            { return nil }

func TestAppendAllocatesNothing(t *testing.T) {
	l := open(t, vfs.NewMem(), "")
	l.file, l.opts.SegmentBytes = sink{}, 1<<40
	batch := []codec.Record{record(1, entries(id(0, 0), 1, 50, 100)), record(2, state(1, 1))}
	must(t, l.Append(batch))
	allocs := testing.AllocsPerRun(100, func() {
		span := &batch[0].Write.Append
		span.Prev = span.Last()
		for i := range span.Entries {
			span.Entries[i].Index += 50
		}
		must(t, l.Append(batch))
	})
	if allocs != 0 {
		t.Fatalf("%v allocations per batch", allocs)
	}
}
