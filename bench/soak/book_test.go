//go:build unix

package main

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/fsmtest"
	"github.com/quorate-db/quorate/raft"
)

func command(number uint32) []byte {
	c := make([]byte, 16)
	putHeader(c, 1, number)
	return c
}

func bookOf(t *testing.T, numbers ...uint32) *book {
	t.Helper()
	b := &book{}
	for i, number := range numbers {
		if err := b.Apply([]quorate.Command{{Index: raft.Index(i + 1), Data: command(number)}}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestABookKnowsWhatCame has commands that overtake one another, one that never
// comes, and one that comes twice.
func TestABookKnowsWhatCame(t *testing.T) {
	b := bookOf(t, 1, 4, 2, 4)
	for number, want := range map[uint32]bool{1: true, 2: true, 3: false, 4: true, 5: false} {
		if b.holds(1, number) != want {
			t.Errorf("holds %d: %v", number, !want)
		}
	}
	if b.holds(2, 1) || len(b.Writers) != 1 {
		t.Error("a writer who wrote nothing")
	}
	if b.Twice != 1 {
		t.Errorf("%d commands came twice", b.Twice)
	}
	if other := bookOf(t, 1, 2, 4, 4); bytes.Equal(b.Hash, other.Hash) {
		t.Error("another order has the same hash")
	}
}

func TestABookIsAStateMachine(t *testing.T) {
	fsmtest.Test(t, fsmtest.Config{
		New:     func() quorate.StateMachine { return &book{} },
		Command: func(rng *rand.Rand) []byte { return command(1 + rng.Uint32N(20)) },
		Pause:   time.Millisecond,
	})
}
