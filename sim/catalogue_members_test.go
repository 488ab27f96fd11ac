package sim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

func spares(count int) func(*Options) { return func(o *Options) { o.Spares = count } }

// The node that began the group alone starts again and replays how the others came to
// be members. It is cut off, and must not elect itself by what was true at first.
func TestM06WhoBeganAloneDoesNotElectItself(t *testing.T) {
	for _, quick := range []uint64{1000, 5} { // with the whole log, and with a snapshot
		s := begin(t, 1, 1, spares(2), func(o *Options) { o.SnapshotEntries = quick })
		first := s.nodes[0]
		s.join(first, s.nodes[1])
		s.join(first, s.nodes[2])
		s.fill(first, 5, 10)
		first.die(keepNone)
		s.isolate(first)
		first.boot()
		for range 100 {
			s.pass(election / 2)
			if first.leads {
				t.Fatal("it leads")
			}
		}
		s.put(s.leader(), "k0", "by the others")
		s.ends()
	}
}

// Nodes join, are promoted, demoted and removed while nodes die; at rest all members
// agree on who they are, and that is the last configuration that was committed.
func TestM09MembersAgreeOnWhoTheyAre(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3, spares(3), func(o *Options) { o.SnapshotEntries = 7 })
		for round := range 12 {
			doMember(s.run, &Action{Pick: seed*100 + uint64(round)}, s.leader())
			s.pass(between(s.world.rng, 0, election))
			n := s.nodes[s.world.rng.IntN(len(s.nodes))]
			n.die(survivals[s.world.rng.IntN(len(survivals))])
			s.pass(between(s.world.rng, 0, election))
			n.boot()
		}
		s.ends()
		truth := s.status(s.leader())
		for _, m := range truth.Config.Members {
			got := s.status(s.nodes[m.ID-1])
			if !slices.Equal(got.Config.Members, truth.Config.Members) || got.ConfigIndex != truth.ConfigIndex {
				t.Errorf("seed %d: node %d takes %v since %d for the members; they are %v since %d",
					seed, m.ID, got.Config, got.ConfigIndex, truth.Config, truth.ConfigIndex)
			}
		}
		if truth.Commit < truth.ConfigIndex {
			t.Errorf("seed %d: at rest the change at %d is not committed", seed, truth.ConfigIndex)
		}
	}
}

// A removed member starts again with its old disk: it raises no term, is sent nothing,
// and what it answers counts for nobody.
func TestM13ARemovedMemberWithItsOldDiskStaysOutside(t *testing.T) {
	s := begin(t, 1, 3)
	leader := s.leader()
	gone, stays := s.besides(leader)[0], s.besides(leader)[1]
	gone.die(keepAll)
	if err := s.change(leader, remove(gone)); err != nil {
		t.Fatal(err)
	}
	s.fill(leader, 3, 10)
	had := gone.last
	gone.boot()
	s.pass(30 * election)
	stays.die(keepNone) // of the two that are left, one is no majority, whoever else is there
	late := s.puts(leader, "k0", "with a stranger's help")
	s.pass(5 * election)
	if late.over && late.err == nil {
		t.Error("the removed member's acknowledgement counted")
	}
	if gone.leads || gone.last > had {
		t.Errorf("the removed member leads: %v; its log ends at %d, at the removal at %d", gone.leads, gone.last, had)
	}
	s.ends()
}

// Two administrators act at once, on different nodes, through joint configurations and
// with a leader that falls: nobody is left between two configurations.
func TestM15TwoAdministratorsLeaveNobodyBetween(t *testing.T) {
	for seed := range seeds(10) {
		s := begin(t, seed, 3, spares(2))
		leader := s.leader()
		a, b := s.nodes[3], s.nodes[4]
		wishes := []raft.Reconfiguration{
			{Joint: true, Changes: []membership.Change{add(a), remove(s.besides(leader)[0])}},
			{Joint: true, Changes: []membership.Change{add(b), remove(s.besides(leader)[1])}},
		}
		for i, wish := range wishes {
			s.asks(s.nodes[i], 10*time.Second, func(ctx context.Context, g *quorate.Group) (any, error) { return nil, g.Reconfigure(ctx, wish) })
		}
		s.pass(time.Duration(seed) * 300 * time.Microsecond)
		leader.die(keepSome)
		s.pass(election)
		s.ends()
		if st := s.status(s.leader()); st.Config.Joint() {
			t.Errorf("seed %d: at rest the members are %v", seed, st.Config)
		}
	}
}

// A target that is cut off, that lags or that has no vote is not handed over to; the
// leader takes proposals again within an election timeout.
func TestT04ATransferThatComesToNothingEnds(t *testing.T) {
	s := begin(t, 1, 3, spares(1))
	leader := s.leader()
	if err := s.change(leader, add(s.nodes[3])); err != nil {
		t.Fatal(err)
	}
	target := s.besides(leader)[0]
	for _, c := range []struct {
		name  string
		to    *node
		cause func()
	}{
		{"a learner", s.nodes[3], func() {}},
		{"cut off", target, func() { s.isolate(target) }},
		{"lags", target, func() { target.disk.stalled = s.world.now + 5*election }},
	} {
		c.cause()
		s.puts(leader, "k1", c.name)
		moved := s.asks(leader, 10*time.Second, func(ctx context.Context, g *quorate.Group) (any, error) { return nil, g.Transfer(ctx, c.to.id) })
		s.pass(heartbeat)
		write := s.puts(leader, "k0", c.name)
		s.until("it is written", 2*election, func() bool { return write.over })
		if _, err := s.answer(moved); err == nil || write.err != nil || s.leading() != leader {
			t.Errorf("%s: the transfer ended with %v, the write with %v, and node %d leads", c.name, err, write.err, s.leading().id)
		}
		s.heal()
		s.pass(10 * election)
	}
	s.ends()
}

// Leadership moves a thousand times while clients write: each time it is over, one way
// or the other, within two election timeouts, and nobody is answered wrongly.
func TestT01T02AThousandTransfersUnderLoad(t *testing.T) {
	s := begin(t, 1, 3, func(o *Options) { o.Clients, o.Think = 4, Duration(5*time.Millisecond) })
	s.load()
	done := 0
	for round := range 1000 {
		leader := s.leading()
		if leader == nil {
			leader = s.leader()
		}
		to := s.besides(leader)[round%2]
		moved := s.asks(leader, 2*election, func(ctx context.Context, g *quorate.Group) (any, error) { return nil, g.Transfer(ctx, to.id) })
		s.until("the transfer ends", 2*election+10*time.Millisecond, func() bool { return moved.over })
		switch {
		case moved.err == nil:
			done++
		case !errors.Is(moved.err, quorate.ErrNotTakenOver):
			t.Fatalf("transfer %d: %v", round, moved.err)
		}
		if round%10 == 0 {
			s.put(s.nodes[round/10%3], "k0", time.Duration(round).String())
		}
	}
	if done < 900 {
		t.Errorf("%d of 1,000 transfers were completed", done)
	}
	s.ends()
}
