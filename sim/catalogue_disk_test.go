package sim

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
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

// A disk is full. Its node ends with an error that says so; the others serve; with room
// again, the next start finds all that was acknowledged.
func TestD10ANodeWhoseDiskIsFullEndsAndLosesNothing(t *testing.T) {
	for _, who := range []string{"leader", "follower"} {
		s := begin(t, 1, 3)
		full := s.leader()
		if who == "follower" {
			full = s.besides(full)[0]
		}
		s.put(full, "k0", "before")
		host, life := full.host, full.life
		full.disk.full = true
		s.puts(full, "k1", "without room")
		s.until("the process has ended", time.Second, func() bool { return full.life > life || !full.alive })
		if err := host.Err(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("the %s ended with %v", who, err)
		}
		other := s.besides(full)[0]
		s.put(other, "k2", "by the others")
		s.pass(5 * time.Second) // it is started again and again, and finds no room
		full.disk.full = false
		s.until("it serves again", 10*time.Second, full.serving)
		s.get(full, "k0", "before")
		s.get(full, "k2", "by the others")
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
