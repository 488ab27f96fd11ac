package sim

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// Leaders come and go before their entries are committed, over a network that loses
// and delays: the schedule of figure 8 again and again, by chance.
func TestL01LeadersFallBeforeTheyCommit(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 5)
		s.net.weather = Weather{Most: Duration(30 * time.Millisecond), Drop: 0.1, Reorder: 0.3}
		for round := range 60 {
			leader := s.leading()
			for _, n := range s.nodes {
				if n.serving() && n.leads {
					s.puts(n, "k0", fmt.Sprint(round, n.id))
				}
			}
			s.pass(between(s.world.rng, 0, 40*time.Millisecond))
			if leader != nil && s.world.rng.IntN(3) > 0 {
				leader.die(survivals[s.world.rng.IntN(len(survivals))])
			}
			dead := 0
			for _, n := range s.nodes {
				if !n.alive {
					dead++
				}
			}
			for _, n := range s.nodes {
				if dead >= 3 && !n.alive {
					n.boot()
					dead--
				}
			}
			s.pass(between(s.world.rng, 0, 2*election))
		}
		s.ends()
	}
}

// Commands of a byte and of a megabyte, far more than one message holds. The judge
// stops at a gap or a repetition in what is applied, also after a restart.
func TestL06CommandsOfAllSizesAreAppliedInOrder(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	behind := s.besides(leader)[0]
	behind.die(keepNone)
	var all []*asked
	for i := range 25 {
		size := []int{1, 1, 100, 300_000, 1 << 20}[i*7%5]
		all = append(all, s.puts(leader, fmt.Sprint("key ", i), string(make([]byte, size))))
	}
	s.pass(10 * time.Millisecond)
	behind.boot()
	for _, a := range all {
		if _, err := s.answer(a); err != nil {
			t.Fatal(err)
		}
	}
	behind.die(keepSome)
	behind.boot()
	s.ends()
}

// Within a life commit never falls, whoever leads; what it was worth after a crash
// is applied again as before, or the judge stops.
func TestL07CommitNeverFalls(t *testing.T) {
	s := begin(t, 1, 3, func(o *Options) { o.Clients = 3; o.SnapshotEntries = 20 })
	s.load()
	was, life := map[*node]raft.Index{}, map[*node]uint64{}
	for round := range 600 {
		s.pass(5 * time.Millisecond)
		for _, n := range s.nodes {
			if life[n] == n.life && n.commit < was[n] {
				t.Fatalf("node %d: commit %d after %d", n.id, n.commit, was[n])
			}
			was[n], life[n] = n.commit, n.life
			if !n.alive {
				n.commit = 0
				n.boot()
			}
		}
		if n := s.nodes[round/50%3]; round%50 == 49 {
			n.die(survivals[round/50%len(survivals)])
		}
	}
	s.ends()
}

// What the leader before had sent to a follower that lags is late, and arrives while
// the new one repairs the same follower.
func TestL08LateEntriesOfTheLeaderBeforeCutNothing(t *testing.T) {
	for seed := range seeds(20) {
		s := begin(t, seed, 5)
		old := s.leader()
		lags, others := s.besides(old)[0], s.besides(old)[1:]
		s.isolate(lags)
		s.fill(old, 30, 100)
		// From here on it hears the old leader late, and the old leader nobody else.
		s.heal()
		s.pass(time.Duration(seed) * heartbeat / 20)
		s.net.link(old.number, lags.number).clog = s.world.now + 2*election + time.Duration(seed)*heartbeat/4
		for _, n := range others {
			s.net.cut([]int{old.number}, []int{n.number}, false)
		}
		s.puts(old, "k0", "never committed")
		s.until("another node leads", 20*election, func() bool { return s.leading() != old && s.leading() != nil })
		s.fill(s.leading(), 30, 100)
		s.pass(election)
		s.heal()
		s.ends()
	}
}

// A leader stops in the middle of sending a snapshot, and goes on when its follower
// is in a later term and the next leader has sent another, or is about to.
func TestL16S02TwoLeadersSendSnapshotsToOneFollower(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3, quickCompaction)
		old := s.leader()
		lags, other := s.besides(old)[0], s.besides(old)[1]
		s.isolate(lags)
		s.fill(old, 25, 20_000)
		s.heal()
		s.until("a snapshot is under way", 10*election, s.streaming)
		s.pass(time.Duration(seed) * 500 * time.Microsecond)
		old.freeze()
		s.until("another node leads", 20*election, func() bool { return s.judges[0].leaders[s.highest()] == other.id })
		s.pass(time.Duration(seed%5) * election)
		s.put(other, "k0", "later")
		old.thaw()
		s.until("the follower has caught up", 30*time.Second, func() bool { return lags.applied == other.applied })
		s.ends()
	}
}

// streaming reports whether a snapshot is under way.
func (s *story) streaming() bool {
	return slices.ContainsFunc(s.net.streams, func(st *stream) bool { return !st.ended() })
}

// quickCompaction lets logs be compacted soon.
func quickCompaction(o *Options) { o.SnapshotEntries = 10 }

// The leader's own log cannot be written, or its sync fails: the node ends without
// an acknowledgement, and what comes back is what the disk has.
func TestL17D09AFailedWriteEndsTheLeaderWithoutAnAnswer(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpSync} {
		s := begin(t, 1, 3)
		leader := s.leader()
		s.put(leader, "k0", "before")
		leader.disk.fail = map[vfs.Op]int{op: 1} // once; the next one would succeed
		life := leader.life
		late := s.puts(leader, "k1", "at the failing disk")
		s.until("the process has ended", election, func() bool { return leader.life == life && !leader.alive })
		if late.over && !errors.Is(late.err, quorate.ErrUnknownOutcome) {
			t.Errorf("%v: the answer was %v, %v", op, late.result, late.err)
		}
		s.until("it is started again", 2*time.Second, func() bool { return leader.serving() })
		s.get(leader, "k0", "before")
		s.ends()
	}
}

// Every frame may be lost, late, doubled and out of order, all the time.
func TestL19EverythingTwiceAndInAnyOrder(t *testing.T) {
	for seed := range seeds(10) {
		p := Draw(seed, Limits{Nodes: 3 + 2*int(seed%2), Faults: []string{"crash", "transfer"}})
		p.Weather = Weather{Most: Duration(200 * time.Millisecond), Drop: 0.2, Double: 0.5, Reorder: 1, Garble: 0.02}
		r, err := Execute(p, Setup{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil {
			t.Errorf("seed %d: %v", seed, r.Err)
		}
	}
}
