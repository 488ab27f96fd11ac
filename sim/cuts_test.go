package sim

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// matrix says which directions between n nodes are cut, from each node to each.
type matrix [][]bool

func newMatrix(n int) matrix {
	m := make(matrix, n)
	for i := range m {
		m[i] = make([]bool, n)
	}
	return m
}

// only is a matrix in which just these pairs reach each other, in both directions.
func only(n int, pairs ...[2]int) matrix {
	m := newMatrix(n)
	for i := range m {
		for j := range m {
			m[i][j] = i != j
		}
	}
	for _, p := range pairs {
		m[p[0]-1][p[1]-1], m[p[1]-1][p[0]-1] = false, false
	}
	return m
}

// numbered is the matrix whose cuts are the bits of a number.
func numbered(n int, number uint64) matrix {
	m := newMatrix(n)
	for i := range n {
		for j := range n {
			if i != j {
				m[i][j] = number&1 == 1
				number >>= 1
			}
		}
	}
	return m
}

func (m matrix) String() (text string) {
	for i := range m {
		for j := range m {
			if m[i][j] {
				text += fmt.Sprintf(" %d-/->%d", i+1, j+1)
			}
		}
	}
	return "cut" + text
}

// both reports whether two nodes reach each other.
func (m matrix) both(i, j int) bool { return !m[i][j] && !m[j][i] }

// hub reports whether some node has a majority, itself included, with which it is
// connected both ways.
func (m matrix) hub() bool {
	for i := range m {
		reached := 0
		for j := range m {
			if m.both(i, j) {
				reached++
			}
		}
		if 2*reached > len(m) {
			return true
		}
	}
	return false
}

// majority reports whether there is one of which each reaches each.
func (m matrix) majority() bool {
	for set := range uint(1) << len(m) {
		if 2*bits.OnesCount(set) <= len(m) {
			continue
		}
		full := true
		for i := range m {
			for j := range m {
				if set>>i&1 == 1 && set>>j&1 == 1 && !m.both(i, j) {
					full = false
				}
			}
		}
		if full {
			return true
		}
	}
	return false
}

// cutting is a cluster without clients, in good weather, of which the links are cut.
type cutting struct {
	*run
	t    *testing.T
	name string
	who  []*node // the one that led before the first cut comes first
}

func newCutting(t *testing.T, n int, seed uint64) *cutting {
	t.Helper()
	s := newRun(&Plan{Options: Options{
		Seed: seed, Voters: n, Keys: 1, Heartbeat: Duration(20 * time.Millisecond), Election: Duration(100 * time.Millisecond),
		SnapshotEntries: 1000, SegmentBytes: 1 << 20, Timeout: Duration(time.Second),
		DiskQuick: Duration(20 * time.Microsecond), DiskSlow: Duration(200 * time.Microsecond), Weather: calm,
	}}, Setup{})
	c := &cutting{run: s, t: t, name: fmt.Sprintf("%d nodes, seed %d", n, seed), who: slices.Clone(s.nodes)}
	t.Cleanup(s.end)
	for _, n := range s.nodes {
		s.world.after(0, nil, n.boot)
	}
	c.pass(20)
	leader := c.leader()
	if leader == nil {
		t.Fatalf("%s: nobody leads although nothing is cut: %v", c.name, s.world.failure)
	}
	at := slices.Index(c.who, leader)
	c.who[0], c.who[at] = c.who[at], c.who[0]
	return c
}

// pass lets so many election timeouts pass.
func (c *cutting) pass(timeouts float64) {
	c.world.runUntil(c.world.now + time.Duration(timeouts*float64(c.cfg.Election.D())))
}

// leader is the one of the newest term; nil: nobody leads.
func (c *cutting) leader() (leader *node) {
	newest := raft.Term(0)
	for term, id := range c.judges[0].leaders { //order: the highest
		if n := c.nodes[id-1]; n.serving() && n.leads && term >= newest {
			leader, newest = n, term
		}
	}
	return leader
}

func (c *cutting) apply(m matrix) {
	for i := range m {
		for j := range m {
			c.net.link(c.who[i].number, c.who[j].number).cut = m[i][j]
		}
	}
}

// writes reports whether a node gets a command committed within an election timeout.
func (c *cutting) writes(n *node) (done bool) {
	if n == nil {
		return false
	}
	c.world.after(0, &n.process, func() {
		n.do(c.cfg.Election.D(), func(ctx context.Context) {
			_, err := n.group.Propose(ctx, n.store.Open())
			done = err == nil
		})
	})
	c.pass(1.5)
	return done
}

// ends mends everything, and judges.
func (c *cutting) ends() {
	c.t.Helper()
	c.protect(c.settle)
	c.protect(c.conclude)
	if c.world.failure != nil {
		c.t.Errorf("%s: %v", c.name, c.world.failure)
	}
}

// leaderIn is how long an election may take, in election timeouts.
const leaderIn = 10

// play cuts the links, and returns how many new leaders there were and whether
// writes succeed.
func (c *cutting) play(m matrix) (changes int, writes bool) {
	before := c.counts.Elections
	c.apply(m)
	c.pass(leaderIn)
	writes = c.writes(c.leader())
	c.pass(3 * leaderIn)
	return c.counts.Elections - before, writes && c.writes(c.leader())
}

// outcomes count what came of many matrices.
type outcomes struct {
	all, whole, hubs, live, quiet int
}

func (o *outcomes) String() string {
	return fmt.Sprintf("%d matrices: %d leave a connected majority, %d more a node that reaches one, %d of these %d took writes; in %d nobody new led",
		o.all, o.whole, o.hubs, o.live, o.whole+o.hubs, o.quiet)
}

func (o *outcomes) try(t *testing.T, m matrix, seed uint64) {
	t.Helper()
	c := newCutting(t, len(m), seed)
	changes, writes := c.play(m)
	switch {
	case m.majority():
		o.whole++
	case m.hub():
		o.hubs++
	}
	if changes > 1 {
		t.Errorf("%s, %v: %d new leaders", c.name, m, changes)
	}
	if m.hub() && !writes {
		t.Errorf("%s, %v: no write succeeds", c.name, m)
	}
	if writes && !m.hub() {
		t.Errorf("%s, %v: a write succeeds, although nobody reaches a majority", c.name, m)
	}
	o.all++
	if writes {
		o.live++
	}
	if changes == 0 {
		o.quiet++
	}
	c.ends()
	c.end()
}

// E14: all ways to cut three nodes apart one way; number 1 is who led before.
func TestE14AllCutsOfThreeNodes(t *testing.T) {
	var o outcomes
	for number := range uint64(1 << 6) {
		for seed := range uint64(max(1, many(10, 1))) {
			o.try(t, numbered(3, number), 10*number+seed+1)
		}
	}
	t.Log(&o)
}

// E14: some of the million ways to cut five nodes apart, few links and many.
func TestE14SomeCutsOfFiveNodes(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 5))
	var o outcomes
	for seed := range uint64(many(400, 100)) {
		m, share := newMatrix(5), rng.Float64()*0.6
		for i := range m {
			for j := range m {
				m[i][j] = i != j && rng.Float64() < share
			}
		}
		o.try(t, m, seed+1)
	}
	t.Log(&o)
}

// lives is a case of E15 in which writes must go on.
func lives(t *testing.T, m matrix, atMost int) {
	t.Helper()
	for seed := range uint64(few(20)) {
		c := newCutting(t, len(m), seed+1)
		if changes, writes := c.play(m); !writes || changes > atMost {
			t.Errorf("%s, %v: writes %v, %d new leaders", c.name, m, writes, changes)
		}
		c.ends()
		c.end()
	}
}

// E15: the leader, 1, and all others reach 2 and nobody else. It notices that it has
// lost its majority and steps down, and 2 takes over.
func TestE15QuorumLoss(t *testing.T) {
	lives(t, only(5, [2]int{2, 1}, [2]int{2, 3}, [2]int{2, 4}, [2]int{2, 5}), 1)
}

// E15: 3 no longer reaches the leader, 1, and would depose it for ever, and be deposed
// by it; but 2, who hears the leader, does not vote for it. Then the same with five in
// a row, whose leader, at the end, has lost its majority.
func TestE15Chained(t *testing.T) {
	lives(t, only(3, [2]int{1, 2}, [2]int{2, 3}), 0)
	lives(t, only(5, [2]int{1, 2}, [2]int{2, 3}, [2]int{3, 4}, [2]int{4, 5}), 1)
}

// E15: only 2 reaches a majority, and it has missed what was committed last. Nobody
// may vote for it, and nobody else has enough voters: Raft has no leader here, and
// neither have we. Nothing is lost, and one link more is enough.
func TestE15ConstrainedElection(t *testing.T) {
	star := [][2]int{{2, 3}, {2, 4}, {2, 5}}
	for seed := range uint64(few(20)) {
		c := newCutting(t, 5, seed+1)
		c.apply(only(5, [2]int{1, 3}, [2]int{1, 4}, [2]int{1, 5}, [2]int{3, 4}, [2]int{4, 5}, [2]int{3, 5}))
		c.pass(1)
		if !c.writes(c.who[0]) {
			t.Errorf("%s: without node 2 no write succeeds", c.name)
		}
		before := c.counts.Elections
		c.apply(only(5, star...))
		c.pass(5 * leaderIn)
		if got := c.counts.Elections - before; got != 0 || c.writes(c.leader()) {
			t.Errorf("%s: %d nodes were elected by nodes with newer logs", c.name, got)
		}
		c.apply(only(5, append(star, [2]int{3, 4})...))
		c.pass(leaderIn)
		if !c.writes(c.leader()) {
			t.Errorf("%s: 2, 3 and 4 reach each other, and no write succeeds", c.name)
		}
		c.ends()
		c.end()
	}
}
