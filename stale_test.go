package quorate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

func TestAReadVouchesForThoseWithinItsBound(t *testing.T) {
	c := newCluster(t, 3, nil)
	node := c.follower()
	c.propose(node, "one")
	before, err := node.group.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range c.nodes {
		if other != node {
			c.stop(other)
		}
	}

	// Nobody is left to be asked.
	if index, err := node.group.ReadWithin(t.Context(), time.Hour); err != nil || index < before {
		t.Errorf("a read within an hour: %d, %v, want %d or more", index, err, before)
	}
	for _, maxAge := range []time.Duration{time.Nanosecond, 0, -time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if index, err := node.group.ReadWithin(ctx, maxAge); !errors.Is(err, quorate.ErrNoLeader) {
			t.Errorf("a read within %v without a leader: %d, %v", maxAge, index, err)
		}
		cancel()
	}
}

func TestABoundedReadAsksWhereNobodyHasReadYet(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.leader(), "one")
	node := c.follower()
	if _, err := node.group.ReadWithin(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := node.list.all(); len(got) != 1 {
		t.Errorf("what was committed before the first bounded read is not seen: %q", got)
	}
}

func TestAWriteIsSeenOnceTheBoundHasPassed(t *testing.T) {
	c := newCluster(t, 3, nil)
	node := c.follower()
	if _, err := node.group.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.propose(c.leader(), "new")
	const bound = 20 * time.Millisecond
	time.Sleep(bound + time.Millisecond)
	if _, err := node.group.ReadWithin(t.Context(), bound); err != nil {
		t.Fatal(err)
	}
	if got := node.list.all(); len(got) != 1 {
		t.Errorf("a write older than the bound is not seen: %q", got)
	}
}

func TestABoundedReadOfAClosedHostIsRefused(t *testing.T) {
	c := newCluster(t, 1, nil)
	node := c.nodes[0]
	if _, err := node.group.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stop(node)
	if index, err := node.group.ReadWithin(t.Context(), time.Hour); !errors.Is(err, quorate.ErrClosed) {
		t.Errorf("it returns %d, %v", index, err)
	}
}
