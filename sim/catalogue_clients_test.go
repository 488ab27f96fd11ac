package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
)

// Each command of a session is sent one to three times, to nodes that are drawn, while
// leaders change. The store counts each that was acknowledged once, and none twice.
func TestK01ARepeatedCommandCountsOnce(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3)
		opened, err := s.answer(s.proposes(s.leader(), func(store Store) []byte { return store.Open() }))
		if err != nil {
			t.Fatal(err)
		}
		session := s.nodes[0].store.Session(opened)
		const sequences = 40
		for sequence := uint64(1); sequence <= sequences; sequence++ {
			known := false
			for try := 0; try < 1+s.world.rng.IntN(3) || !known; try++ {
				o := linear.Operation{Kind: linear.Put, Key: "counted", Value: fmt.Sprint(sequence)}
				a := s.proposes(s.nodes[s.world.rng.IntN(3)], func(store Store) []byte { return store.Command(session, sequence, &o) })
				s.pass(between(s.world.rng, 0, 4*time.Millisecond))
				if s.world.rng.IntN(6) == 0 {
					n := s.leader()
					n.die(keepSome)
					n.boot()
				}
				for range 40 { // an answer, or what a client would wait for one
					if !a.over {
						s.pass(100 * time.Millisecond)
					}
				}
				known = known || a.over && a.err == nil
			}
		}
		s.ends()
		if _, revision, _, _ := s.leader().store.Get("counted"); revision != sequences {
			t.Errorf("seed %d: %d commands were acknowledged, and the store has counted %d", seed, sequences, revision)
		}
	}
}

// proposes lets a node propose any command.
func (s *story) proposes(n *node, command func(Store) []byte) *asked {
	return s.asks(n, 3*time.Second, func(ctx context.Context, g *quorate.Group) (any, error) {
		return g.Propose(ctx, command(n.store))
	})
}

// A state machine takes half a minute for a batch. Nobody else notices, and the leader
// stays.
func TestK06ABusyStateMachineEndsNoLeadership(t *testing.T) {
	s := begin(t, 1, 3)
	leader, term := s.leader(), s.highest()
	for _, n := range s.nodes {
		n.slow = 30 * time.Second
	}
	s.puts(leader, "k0", "slowly")
	s.pass(90 * time.Second)
	if s.leading() != leader || s.highest() != term {
		t.Errorf("node %d led in term %d; now it is node %d in term %d", leader.id, term, s.leading().id, s.highest())
	}
	s.ends()
}

// The majority is gone and clients go on writing for a minute. Each is told what became
// of it, and what waits does not grow.
func TestO01WithoutAMajorityNothingPilesUp(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	for _, n := range s.besides(leader) {
		n.die(keepNone)
	}
	var all []*asked
	var after raft.Index
	for i := range 1500 {
		all = append(all, s.asks(leader, 500*time.Millisecond, func(ctx context.Context, g *quorate.Group) (any, error) {
			o := linear.Operation{Kind: linear.Put, Key: "k", Value: "v"}
			return g.Propose(ctx, leader.store.Command(0, 0, &o))
		}))
		s.pass(40 * time.Millisecond)
		if i == 50 {
			after = leader.last // it has long given up
		}
	}
	s.pass(time.Second)
	if leader.last != after {
		t.Errorf("the log went on from %d to %d", after, leader.last)
	}
	if tasks := len(leader.tasks); tasks > 10 {
		t.Errorf("%d goroutines are left", tasks)
	}
	for i, a := range all {
		if !a.over || !errors.Is(a.err, quorate.ErrNoLeader) && !errors.Is(a.err, quorate.ErrUnknownOutcome) && !errors.Is(a.err, quorate.ErrTooLate) {
			t.Fatalf("write %d: answered %v, %v", i, a.over, a.err)
		}
	}
	s.ends()
}

// A follower hears everything and its disk writes nothing. What is under way to it is
// bounded by the window, and the others write as quickly as before.
func TestO02ASlowFollowerIsSentNoMoreThanItsWindow(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	slow := s.besides(leader)[0]
	slow.disk.stalled = s.world.now + time.Minute
	for range 300 {
		began := s.world.now
		s.fill(leader, 1, 1000)
		if took := s.world.now - began; took > heartbeat {
			t.Errorf("a write took %v", took)
		}
	}
	for _, p := range s.status(leader).Peers {
		if p.ID == slow.id && (p.InFlight == 0 || p.InFlight > 64 || p.Next > p.Match+65) {
			t.Errorf("%d messages are under way to it, up to entry %d of which it has %d", p.InFlight, p.Next-1, p.Match)
		}
	}
	s.ends()
}

// A leader is stopped, as by SIGSTOP, for up to a minute. What it was asked before and
// while it stood still it answers when it goes on: never with what was true before.
func TestO05ALeaderThatWasStoppedAnswersNothingOld(t *testing.T) {
	for _, lease := range []bool{false, true} {
		for i, pause := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second, 10 * time.Second, time.Minute} {
			s := begin(t, uint64(i), 3, func(o *Options) { o.Lease = lease })
			old := s.leader()
			s.put(old, "k0", "old")
			s.gets(old, "k0", 5*time.Second)
			old.freeze()
			s.gets(old, "k0", 5*time.Second)
			s.pass(pause)
			if pause > 3*election {
				s.until("another node leads", 20*election, func() bool { return s.judges[0].leaders[s.highest()] != old.id })
				s.put(s.nodes[s.judges[0].leaders[s.highest()]-1], "k0", "new")
			}
			s.gets(old, "k0", 5*time.Second)
			old.thaw()
			for range 20 {
				s.gets(old, "k0", 5*time.Second)
				s.pass(time.Millisecond)
			}
			s.pass(6 * time.Second)
			s.ends()
		}
	}
}
