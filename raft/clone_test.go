package raft_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// A clone that is given the same inputs gives the same effects, and what happens to
// one of the two never shows in the other.
func TestAClonedCoreGoesItsOwnWayAndTheSameWay(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, seed)
		for step := range 400 {
			w.step()
			n := w.Nodes[w.rng.IntN(len(w.Nodes))]
			if n.Core == nil || step%3 != 0 {
				continue
			}
			a, b := n.Core.Clone(), n.Core.Clone()
			before := n.Core.Hash()
			if a.Hash() != before || b.Hash() != before {
				t.Fatalf("seed %d step %d: a clone has another hash", seed, step)
			}
			drive(a, rand.New(rand.NewPCG(seed, uint64(step))))
			if n.Core.Hash() != before || b.Hash() != before {
				t.Fatalf("seed %d step %d: what happened to a clone shows elsewhere", seed, step)
			}
			drive(b, rand.New(rand.NewPCG(seed, uint64(step))))
			if a.Hash() != b.Hash() || fmt.Sprint(a.Status()) != fmt.Sprint(b.Status()) {
				t.Fatalf("seed %d step %d: two clones with the same inputs differ", seed, step)
			}
		}
	}
}

// drive gives a core a few inputs of its own.
func drive(core *raft.Raft, rng *rand.Rand) {
	for range 20 {
		switch rng.IntN(4) {
		case 0:
			core.Tick()
		case 1:
			_, _ = core.Propose([]byte{byte(rng.Int())}) // refused where it does not lead
		case 2:
			core.Campaign()
		case 3:
			if fx := core.Take(); fx.WriteID > 0 {
				core.Persisted(fx.WriteID)
			}
		}
	}
}

// The hash is the same on every platform: this number was computed on one, and the
// test runs on all that CI has, js/wasm among them.
func TestHashIsStable(t *testing.T) {
	c := rafttest.New(3, 1, raft.Config{})
	c.Node(1).Core.Campaign()
	c.Drain(1)
	if err := c.Settle(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Node(1).Core.Propose([]byte("a command of more than eight bytes")); err != nil {
		t.Fatal(err)
	}
	c.Drain(1)
	var got uint64
	for _, n := range c.Nodes {
		got = got*31 + n.Core.Hash()
	}
	const want = 0x9decf9a8071994fe
	if got != want {
		t.Fatalf("hash %#x, want %#x", got, uint64(want))
	}
}
