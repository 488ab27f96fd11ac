package raft_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// Scenarios of docs/scenarios.md that a script cannot tell, since they ask for all of
// something or for very much of it.

// TestE07LogsAreComparedByTermFirst asks the owner of each log for a vote for the owner
// of each other one: the vote goes to the later last term, and of one term to the longer
// log, so that of two who differ exactly one would vote for the other.
func TestE07LogsAreComparedByTermFirst(t *testing.T) {
	var ends []raft.EntryID
	for term := raft.Term(2); term <= 5; term++ {
		for index := raft.Index(2); index <= 6; index++ {
			ends = append(ends, raft.EntryID{Term: term, Index: index})
		}
	}
	for _, voter := range ends {
		for _, candidate := range ends {
			want := candidate.Term > voter.Term || candidate.Term == voter.Term && candidate.Index >= voter.Index
			if got := wouldVote(t, voter, candidate); got != want {
				t.Errorf("whose log ends in %v votes for whose ends in %v: %v", voter, candidate, got)
			}
		}
	}
}

// wouldVote asks a node whose log ends in an entry.
func wouldVote(t *testing.T, end, candidate raft.EntryID) bool {
	t.Helper()
	saved, err := raft.Bootstrap(membership.New(
		membership.Member{ID: 1, Role: membership.Voter}, membership.Member{ID: 2, Role: membership.Voter}))
	if err != nil {
		t.Fatal(err)
	}
	for index := saved.Base.ID.Index + 1; index <= end.Index; index++ {
		saved.Entries = append(saved.Entries, raft.Entry{EntryID: raft.EntryID{Term: end.Term, Index: index}, Kind: raft.Command})
	}
	saved.State.Term = 6
	node, err := raft.New(raft.Config{ID: 1}, saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Step(raft.Message{Kind: raft.RequestVote, From: 2, To: 1, Term: 7, Last: candidate}); err != nil {
		t.Fatal(err)
	}
	fx := node.Take()
	for _, m := range append(fx.Send, fx.SendAfter...) {
		if m.Kind == raft.RequestVoteReply {
			return m.Granted
		}
	}
	t.Fatal("no answer")
	return false
}

// TestL11TheQuotaOfWhatIsUncommittedIsGivenBack proposes a million commands, more than
// the quota takes at a time, among changes that are refused and leaders that fall. At
// rest nothing is left of it: then even a command larger than the whole quota is taken.
func TestL11TheQuotaOfWhatIsUncommittedIsGivenBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const quota = 2000
	w := rafttest.New(3, 1, raft.Config{MaxUncommittedBytes: quota})
	busy, proposals := 0, 1_000_000
	if testing.Short() {
		proposals = 20_000
	}
	data := make([]byte, quota+1)
	for n := 0; n < proposals; {
		leader := elected(t, w, rng)
		for range 1 + rng.IntN(200) {
			n++
			if _, err := leader.Core.Propose(data[:rng.IntN(100)]); errors.Is(err, raft.ErrBusy) {
				busy++
			}
			if rng.IntN(50) == 0 { // to be ignored
				_, _ = leader.Core.Change(membership.Change{Kind: membership.Remove, Member: membership.Member{ID: 9}}, 0)
			}
		}
		w.Drain(leader.ID)
		if rng.IntN(50) == 0 {
			leader.Core.Resign()
			w.Drain(leader.ID)
		}
		if err := w.Settle(nil); err != nil {
			t.Fatal(err)
		}
		for _, node := range w.Nodes {
			if rng.IntN(20) == 0 && w.Compact(node.ID) == nil {
				node.Applied = nil
			}
		}
	}
	leader := elected(t, w, rng)
	if _, err := leader.Core.Propose(data); err != nil || busy == 0 {
		t.Errorf("a command as large as all: %v, after %d refusals", err, busy)
	}
}

// elected returns the leader, at rest, or has one elected.
func elected(t *testing.T, w *rafttest.Cluster, rng *rand.Rand) *rafttest.Node {
	t.Helper()
	for {
		if err := w.Settle(nil); err != nil {
			t.Fatal(err)
		}
		if leader := w.Leader(); leader != nil {
			return leader
		}
		w.Tick(raft.NodeID(1 + rng.IntN(3)))
	}
}

// TestL12AFullWindowIsEmptiedWhateverComesBetween fills the window of a follower that
// answers nothing, loses what is under way, and lets the leader compact what it was: so
// that the follower is probed, streamed to and sent a snapshot, each with a full window
// behind it. Each time entries flow again, as many as before.
func TestL12AFullWindowIsEmptiedWhateverComesBetween(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	w := rafttest.New(3, 2, raft.Config{MaxInFlight: 4, MaxInFlightBytes: 400, MaxMessageBytes: 100})
	deaf := false
	var seen [3]int // states of the follower, when something was said to it or by it
	hears := func(m raft.Message) bool {
		if m.To != 3 && m.From != 3 {
			return true
		}
		for _, p := range w.Node(1).Core.Status().Peers {
			if p.ID == 3 {
				seen[p.State]++
			}
		}
		return !deaf
	}
	w.Node(1).Core.Campaign()
	w.Drain(1)
	run(t, w, 3, hears)
	for range 300 {
		leader := w.Node(1).Core
		deaf = true
		for range 12 {
			if _, err := leader.Propose(make([]byte, rng.IntN(150))); err != nil {
				t.Fatal(err)
			}
			w.Drain(1)
			run(t, w, rng.IntN(2), hears)
		}
		if rng.IntN(3) == 0 {
			if err := w.Compact(1); err != nil && !errors.Is(err, raft.ErrCompacted) {
				t.Fatal(err)
			}
		}
		deaf = rng.IntN(3) == 0
		run(t, w, rng.IntN(4), hears)
		if rng.IntN(2) == 0 {
			leader.SnapshotSent(3, 0)
			w.Drain(1)
		}
		deaf = false
		run(t, w, 40, hears)
		if a, b := w.Node(1).Core.Status(), w.Node(3).Core.Status(); a.Last != b.Last || a.Role != raft.Leader {
			t.Fatalf("the follower ends in %v, the %v in %v", b.Last, a.Role, a.Last)
		}
	}
	if slices.Min(seen[:]) < 100 {
		t.Errorf("it was probed, streamed to and sent a snapshot so often: %v", seen)
	}
}

// run lets time pass for all.
func run(t *testing.T, w *rafttest.Cluster, ticks int, hears func(raft.Message) bool) {
	t.Helper()
	for range ticks {
		for _, n := range w.Nodes {
			if n.ID != 3 { // who hears nobody for long would only ask for pre-votes
				w.Tick(n.ID)
			}
		}
		if err := w.Settle(hears); err != nil {
			t.Fatal(err)
		}
	}
}
