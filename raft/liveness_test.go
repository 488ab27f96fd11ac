package raft_test

import (
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// REQ-T5: whoever is down, and whatever was lost before, any connected majority has
// a leader that commits within a bounded number of timeouts. The bound is generous
// for what the draws make likely, and tight against anything that can go on for
// ever: with ten ticks to choose from a tie is broken soon.
func TestT5EveryConnectedMajorityElects(t *testing.T) {
	const (
		timeout = 20 // ticks: the longest that can be drawn
		bound   = 10 // timeouts
	)
	seeds := uint64(1000)
	if testing.Short() {
		seeds = 100
	}
	sum, longest := 0, 0
	for seed := range seeds {
		ticks := ticksToElect(t, seed, bound*timeout)
		sum += ticks
		longest = max(longest, ticks)
	}
	t.Logf("%d seeds: %.1f ticks on average, %d at most; timeouts are 10 to 19", seeds, float64(sum)/float64(seeds), longest)
}

// ticksToElect makes a mess, connects a majority, and counts the ticks until one of
// it has committed an entry in a term of its own.
func ticksToElect(t *testing.T, seed uint64, bound int) int {
	rng := rand.New(rand.NewPCG(seed, 5))
	c := rafttest.New(3+rng.IntN(5), seed, raft.Config{})
	mess(t, c, rng)
	connected := rng.Perm(len(c.Nodes))[:len(c.Nodes)/2+1]
	alive := map[raft.NodeID]bool{}
	for _, i := range connected {
		alive[raft.NodeID(i+1)] = true
	}
	for _, n := range c.Nodes {
		if c.Crash(n.ID); alive[n.ID] {
			c.Start(n.ID)
		}
	}
	c.Wire = nil
	for ticks := 1; ticks <= bound; ticks++ {
		for _, i := range rng.Perm(len(c.Nodes)) {
			c.Tick(raft.NodeID(i + 1))
		}
		if err := c.Settle(nil); err != nil {
			t.Fatal(err)
		}
		if l := c.Leader(); l != nil {
			if s := l.Core.Status(); s.Commit == s.Last.Index && s.Last.Term == s.Term {
				return ticks
			}
		}
	}
	t.Fatalf("seed %d: %d of %d nodes have no leader after %d ticks", seed, len(connected), len(c.Nodes), bound)
	return 0
}

// mess plays a while with half of the messages lost, so that logs and terms differ.
func mess(t *testing.T, c *rafttest.Cluster, rng *rand.Rand) {
	for range 60 {
		for _, n := range c.Nodes {
			if rng.IntN(4) > 0 {
				c.Tick(n.ID)
			}
		}
		if l := c.Leader(); l != nil {
			if _, err := l.Core.Propose([]byte("x")); err != nil {
				t.Fatal(err)
			}
			c.Drain(l.ID)
		}
		if err := c.Settle(func(raft.Message) bool { return rng.IntN(2) == 0 }); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever of a group that sleeps is lost, wakes by chance, or hears nothing, the
// others have a leader soon after their drivers have told them what a driver can tell:
// that a node is silent, that it has begun anew, that it is alive.
func TestASleepingGroupElectsWhenItMust(t *testing.T) {
	seeds := uint64(500)
	if testing.Short() {
		seeds = 50
	}
	asleep := 0
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 6))
		c := rafttest.New(3+2*rng.IntN(2), seed, raft.Config{SleepTicks: 1 + rng.IntN(5), Lease: rng.IntN(2) == 0})
		quiet := func() bool {
			for _, n := range c.Nodes {
				if n.Core != nil && !n.Core.Asleep() {
					return false
				}
			}
			return true
		}
		if !within(t, c, 200, quiet) {
			t.Fatalf("seed %d: a group with nothing to do does not sleep", seed)
		}
		leader := c.Leader()
		c.Crash(leader.ID)
		for _, n := range c.Nodes {
			if n.Core != nil {
				n.Core.Silent(leader.ID, 10)
				c.Drain(n.ID)
			}
		}
		if rng.IntN(2) == 0 { // it was quick, and nobody has noticed more than that
			c.Start(leader.ID)
			for _, n := range c.Nodes {
				n.Core.Alive(leader.ID)
				c.Drain(n.ID)
			}
		}
		if !within(t, c, 60, func() bool { return c.Leader() != nil }) {
			t.Fatalf("seed %d: nobody leads 60 ticks after the leader of a sleeping group fell silent", seed)
		}
		if c.Node(leader.ID).Core == nil {
			c.Leader().Core.Silent(leader.ID, 10) // as a driver tells every new leader
		}
		if within(t, c, 200, quiet) {
			asleep++
		}
	}
	if asleep < int(seeds) {
		t.Errorf("%d of %d groups sleep again", asleep, seeds)
	}
}

// within lets time pass until something holds, and reports whether it does.
func within(t *testing.T, c *rafttest.Cluster, ticks int, holds func() bool) bool {
	t.Helper()
	for range ticks {
		if holds() {
			return true
		}
		for _, n := range c.Nodes {
			c.Tick(n.ID)
		}
		if err := c.Settle(nil); err != nil {
			t.Fatal(err)
		}
	}
	return holds()
}
