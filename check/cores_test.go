package check_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// watched is a group of real cores under a checker. Their disks are fast: what a
// core has in its log is on its disk, where it can be seen.
type watched struct {
	*rafttest.Cluster
	*check.Checker
	t        *testing.T
	forgets  bool // a node that restarts forgets whom it voted for
	restarts int
}

// look tells the checker all that can be seen.
func (w *watched) look() error {
	for i := range w.Wire {
		if err := w.Sent(&w.Wire[i]); err != nil {
			return err
		}
	}
	for _, n := range w.Nodes {
		if n.Core == nil {
			continue
		}
		s := n.Core.Status()
		l := &check.Log{Prev: s.Base}
		for _, e := range n.Disk.Entries { // as in memory: no write is ever left waiting
			l.Entries = append(l.Entries, check.Of(&e))
		}
		err := w.Saw(check.Observation{Node: n.ID, Role: s.Role, Term: s.Term, Vote: s.Vote, Commit: s.Commit, Log: l})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *watched) step(rng *rand.Rand) error {
	n := w.Nodes[rng.IntN(len(w.Nodes))]
	switch k := rng.IntN(100); {
	case k < 55 && len(w.Wire) > 0:
		return w.Deliver(rng.IntN(min(len(w.Wire), 4)))
	case k < 60 && len(w.Wire) > 0:
		w.Wire = w.Wire[1:]
	case n.Core == nil:
		if w.forgets {
			n.Disk.State.Vote = 0
		}
		w.Start(n.ID)
	case k < 75:
		w.Tick(n.ID)
	case k < 85:
		if l := w.Leader(); l != nil {
			_, _ = l.Core.Propose([]byte("command")) // refused if it does not know yet
			w.Drain(l.ID)
		}
	case k < 96:
		_ = w.Compact(n.ID) // refused where nothing is new
	default:
		w.Crash(n.ID)
		w.Restarted(n.ID)
		w.restarts++
	}
	return nil
}

func (w *watched) play(seed uint64, steps int) error {
	rng := rand.New(rand.NewPCG(seed, 2))
	for range steps {
		if err := w.step(rng); err != nil {
			w.t.Fatalf("a message of our own was refused: %v", err)
		}
		if err := w.look(); err != nil {
			return err
		}
	}
	return nil
}

func TestRealCoresKeepAllProperties(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := &watched{Cluster: rafttest.New(3, seed, raft.Config{}), Checker: check.New(), t: t}
			if err := w.play(seed, 1500); err != nil {
				t.Fatal(err)
			}
			if w.restarts == 0 {
				t.Error("nothing was ever restarted")
			}
		})
	}
}

// The same cores on disks that forget must be caught, or the checker looks away.
func TestForgottenVotesAreCaught(t *testing.T) {
	for seed := range uint64(10) {
		w := &watched{Cluster: rafttest.New(3, seed, raft.Config{}), Checker: check.New(), t: t, forgets: true}
		if err := w.play(seed, 1500); err == nil {
			t.Errorf("seed %d: nobody noticed", seed)
		}
	}
}
