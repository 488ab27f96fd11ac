package sim

import (
	"errors"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// A group of one is started again and read before anything is written.
func TestR03ALoneNodeReadsAfterItsRestart(t *testing.T) {
	s := begin(t, 1, 1)
	s.put(s.nodes[0], "k0", "kept")
	s.nodes[0].die(keepNone)
	s.nodes[0].boot()
	s.until("it serves", time.Second, s.nodes[0].serving)
	s.get(s.nodes[0], "k0", "kept")
	s.ends()
}

// The clock of a leader with a lease jumps by an hour, either way, and it is cut off:
// what it still answers must not be old. Rates stay within what a lease allows.
func TestR04ALeaseSurvivesAClockThatJumps(t *testing.T) {
	for seed := range seeds(20) {
		s := begin(t, seed, 3, func(o *Options) { o.Lease = true })
		old := s.leader()
		s.put(old, "k0", "old")
		for i, n := range s.nodes {
			n.clock.rate = []float64{0.91, 1, 1.09}[(i+int(seed))%3]
		}
		old.clock.rate = 0.91
		s.pass(election)
		s.isolate(old)
		s.get(old, "k0", "old") // that is what a lease is for
		old.clock.offset = time.Duration(1-2*int(seed%2)) * time.Hour
		for s.leading() == old {
			s.gets(old, "k0", election/4)
			s.pass(time.Millisecond)
		}
		s.put(s.leader(), "k0", "new")
		for range 20 {
			s.gets(old, "k0", election/4)
			s.pass(heartbeat)
		}
		s.ends() // a read of the old value after the new one was written is found here
	}
}

// A leader is cut off with a client beside it: errors, never a value. So is a
// candidate, before and after it has given up.
func TestR06R07WhoeverIsCutOffAnswersNoRead(t *testing.T) {
	s := begin(t, 1, 3)
	old := s.leader()
	follower := s.besides(old)[0]
	s.put(old, "k0", "old")
	for _, alone := range []*node{follower, old} {
		s.isolate(alone)
		s.pass(3 * election) // a follower asks for pre-votes, a leader steps down
		s.put(s.leader(), "k0", "new "+alone.name)
		for range 10 {
			if value, err := s.answer(s.gets(alone, "k0", election)); err == nil {
				t.Errorf("node %d, cut off, says %q", alone.id, value)
			}
		}
		s.heal()
		s.get(alone, "k0", "new "+alone.name)
	}
	s.ends()
}

// At once, too: in the time in which a leader that is cut off still takes itself for
// one, a read at it does not return before its end.
func TestR07ALeaderThatWasJustCutOffAnswersNoRead(t *testing.T) {
	s := begin(t, 1, 3)
	old := s.leader()
	s.put(old, "k0", "old")
	s.isolate(old)
	read := s.gets(old, "k0", 2*election)
	if value, err := s.answer(read); err == nil {
		t.Errorf("it says %q", value)
	}
	s.ends()
}

// A proposal that was not acknowledged and is called not done is not there later; one
// that is there was called unknown. The leader is cut off with proposals under way.
func TestR08WhatIsThereWasNotCalledNotDone(t *testing.T) {
	for seed := range seeds(20) {
		s := begin(t, seed, 3)
		old := s.leader()
		var all []*asked
		for i := range 20 {
			all = append(all, s.puts(s.nodes[i%3], "k0", string(rune('a'+i))))
			s.pass(between(s.world.rng, 0, time.Millisecond))
			if i == 10 {
				s.isolate(old)
			}
		}
		s.pass(3 * election)
		s.heal()
		for _, a := range all {
			if _, err := s.answer(a); err != nil && !errors.Is(err, quorate.ErrUnknownOutcome) && !errors.Is(err, quorate.ErrNoLeader) {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		s.ends() // the history holds each against what it was called
	}
}

// Whoever lost the majority says so within two election timeouts: it names no leader,
// itself least of all.
func TestR09NobodyClaimsToLeadWithoutAMajority(t *testing.T) {
	s := begin(t, 1, 3)
	old := s.leader()
	for _, n := range s.besides(old) {
		n.die(keepNone)
	}
	s.pass(2 * election)
	if st := s.status(old); st.Role == raft.Leader || st.Leader != 0 {
		t.Errorf("without a majority node %d says that it is a %v and that node %d leads", old.id, st.Role, st.Leader)
	}
	s.ends()
}
