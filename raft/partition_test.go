package raft_test

import (
	"fmt"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// link is one direction between two nodes.
type link struct{ from, to raft.NodeID }

// links are all directions among n nodes.
func links(n int) []link {
	var all []link
	for from := raft.NodeID(1); from <= raft.NodeID(n); from++ {
		for to := raft.NodeID(1); to <= raft.NodeID(n); to++ {
			if from != to {
				all = append(all, link{from, to})
			}
		}
	}
	return all
}

// living is a cluster in which time passes and some links are cut.
type living struct {
	*rafttest.Cluster
	t       *testing.T
	cut     map[link]bool
	leaders map[raft.Term]raft.NodeID
}

// led returns a cluster of n nodes that has long followed the given one.
func led(t *testing.T, n int, leader raft.NodeID) *living {
	w := &living{rafttest.New(n, 1, raft.Config{}), t, map[link]bool{}, map[raft.Term]raft.NodeID{}}
	w.Node(leader).Core.Campaign()
	w.Drain(leader)
	w.run(30)
	if l := w.Leader(); l == nil || l.ID != leader {
		t.Fatalf("node %d does not lead", leader)
	}
	return w
}

func (w *living) run(ticks int) {
	for range ticks {
		for _, n := range w.Nodes {
			w.Tick(n.ID)
		}
		if err := w.Settle(func(m raft.Message) bool { return !w.cut[link{m.From, m.To}] }); err != nil {
			w.t.Fatal(err)
		}
		for _, n := range w.Nodes {
			if s := n.Core.Status(); s.Role == raft.Leader {
				w.leaders[s.Term] = n.ID
			}
		}
	}
}

// writes reports whether a command is committed by a leader of today.
func (w *living) writes() bool {
	l := w.Leader()
	if l == nil {
		return false
	}
	id, err := l.Core.Propose([]byte("x"))
	if err != nil {
		return false
	}
	w.Drain(l.ID)
	w.run(3)
	return l.Core.Status().Commit >= id.Index
}

// twoWay reports whether some node has links in both directions to enough others
// for a majority.
func (w *living) twoWay() bool {
	for _, a := range w.Nodes {
		reach := 1
		for _, b := range w.Nodes {
			if a.ID != b.ID && !w.cut[link{a.ID, b.ID}] && !w.cut[link{b.ID, a.ID}] {
				reach++
			}
		}
		if reach > len(w.Nodes)/2 {
			return true
		}
	}
	return false
}

// play cuts the links and wants at most one new leader and, where it is possible
// at all, writes that succeed.
func play(t *testing.T, n int, leader raft.NodeID, cut []link) {
	w := led(t, n, leader)
	before := len(w.leaders)
	for _, l := range cut {
		w.cut[l] = true
	}
	w.run(200)
	if changes := len(w.leaders) - before; changes > 1 {
		t.Errorf("%d nodes, %d leads, cut %v: %d new leaders", n, leader, cut, changes)
	}
	if w.twoWay() && !w.writes() {
		t.Errorf("%d nodes, %d leads, cut %v: no write succeeds", n, leader, cut)
	}
}

// TestE14 cuts links one way (the outage of 2 November 2020 was one such cut): a
// follower that no longer hears the leader, but is heard, must not depose it again
// and again. All 64 ways to cut three nodes apart, and all pairs of links of five.
func TestE14OneWayCutsChangeTheLeaderAtMostOnce(t *testing.T) {
	three := links(3)
	for set := range 1 << len(three) {
		var cut []link
		for i, l := range three {
			if set&(1<<i) != 0 {
				cut = append(cut, l)
			}
		}
		play(t, 3, 1, cut)
	}
	five := links(5)
	for i, a := range five {
		for _, b := range five[i:] {
			play(t, 5, 1, []link{a, b})
		}
	}
}

// TestE15 names the topologies in which some Raft implementations have no leader,
// and whether writes go on in ours.
func TestE15PartialConnectivity(t *testing.T) {
	both := func(pairs ...link) []link {
		for _, p := range pairs {
			pairs = append(pairs, link{p.to, p.from})
		}
		return pairs
	}
	for name, c := range map[string]struct {
		leader raft.NodeID
		cut    []link
	}{
		// Only node 2 is connected to a majority; the leader is not.
		"quorum loss": {1, both(link{1, 3}, link{1, 4}, link{1, 5}, link{3, 4}, link{3, 5}, link{4, 5})},
		// The leader is cut off from all, and only node 2 reaches a majority.
		"constrained election": {1, both(link{1, 2}, link{1, 3}, link{1, 4}, link{1, 5}, link{3, 4}, link{3, 5}, link{4, 5})},
		// 1 - 2 - 3 - 4 - 5 in a row, led from an end.
		"a chain": {1, both(link{1, 3}, link{1, 4}, link{1, 5}, link{2, 4}, link{2, 5}, link{3, 5})},
	} {
		t.Run(name, func(t *testing.T) {
			w := led(t, 5, c.leader)
			for _, l := range c.cut {
				w.cut[l] = true
			}
			w.run(400)
			if !w.twoWay() || !w.writes() {
				t.Errorf("no write succeeds: %s", states(w))
			}
		})
	}
}

func states(w *living) (all string) {
	for _, n := range w.Nodes {
		s := n.Core.Status()
		all += fmt.Sprintf("%d %v term %d lead %d commit %d; ", n.ID, s.Role, s.Term, s.Leader, s.Commit)
	}
	return all
}
