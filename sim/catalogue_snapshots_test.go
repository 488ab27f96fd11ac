package sim

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// lagging is a cluster of three of which one, cut off, needs a snapshot of about so
// many kilobytes.
func lagging(t *testing.T, seed uint64, kilobytes int, changes ...func(*Options)) (s *story, leader, lags *node) {
	t.Helper()
	s = begin(t, seed, 3, append(changes, quickCompaction)...)
	leader = s.leader()
	lags = s.besides(leader)[0]
	s.isolate(lags)
	s.fill(leader, 30, kilobytes<<10/30)
	return s, leader, lags
}

// caughtUp waits until a node has applied what the leader has.
func (s *story) caughtUp(n *node, limit time.Duration) {
	s.t.Helper()
	s.until(fmt.Sprintf("node %d has caught up", n.id), limit, func() bool {
		l := s.leading()
		return l != nil && n.serving() && n.applied == l.last
	})
}

// The power goes out at each wait of an install: while the file is written, synced and
// renamed, while the log begins anew, while the state is loaded.
func TestS01ACrashAtAnyWaitOfAnInstall(t *testing.T) {
	for _, keep := range survivals {
		died, tried := 0, 0
		for fuse := range seeds(30) {
			s, _, lags := lagging(t, fuse, 60)
			tried++
			s.heal()
			s.until("a snapshot is under way", 20*election, s.streaming)
			doFuse(s.run, &Action{Keep: string(keep), Amount: float64(fuse)}, lags)
			s.pass(2 * election)
			if !lags.alive {
				died++
			}
			lags.boot()
			s.ends()
		}
		if died < tried/2 {
			t.Errorf("%s: of %d nodes %d died in the middle", keep, tried, died)
		}
	}
}

// The power goes out around compactions: log and snapshots together still hold
// everything that was acknowledged.
func TestS03TheLogIsNotCutBeforeTheSnapshotIsDurable(t *testing.T) {
	for fuse := 1; fuse <= 60; fuse++ {
		s := begin(t, uint64(fuse), 1, func(o *Options) { o.SnapshotEntries = 4 })
		n := s.nodes[0]
		s.fill(n, 10, 10)
		doFuse(s.run, &Action{Keep: string(keepNone), Amount: float64(fuse)}, n)
		for i := range 20 {
			s.puts(n, fmt.Sprint("k", i%4), fmt.Sprint(i))
			s.pass(2 * time.Millisecond)
		}
		n.boot()
		s.ends() // what was acknowledged must be read
	}
}

// A bit of the only snapshot flips. The node does not come up empty: it stays down and
// says why and what to do, and the others go on.
func TestS05ADamagedSnapshotIsNotTakenForNone(t *testing.T) {
	for seed := range seeds(20) {
		s := begin(t, seed, 3, quickCompaction)
		leader := s.leader()
		s.fill(leader, 40, 100)
		bad := s.besides(leader)[0]
		s.until("it has compacted its log", 10*time.Second, func() bool { return s.status(bad).Base.Index > 1 })
		for bad.disk.flaws == 0 { // what is drawn may be what is there
			doFlip(s.run, &Action{Op: "snap"}, bad)
		}
		s.until("it has given up", 2*time.Second, func() bool { return bad.down != nil })
		if text := bad.down.Error(); !strings.Contains(text, ".snap") || !strings.Contains(text, "remove this member") {
			t.Errorf("it says %q", text)
		}
		s.put(leader, "k0", "by the others")
		s.ends()
	}
}

// The stream breaks in the middle, and what would tell either side of it is lost.
func TestS08ASnapshotThatIsLostIsSentAgain(t *testing.T) {
	for seed := range seeds(10) {
		s, _, lags := lagging(t, seed, 200)
		s.heal()
		s.until("a snapshot is under way", 20*election, s.streaming)
		s.pass(time.Duration(seed) * 300 * time.Microsecond)
		s.isolate(lags)
		s.pass(time.Duration(seed) * election)
		s.heal()
		s.caughtUp(lags, 5*time.Second)
		s.ends()
	}
}

// A node that is busy with its own snapshots and compactions, on a slow disk, is sent
// the leader's.
func TestS10AnInstallMeetsAnOwnSnapshot(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3, func(o *Options) { o.SnapshotEntries = 5 })
		leader := s.leader()
		lags := s.besides(leader)[0]
		lags.disk.quick, lags.disk.slow = 5*time.Millisecond, 40*time.Millisecond
		for round := range 4 {
			s.fill(leader, 6, 100)
			s.isolate(lags) // its own snapshot is still being written
			s.fill(leader, 20, 100)
			s.heal()
			s.pass(time.Duration(seed+uint64(round)) * 7 * time.Millisecond)
		}
		s.caughtUp(lags, 20*time.Second)
		s.ends()
	}
}

// Stores that keep their state themselves are killed under load, each time with more or
// less of it on the disk; the judge compares states after equal entries.
func TestS11StateAndAppliedIndexStayInStep(t *testing.T) {
	for seed := range seeds(5) {
		s := begin(t, seed, 3, quickCompaction, func(o *Options) { o.Durable, o.Clients = true, 4 })
		s.load()
		for range 30 {
			n := s.nodes[s.world.rng.IntN(3)]
			n.die(survivals[s.world.rng.IntN(len(survivals))])
			s.pass(between(s.world.rng, 0, 2*election))
			n.boot()
			s.pass(between(s.world.rng, 0, election))
		}
		s.ends()
	}
}

// Whoever receives takes nothing in for half a minute. The group does not notice, what
// waits is bounded, and the sender can still be closed.
func TestS12AReceiverThatTakesNothingHoldsUpNobody(t *testing.T) {
	s, leader, lags := lagging(t, 1, 400)
	lags.disk.stalled = s.world.now + 30*time.Second
	s.heal()
	s.until("a snapshot is under way", 20*election, s.streaming)
	for range 50 {
		began := s.world.now
		s.fill(leader, 1, 100)
		if took := s.world.now - began; took > heartbeat {
			t.Errorf("a write took %v", took)
		}
		if st := s.net.streams[0]; len(st.body.chunks) > window {
			t.Fatalf("%d chunks wait", len(st.body.chunks))
		}
	}
	if s.leading() != leader {
		t.Errorf("node %d leads now", s.leading().id)
	}
	host := leader.host
	closed := s.asks(leader, time.Minute, func(ctx context.Context, _ *quorate.Group) (any, error) { return nil, host.Close(ctx) })
	s.until("the host is closed", 4*election, func() bool { return closed.over })
	leader.die(keepAll)
	s.ends()
}

// While a follower is sent a snapshot, the leader goes on and compacts. What follows the
// snapshot in its log stays: when it has arrived, no second one is needed.
func TestTheLogIsKeptForWhoIsSentASnapshot(t *testing.T) {
	for seed := range seeds(5) {
		s, leader, lags := lagging(t, seed, 4000)
		s.net.weather = Weather{Least: Duration(20 * time.Millisecond), Most: Duration(25 * time.Millisecond)}
		s.heal()
		s.until("a snapshot is under way", 20*election, s.streaming)
		before := s.status(leader).Base.Index
		s.fill(leader, 25, 10)
		if now := s.status(leader).Base.Index; !s.streaming() || now == before && s.status(leader).Last.Index < before+20 {
			t.Fatalf("seed %d: the log began after %d and now after %d, streaming %v: that says nothing", seed, before, now, s.streaming())
		}
		s.until("it has arrived", time.Minute, func() bool { return !s.streaming() })
		s.until("the node has caught up", 10*time.Second, func() bool {
			if s.streaming() {
				t.Fatalf("seed %d: a second snapshot is under way", seed)
			}
			return lags.applied == leader.last
		})
		s.ends()
	}
}

// A snapshot takes many election timeouts to arrive. The one who receives it hears its
// leader all the time and does not campaign.
func TestS14ALongInstallEndsNoLeadership(t *testing.T) {
	s, leader, lags := lagging(t, 1, 1500)
	s.net.weather = Weather{Least: Duration(20 * time.Millisecond), Most: Duration(25 * time.Millisecond)}
	term := s.highest()
	s.heal()
	s.until("a snapshot is under way", 20*election, s.streaming)
	took := s.until("it has arrived", time.Minute, func() bool {
		if st := s.status(lags); st.Leader != leader.id && st.Term == term {
			t.Fatalf("after %v it follows %d", s.world.now, st.Leader)
		}
		return !s.streaming()
	})
	if took < 4*election || s.highest() != term || s.leading() != leader {
		t.Errorf("it took %v; node %d leads in term %d, before it was node %d in term %d", took, s.leading().id, s.highest(), leader.id, term)
	}
	s.caughtUp(lags, 10*time.Second)
	s.ends()
}
