package raft_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/archive"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// unkept are the fields that no state holds: effects that nobody has taken, whether
// rules are told, and the recording itself. A window is compared by what is in it, wherever in its ring.
var unkept = map[string]bool{"out": true, "tape": true, "Trace": true, "ring": true, "start": true}

// unused are those that no core ever sets: a read that waits for the first entry of a
// term has no index yet.
var unused = map[string]bool{"Raft.leading.reads.early[].index": true, "Raft.leading.reads.early[].round": true}

// everSet is which fields were seen with a value other than zero: of the others nobody
// knows whether they are kept.
type everSet map[string]bool

// same compares two values field by field, whatever their names. Of bytes only the
// length counts.
func (seen everSet) same(path string, a, b reflect.Value) error {
	seen[path] = seen[path] || !a.IsZero()
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if name := a.Type().Field(i).Name; !unkept[name] {
				if err := seen.same(path+"."+name, a.Field(i), b.Field(i)); err != nil {
					return err
				}
			}
		}
		return nil
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return differs(path, a.IsNil(), b.IsNil())
		}
		return seen.same(path, a.Elem(), b.Elem())
	case reflect.Slice, reflect.Array:
		if a.Len() != b.Len() || a.Type().Elem().Kind() == reflect.Uint8 {
			return differs(path+" has a length that", a.Len(), b.Len())
		}
		for i := range a.Len() {
			if err := seen.same(path+"[]", a.Index(i), b.Index(i)); err != nil {
				return err
			}
		}
		return nil
	default:
		return differs(path, fmt.Sprint(a), fmt.Sprint(b))
	}
}

func differs[T comparable](path string, a, b T) error {
	if a == b {
		return nil
	}
	return fmt.Errorf("%s was %v and is %v", path, a, b)
}

// worlds are random histories under settings that together use every field.
func worlds(t *testing.T, seed uint64) []*world {
	plain, leased := newWorld(t, seed), newWorld(t, seed)
	leased.Cluster = rafttest.New(3, seed, raft.Config{Lease: true, MaxDrift: 5, Trace: true, ElectionSpread: 7, MaxInFlight: 3})
	return []*world{plain, leased}
}

// A core that is restored from its state has every field that the other has, and goes
// on in the same way.
func TestARestoredCoreIsTheSame(t *testing.T) {
	seen := everSet{}
	described := describedCore(t)
	restored, err := raft.Restore(described.AppendState(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := seen.same("Raft", reflect.ValueOf(described).Elem(), reflect.ValueOf(restored).Elem()); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(40) {
		for _, w := range worlds(t, seed) {
			for step := range 500 {
				w.step()
				w.readSomewhere()
				if seed%2 == 0 && step%100 == 99 {
					injure(w, w.Nodes[0])
				}
				n := w.Nodes[w.rng.IntN(len(w.Nodes))]
				if n.Core == nil || step%2 == 0 {
					continue
				}
				a := n.Core.Clone()
				if w.rng.IntN(2) == 0 {
					a.Take()
				}
				state := a.AppendState(nil)
				b, err := raft.Restore(state)
				if err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
				if err := seen.same("Raft", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
				if step%8 != 1 {
					continue
				}
				a.Take()
				b, _ = raft.Restore(a.AppendState(state[:0]))
				drive(a, rand.New(rand.NewPCG(seed, uint64(step))))
				drive(b, rand.New(rand.NewPCG(seed, uint64(step))))
				if a, b := a.AppendState(nil), b.AppendState(nil); !bytes.Equal(a, b) {
					t.Fatalf("seed %d step %d: they went different ways", seed, step)
				}
			}
		}
	}
	for path, ever := range seen {
		if !ever && !unused[path] {
			t.Errorf("%s was always zero: nobody knows whether it is kept", path)
		}
	}
}

// injure lets a node start anew with the word that its disk has lost something, unless
// it is the only voter.
func injure(w *world, n *rafttest.Node) {
	disk := n.Disk
	disk.State.Injured = true
	if _, err := raft.New(raft.Config{ID: n.ID}, disk); err == nil {
		w.Crash(n.ID)
		n.Disk = disk
		w.Start(n.ID)
	}
}

// describedCore is one whose members say all that members can, and that starts with
// entries applied.
func describedCore(t *testing.T) *raft.Raft {
	saved, err := raft.Bootstrap(membership.New(membership.Member{ID: 1, Role: membership.Voter, Priority: 3, Address: "a:1", Info: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	config := membership.Config{Stay: true, Members: []membership.Member{
		{ID: 1, Role: membership.Voter, Old: membership.Voter, Priority: 3, Address: "a:1", Info: "x"}, {ID: 2, Role: membership.Voter},
	}}
	saved.Entries = []raft.Entry{{EntryID: raft.EntryID{Term: 1, Index: 2}, Kind: raft.Membership, Config: &config}}
	core, err := raft.New(raft.Config{ID: 1, Applied: 2}, saved)
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// readSomewhere asks for a read now and then.
func (w *world) readSomewhere() {
	n := w.Nodes[w.rng.IntN(len(w.Nodes))]
	if n.Core != nil && w.rng.IntN(8) == 0 {
		_, _ = n.Core.Read() // refused where no leader is known
		if w.rng.IntN(2) == 0 {
			w.Drain(n.ID)
		}
	}
}

// What a tape has recorded of a core, a new one does again, effect by effect.
func TestATapeIsPlayedBackBitForBit(t *testing.T) {
	inputs, rules := 0, 0
	for seed := range uint64(20) {
		for _, w := range worlds(t, seed) {
			var deck raft.Deck
			for range 400 {
				deck.Clock += uint64(w.rng.IntN(1000))
				w.step()
				w.readSomewhere()
				for _, n := range w.Nodes {
					if n.Core != nil && n.Core.Tape() == nil {
						w.Drain(n.ID)
						n.Core.Record(&deck, nil)
					}
				}
			}
			for _, n := range w.Nodes {
				if n.Core == nil {
					continue
				}
				p := playTape(t, n.Core.Tape())
				for ; ; inputs++ {
					if err := p.Next(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						t.Fatalf("seed %d node %d, at %v: %v", seed, n.ID, &p.Input, err)
					}
					rules += len(p.Events)
				}
				if !bytes.Equal(p.Core.AppendState(nil), n.Core.AppendState(nil)) {
					t.Fatalf("seed %d node %d: the states differ in the end", seed, n.ID)
				}
			}
		}
	}
	if inputs < 10_000 || rules < inputs/10 {
		t.Errorf("only %d inputs and %d rules were played", inputs, rules)
	}
}

// playTape puts a tape through its encoding and begins to play it.
func playTape(t *testing.T, tape *raft.Tape) *raft.Playback {
	t.Helper()
	out := archive.Write(nil)
	tape.Archive(&out)
	in, again := archive.Read(out.Bytes()), &raft.Tape{}
	again.Archive(&in)
	p, err := raft.Play(again)
	if err != nil || in.Err() != nil {
		t.Fatal(err, in.Err())
	}
	return p
}

// recorded is a leader of three and the tape of how it has come to lead.
func recorded(t *testing.T, deck *raft.Deck) *raft.Raft {
	c := rafttest.New(3, 1, raft.Config{})
	core := c.Node(1).Core
	core.Record(deck, nil)
	core.Campaign()
	c.Drain(1)
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	return core
}

func TestAPlaybackNoticesAnotherEffect(t *testing.T) {
	var deck raft.Deck
	p := playTape(t, recorded(t, &deck).Tape())
	err := p.Next()
	p.Core.Tick() // which nobody has recorded
	for range 8 {
		p.Core.Tick()
		p.Core.Campaign()
		if err == nil {
			err = p.Next()
		}
	}
	if !errors.Is(err, raft.ErrOtherEffects) {
		t.Fatalf("it says %v", err)
	}
}

func TestTheInputThatBrokeAnInvariantIsTheLastOnATape(t *testing.T) {
	var deck raft.Deck
	core := recorded(t, &deck)
	violation := func() (v any) {
		defer func() { v = recover() }()
		deck.Clock = 7_000
		core.Persisted(999)
		return nil
	}()
	p, err := playTape(t, core.Tape()), error(nil)
	for err == nil {
		err = p.Next()
	}
	if violation == nil || err != violation || p.Input.String() != "Persisted(999)" || p.At != 7_000 {
		t.Fatalf("it broke with %v, and again, at %v after %d µs, with %v", violation, &p.Input, p.At, err)
	}
}

// Nothing that a file can hold makes Restore or Play panic, or take memory without
// bound.
func FuzzRestore(f *testing.F) {
	c := rafttest.New(3, 1, raft.Config{})
	f.Add(c.Node(1).Core.AppendState(nil))
	c.Node(1).Core.Campaign()
	c.Drain(1)
	if err := c.Settle(nil); err != nil {
		f.Fatal(err)
	}
	f.Add(c.Node(1).Core.AppendState(nil))
	f.Fuzz(func(t *testing.T, state []byte) {
		core, err := raft.Restore(state)
		if err != nil {
			return
		}
		if again := core.AppendState(nil); len(again) > 2*len(state)+64 {
			t.Fatalf("%d bytes became %d", len(state), len(again))
		}
	})
}
