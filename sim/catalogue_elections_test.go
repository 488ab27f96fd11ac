package sim

import (
	"context"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// A vote, or a question for votes, that leaves before the disk has it is given away
// twice by a node that forgets. The followers of a leader that has died lose power
// at each of the waits of the election that follows.
func TestE02E03ACrashAtAnyWaitOfAnElection(t *testing.T) {
	for _, keep := range []survival{keepNone, keepTorn} {
		for fuse := 1; fuse <= 40; fuse++ {
			s := begin(t, uint64(fuse), 3)
			old := s.leader()
			others := s.besides(old)
			old.die(keepAll)
			for i, n := range others {
				doFuse(s.run, &Action{Keep: string(keep), Amount: float64(fuse + i*7%5)}, n)
			}
			s.pass(2 * election)
			for _, n := range others {
				n.boot()
			}
			s.pass(election)
			s.ends()
		}
	}
}

// A node that was alone for a hundred timeouts has not raised its term, so that its
// return disturbs nobody, and it follows at once.
func TestE09ANodeThatWasAloneFollowsAgain(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	term, alone := s.highest(), s.besides(leader)[0]
	s.isolate(alone)
	s.pass(100 * election)
	s.put(leader, "k0", "meanwhile")
	s.heal()
	s.until("it has what was written meanwhile", 2*election, func() bool { return alone.applied == leader.applied })
	if s.leading() != leader || s.highest() != term {
		t.Errorf("node %d led in term %d; after the return it is node %d in term %d", leader.id, term, s.leading().id, s.highest())
	}
	s.ends()
}

// Both that are left ask for votes at the same moment, and each could have the
// other's. Chance must part them soon.
func TestE12TwoPreCandidatesDoNotSplitVotesForEver(t *testing.T) {
	const rounds = 8
	for seed := range seeds(60) {
		s := begin(t, seed, 3)
		old := s.leader()
		others := s.besides(old)
		old.die(keepNone) // nobody is told
		s.pass(2*heartbeat + election)
		for _, n := range others {
			s.asks(n, time.Second, func(_ context.Context, g *quorate.Group) (any, error) { return nil, g.Campaign() })
		}
		s.until("one of them leads", rounds*2*election, func() bool { return s.leading() != nil })
		s.ends()
	}
}

// Votes do not queue behind data: with every state machine far behind and writers
// at work, the leader is killed, and another leads as soon as without.
func TestE19AnElectionDoesNotWaitForData(t *testing.T) {
	s := begin(t, 1, 3, func(o *Options) { o.Clients, o.Think = 8, Duration(time.Millisecond) })
	old := s.leader()
	for _, n := range s.nodes {
		n.slow = 10 * time.Second
	}
	s.load()
	s.pass(5 * election)
	old.die(keepAll)
	s.until("another node leads", 4*election, func() bool { return s.leading() != nil })
	s.ends()
}

// All nodes are started at once: they do not wait as for a leader that fell silent.
func TestE20AClusterThatStartsHasALeaderSoon(t *testing.T) {
	for seed := range seeds(60) {
		s := begin(t, seed, 3)
		s.put(s.leader(), "k0", "before")
		for _, n := range s.nodes {
			n.die(keepNone)
		}
		for _, n := range s.nodes {
			n.boot()
		}
		s.until("there is a leader", 4*election, func() bool { return s.leading() != nil }) // two of the longest
		s.ends()
	}
}

// A member that was cut off when it was removed lives on with what it knew.
func TestE21ARemovedMemberDoesNotRaiseTheTerm(t *testing.T) {
	s := begin(t, 1, 4)
	leader := s.leader()
	gone := s.besides(leader)[0]
	s.isolate(gone)
	if err := s.change(leader, remove(gone)); err != nil {
		t.Fatal(err)
	}
	s.pass(20 * election) // the others have forgotten it
	s.heal()
	term := s.highest()
	s.pass(50 * election)
	s.put(leader, "k0", "afterwards")
	if s.leading() != leader || s.highest() != term {
		t.Errorf("node %d led in term %d; now it is node %d in term %d", leader.id, term, s.leading().id, s.highest())
	}
	s.ends()
}
