package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// The power of a lone node goes out at each wait while it is written to: what was
// acknowledged is there, since the answer does not leave before the sync.
func TestD01NoAnswerBeforeTheSync(t *testing.T) {
	for fuse := 1; fuse <= 50; fuse++ {
		s := begin(t, uint64(fuse), 1)
		n := s.nodes[0]
		doFuse(s.run, &Action{Keep: string(keepNone), Amount: float64(fuse)}, n)
		for i := range 12 {
			s.puts(n, fmt.Sprint("k", i%4), fmt.Sprint(i))
			s.pass(time.Millisecond)
		}
		n.boot()
		s.ends()
	}
}

// The power goes out for all nodes at the same moment, and of what no sync had ended
// for nothing is left.
func TestD02ThePowerOfAllNodesGoesOut(t *testing.T) {
	for seed := range seeds(3) {
		s := begin(t, seed, 3, quickCompaction, func(o *Options) { o.Clients, o.Think = 6, Duration(10*time.Millisecond) })
		s.load()
		for range 10 {
			s.pass(between(s.world.rng, 0, time.Second))
			for _, n := range s.nodes {
				n.die(keepNone)
			}
			s.pass(between(s.world.rng, 0, election))
			for _, n := range s.nodes {
				n.boot()
			}
		}
		s.ends()
		if s.counts.Operations < 100 {
			t.Errorf("seed %d: %d operations say little", seed, s.counts.Operations)
		}
	}
}

// A disk is full, in each of the ways in which it can be. Its node lives: it refuses
// what it cannot keep, another one leads, and with room again it goes on by itself.
func TestD10ANodeWhoseDiskIsFullLivesAndLosesNothing(t *testing.T) {
	for _, pick := range []uint64{0, 1, 2 + 3*20_000} {
		for _, who := range []string{"leader", "follower"} {
			s := begin(t, 1, 3)
			full := s.leader()
			if who == "follower" {
				full = s.besides(full)[0]
			}
			s.put(full, "k0", "before")
			life := full.life
			full.disk.fill(pick)
			s.until("another node leads, and takes commands", 20*election, func() bool {
				s.puts(full, "k1", fmt.Sprint("without room ", len(s.told)))
				s.pass(heartbeat)
				return s.leading() != nil && s.leading() != full
			})
			s.fill(s.leading(), 40, 2000)
			s.get(s.leading(), "k0", "before")
			if !full.alive || full.life != life || full.host.Err() != nil {
				t.Errorf("the %s has ended: %v", who, full.host.Err())
			}
			s.until("the node says so", time.Second, func() bool { return full.host.Vitals().DiskFull })
			full.disk.empty()
			s.caughtUp(full, 10*time.Second)
			s.until("and that it has room", time.Second, func() bool { return !full.host.Vitals().DiskFull })
			s.put(full, "k2", fmt.Sprint("with room ", len(s.told)))
			s.ends()
		}
	}
}

// A leader's disk is full all at once, and a command that it had taken waits, although all
// others have it. Nobody asks for more than reads, which would wait for its state machine:
// another node leads all the same, and answers them.
func TestD10ALeaderWhoseWritesWaitLetsOthersLead(t *testing.T) {
	for seed := range seeds(3) {
		s := begin(t, seed, 3)
		full := s.leader()
		s.put(full, "k0", "before")
		full.disk.fill(0)
		taken := s.puts(full, "k1", "just when it became full")
		s.until("it waits for room", election, func() bool { return full.host.Vitals().DiskFull })
		s.until("another node leads", 20*election, func() bool { return s.leading() != nil && s.leading() != full })
		s.get(s.leading(), "k1", "just when it became full")
		full.disk.empty()
		s.until("the command has an answer", 10*election, func() bool { return taken.over })
		s.ends()
	}
}

// The disks of all nodes but one are nearly full. Who leads asks one after another to take
// over, until it comes to that one.
func TestD10OneAfterAnotherIsAskedToLead(t *testing.T) {
	for seed := range seeds(2) {
		for which := range 4 {
			s := begin(t, seed, 5)
			leader := s.leader()
			roomy := s.besides(leader)[which]
			for _, n := range s.besides(roomy) {
				n.disk.mem.SetCapacity(n.disk.mem.Used() + spaceReserve*3/4)
			}
			s.until("the one that has room leads", 100*election, func() bool {
				s.puts(leader, "k0", fmt.Sprint("without room ", len(s.told)))
				s.pass(heartbeat)
				return s.leading() == roomy
			})
			s.put(roomy, "k1", "with room")
			s.ends()
		}
	}
}

// The disks of all nodes are nearly full. Nobody takes commands, the leader stays, and
// reads go on, also under the next leader; with room again everything goes on.
func TestD10ReadsGoOnWhereAllDisksAreFull(t *testing.T) {
	for seed := range seeds(5) {
		s := begin(t, seed, 3)
		leader := s.leader()
		s.put(leader, "k0", "before")
		for _, n := range s.nodes {
			n.disk.mem.SetCapacity(n.disk.mem.Used() + spaceReserve*3/4)
		}
		s.until("commands are refused", 10*election, func() bool {
			a := s.puts(leader, "k1", fmt.Sprint("without room ", len(s.told)))
			s.until("it has an answer", election, func() bool { return a.over })
			return errors.Is(a.err, quorate.ErrDiskFull)
		})
		for range 20 {
			s.puts(leader, "k1", fmt.Sprint("without room ", len(s.told)))
			s.pass(election)
			s.get(leader, "k0", "before")
		}
		if s.leading() != leader {
			t.Errorf("seed %d: node %d leads, although nobody has more room", seed, s.leading().id)
		}
		leader.die(keepAll)
		s.until("another node leads", 10*election, func() bool { return s.leading() != nil })
		s.get(s.leading(), "k0", "before")
		leader.boot()
		for _, n := range s.nodes {
			n.disk.empty()
		}
		s.until("commands are taken", 10*election, func() bool {
			a := s.puts(s.leader(), "k2", fmt.Sprint("with room ", len(s.told)))
			s.until("it has an answer", 10*election, func() bool { return a.over })
			return a.err == nil
		})
		s.ends()
	}
}

// A disk stands still for ten seconds. A leader gives up; a follower holds up nobody.
func TestD12ADiskThatStandsStillHoldsUpNobody(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	follower := s.besides(leader)[0]
	follower.disk.stalled = s.world.now + 10*time.Second
	for range 50 {
		began := s.world.now
		s.fill(leader, 1, 100)
		if took := s.world.now - began; took > heartbeat {
			t.Errorf("beside a follower whose disk stands still a write took %v", took)
		}
	}
	s.pass(12 * time.Second)
	leader.disk.stalled = s.world.now + 10*time.Second
	s.puts(leader, "k0", "at the disk that stands still")
	s.until("another node leads", 8*election, func() bool { return s.leading() != leader && s.leading() != nil })
	s.put(s.leading(), "k1", "meanwhile")
	s.ends()
}
