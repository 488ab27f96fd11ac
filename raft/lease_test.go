package raft_test

import (
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// drifting is a group with leases in which each node has a clock of its own, and
// messages take their time. In a moment, a clock that is right goes on by 100, and
// ticks each time that makes 1000.
type drifting struct {
	*rafttest.Cluster
	t      *testing.T
	rng    *rand.Rand
	drift  int // percent by which a clock may be fast or slow
	now    int // moments
	clocks []clock
	flying []flight
	cut    map[link]bool

	asked map[ask]raft.Index // what was committed anywhere when the read came
	seen  []int              // of each node's answers
	quick int                // reads that were answered without asking anybody
	stale int                // reads that missed what was committed before they came
}

type clock struct{ rate, hand int }

type flight struct {
	at int // moment of arrival
	m  raft.Message
}

type ask struct {
	node  raft.NodeID
	token uint64
}

func newDrifting(t *testing.T, seed uint64, drift int) *drifting {
	rng := rand.New(rand.NewPCG(seed, 2))
	w := &drifting{
		Cluster: rafttest.New(3+2*rng.IntN(2), seed, raft.Config{ElectionTicks: 20, ElectionSpread: 1 + rng.IntN(10), Lease: true}),
		t:       t, rng: rng, drift: drift, cut: map[link]bool{}, asked: map[ask]raft.Index{},
	}
	w.clocks, w.seen = make([]clock, len(w.Nodes)), make([]int, len(w.Nodes))
	for i := range w.clocks {
		w.clocks[i].hand = rng.IntN(1000)
		w.turn(i)
	}
	return w
}

// turn changes the speed of a clock, mostly to as fast or as slow as may be.
func (w *drifting) turn(i int) {
	w.clocks[i].rate = 100 - w.drift + w.rng.IntN(3)*w.drift
}

// moment lets a little time pass everywhere, and perhaps something happen.
func (w *drifting) moment() {
	w.now++
	for i, n := range w.Nodes {
		c := &w.clocks[i]
		if c.hand += c.rate; c.hand >= 1000 {
			c.hand -= 1000
			w.Tick(n.ID)
		}
	}
	w.fly()
	n := w.Nodes[w.rng.IntN(len(w.Nodes))]
	switch k := w.rng.IntN(2000); {
	case k < 2:
		w.isolate(n.ID)
	case k < 4:
		clear(w.cut)
	case k < 10:
		w.turn(w.rng.IntN(len(w.clocks)))
	case n.Core == nil:
		if k < 50 {
			w.Start(n.ID)
		}
	case k < 11:
		w.Crash(n.ID)
	case k < 12:
		_ = n.Core.Transfer(0)
		w.Drain(n.ID)
	case k < 300:
		n.Core.Campaign() // as early as it may
		w.Drain(n.ID)
	case k < 500:
		_, _ = n.Core.Propose([]byte("x"))
		w.Drain(n.ID)
	case k < 900:
		w.read()
	}
}

// fly puts on their way what nodes have sent, and delivers what has arrived.
// Some messages are lost, and some take longer than any election.
func (w *drifting) fly() {
	for _, m := range w.Wire {
		delay := w.rng.IntN(8)
		if w.rng.IntN(30) == 0 {
			delay = w.rng.IntN(1000)
		}
		if !w.cut[link{m.From, m.To}] && w.rng.IntN(50) > 0 {
			w.flying = append(w.flying, flight{w.now + delay, m})
		}
	}
	w.Wire = nil
	late := w.flying[:0]
	for _, f := range w.flying {
		if f.at > w.now {
			late = append(late, f)
		} else if err := w.Hand(f.m); err != nil {
			w.t.Fatalf("a message of our own was refused: %v", err)
		}
	}
	w.flying = late
	w.answers()
}

// isolate cuts a node off, mostly a leader, perhaps in one direction only.
func (w *drifting) isolate(id raft.NodeID) {
	if l := w.Leader(); l != nil && w.rng.IntN(4) > 0 {
		id = l.ID
	}
	ways := 1 + w.rng.IntN(3)
	for _, n := range w.Nodes {
		w.cut[link{id, n.ID}], w.cut[link{n.ID, id}] = ways&1 != 0, ways&2 != 0
	}
}

// read asks every node that thinks that it leads.
func (w *drifting) read() {
	var committed raft.Index
	for _, n := range w.Nodes {
		if n.Core != nil {
			committed = max(committed, n.Core.Status().Commit)
		}
	}
	for _, n := range w.Nodes {
		if n.Core == nil {
			continue
		}
		if lead, _ := n.Core.Leader(); lead != n.ID {
			continue
		}
		w.answers()
		if token, err := n.Core.Read(); err == nil {
			w.asked[ask{n.ID, token}] = committed
		}
		w.Drain(n.ID)
		w.quick += len(n.Reads) - w.seen[n.ID-1]
		w.answers()
	}
}

// answers looks at what was answered since the last time.
func (w *drifting) answers() {
	for i, n := range w.Nodes {
		for _, r := range n.Reads[w.seen[i]:] {
			if r.Index != 0 && r.Index < w.asked[ask{n.ID, r.Token}] {
				w.stale++
			}
		}
		w.seen[i] = len(n.Reads)
	}
}

// playDrift returns how many reads a lease answered, and how many of all were stale.
func playDrift(t *testing.T, seeds uint64, drift int) (quick, stale int) {
	for seed := range seeds {
		w := newDrifting(t, seed, drift)
		for range 10_000 {
			w.moment()
		}
		quick, stale = quick+w.quick, stale+w.stale
		if w.stale > 0 {
			t.Logf("seed %d: %d stale reads", seed, w.stale)
		}
	}
	return quick, stale
}

// TestR04LeasesHoldWithinTheBound (RD3, scenario-R04): the clocks differ by as much as
// MaxDrift, 10 percent, allows, leaders are cut off and others campaign as soon as
// they may: no read misses what was committed before it came.
func TestR04LeasesHoldWithinTheBound(t *testing.T) {
	quick, stale := playDrift(t, 60, 10)
	if stale > 0 {
		t.Errorf("%d of %d reads are stale", stale, quick)
	}
	if quick < 1000 {
		t.Errorf("only %d reads were answered by a lease", quick)
	}
	t.Logf("%d reads were answered by a lease", quick)
}

// TestLeasesNeedTheBound: with clocks that differ by more than was said, some read
// is stale. That is the price of a lease; and a sign that the test above can see.
func TestLeasesNeedTheBound(t *testing.T) {
	if quick, stale := playDrift(t, 60, 50); stale == 0 {
		t.Errorf("none of %d reads is stale", quick)
	}
}
