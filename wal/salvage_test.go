package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// salvage opens a log and takes whatever is left of it.
func salvage(fs vfs.FS) (*Log, model, error) {
	opts := small()
	opts.Salvage = func(map[raft.GroupID]*raft.Saved) error { return nil }
	l, saved, err := Open(fs, dir, opts)
	return l, saved, err
}

// told is a history, and the log after each of its batches.
type told struct {
	mem  *vfs.Mem
	past []model
}

// tell writes a history. Every write of a core has its hard state with it.
func tell(t *testing.T, batches [][]codec.Record) *told {
	t.Helper()
	h := &told{mem: vfs.NewMem(), past: []model{{}}}
	l, _, err := Open(h.mem, dir, small())
	must(t, err)
	states := map[raft.GroupID]raft.HardState{}
	now := model{}
	for i, batch := range batches {
		for k := range batch {
			r := &batch[k]
			if r.Write.State == (raft.HardState{}) {
				r.Write.State = states[r.Group]
			}
			r.Write.State.Term = max(r.Write.State.Term, r.Write.Append.Last().Term, raft.Term(1+i/4))
			states[r.Group] = r.Write.State
		}
		must(t, l.Append(batch))
		now.add(t, batch...)
		copied := model{}
		for id, s := range now {
			c := *s
			c.Entries = slices.Clone(s.Entries)
			copied[id] = &c
		}
		h.past = append(h.past, copied)
	}
	must(t, l.Close())
	return h
}

// judge looks at what a log holds that has lost something: a group that is not injured
// is what it was, but for the last batch, which may look torn; of one that is injured
// there is nothing that it never had; and of one that is gone it is said that there
// may be such.
func (h *told) judge(saved model) error {
	final, before := h.past[len(h.past)-1], h.past[len(h.past)-2]
	for id, truth := range final {
		got := saved[id]
		one := func(m model) string { return model{id: m[id]}.picture() }
		switch {
		case got == nil && saved[0] == nil && before[id] != nil:
			return fmt.Errorf("group %d is gone, and nobody says so", id)
		case got == nil:
		case !got.State.Injured:
			if p := (model{id: got}).picture(); p != one(final) && (before[id] == nil || p != one(before)) {
				return fmt.Errorf("not injured, and yet\n%sit was\n%s", p, one(final))
			}
		case got.State.Term > truth.State.Term:
			return fmt.Errorf("group %d was never in term %d", id, got.State.Term)
		default:
			last := raft.Span{Prev: got.Base.ID, Entries: got.Entries}.Last()
			if last != (raft.EntryID{}) && !slices.ContainsFunc(h.past, func(m model) bool { return m[id] != nil && m[id].Holds(last) }) {
				return fmt.Errorf("the log of group %d never held %v", id, last)
			}
		}
	}
	return nil
}

var histories = map[string]func() [][]codec.Record{"compacting": history, "crowded": crowded, "lagging": lagging}

// D04: a byte flips, at every place of a log. Whoever goes on knows which groups may have
// lost something; the others have all they had. And what was salvaged is whole.
func TestD04WhatDamageMayHaveHurtIsInjured(t *testing.T) {
	for name, batches := range histories {
		t.Run(name, func(t *testing.T) {
			h := tell(t, batches())
			injured, whole := 0, 0
			for _, file := range segmentsOf(t, h.mem) {
				for at := range load(t, h.mem, file) {
					mem := h.mem.Crash(vfs.Kept)
					flip(t, mem, file, at)
					l, saved, err := salvage(mem)
					must(t, err)
					if err := h.judge(saved); err != nil {
						t.Fatalf("%s at %d: %v", file, at, err)
					}
					for _, s := range saved {
						if s.State.Injured {
							injured++
						} else if len(l.Damage()) > 0 {
							whole++
						}
					}
					picture := saved.picture()
					must(t, l.Append([]codec.Record{record(9, state(5, 5))}))
					must(t, l.Close())
					must(t, open(t, mem.Crash(vfs.Lost), picture+"group 9: {Term:5 Vote:5 Commit:0 Injured:false} base 0/0 []\n").Close())
				}
			}
			if injured == 0 || whole == 0 {
				t.Errorf("%d injured groups, %d that are whole behind damage: the test looks at nothing", injured, whole)
			}
		})
	}
}

func segmentsOf(t *testing.T, mem *vfs.Mem) (files []string) {
	t.Helper()
	names, err := mem.List(dir)
	must(t, err)
	for _, name := range names {
		if _, ok := parseName(name, suffix); ok {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files
}

func flip(t *testing.T, mem *vfs.Mem, file string, at int) {
	t.Helper()
	data := load(t, mem, file)
	data[at] ^= 0x10
	store(t, mem, file, data)
}

// Two places are damaged, and a crash comes at any operation while what is left is
// written anew: the next attempt finds the same, or that it is done.
func TestACrashWhileALogIsSalvagedChangesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for name, batches := range histories {
		h := tell(t, batches())
		files := segmentsOf(t, h.mem)
		for range 40 {
			mem := h.mem.Crash(vfs.Kept)
			for range 2 {
				file := files[rng.IntN(len(files))]
				flip(t, mem, file, rng.IntN(len(load(t, mem, file))))
			}
			l, want, err := salvage(mem.Crash(vfs.Kept))
			must(t, err)
			must(t, l.Close())
			if err := h.judge(want); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l, _, err = salvage(vfs.Inject(mem, func(op vfs.Op, _ string) error {
				if op.Changes() {
					for _, survives := range survivals(rng) {
						after, got, err := salvage(mem.Crash(survives))
						must(t, err)
						must(t, after.Close())
						if got.picture() != want.picture() {
							t.Fatalf("%s: after a crash before %v\n%swithout one\n%s", name, op, got.picture(), want.picture())
						}
					}
				}
				return nil
			}))
			must(t, err)
			must(t, l.Close())
		}
	}
}

// Who does not want what is left has the damage as it was, and is told where it is.
func TestALogIsNotSalvagedAgainstItsOwnersWill(t *testing.T) {
	h := tell(t, history())
	file := segmentsOf(t, h.mem)[0]
	flip(t, h.mem, file, segmentHeader+3)
	disk, no := h.mem.String(), errors.New("no")
	opts, damage := small(), (*DamageError)(nil)
	opts.Salvage = func(map[raft.GroupID]*raft.Saved) error { return no }
	_, _, err := Open(h.mem, dir, opts)
	if !errors.Is(err, no) || !errors.As(err, &damage) || damage.Path != file {
		t.Errorf("%v", err)
	}
	if h.mem.String() != disk {
		t.Errorf("the disk was\n%s\nand is\n%s", disk, h.mem.String())
	}
}

// A log that was salvaged loses all from some place on. What comes first in it says where
// each group's log ends: one that ends earlier is injured, and nothing is refused.
func TestASalvagedLogMayLoseItsEnd(t *testing.T) {
	for name, batches := range histories {
		h := tell(t, batches())
		files := segmentsOf(t, h.mem)
		flip(t, h.mem, files[0], segmentHeader+3)
		l, whole, err := salvage(h.mem)
		must(t, err)
		must(t, l.Close())
		file, injured := segmentsOf(t, h.mem)[0], 0
		data := load(t, h.mem, file)
		for at := segmentHeader; at < len(data); at++ {
			mem := h.mem.Crash(vfs.Kept)
			store(t, mem, file, append(slices.Clone(data[:at]), make([]byte, len(data)-at)...))
			l, saved, err := salvage(mem)
			must(t, err)
			must(t, l.Close())
			for id := range whole {
				one, was := model{id: saved[id]}, model{id: whole[id]}
				switch {
				case saved[id] == nil && saved[0] == nil:
					t.Fatalf("%s at %d: group %d is gone, and nobody says so", name, at, id)
				case saved[id] == nil:
				case saved[id].State.Injured && !whole[id].State.Injured:
					injured++
				case one.picture() != was.picture() && !saved[id].State.Injured:
					t.Fatalf("%s at %d: not injured, and yet\n%sit was\n%s", name, at, one.picture(), was.picture())
				}
			}
		}
		if injured == 0 {
			t.Errorf("%s: nobody is injured: the test looks at nothing", name)
		}
	}
}
