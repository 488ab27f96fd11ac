package quorate

import (
	"log/slog"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Whatever pieces come, over a while no more passes than the rate; and what comes after a
// pause does not make up for it.
func TestThePaceIsKept(t *testing.T) {
	const rate, piece = 1 << 20, 64 << 10
	now := time.Unix(1000, 0)
	began := now
	var p pace
	send := func(pieces int) (took time.Duration) {
		before := now
		for range pieces {
			now = now.Add(p.take(now, piece, rate))
		}
		return now.Sub(before)
	}
	if took := send(160); took < 9900*time.Millisecond || took > 10*time.Second {
		t.Errorf("10 MiB took %v at 1 MiB a second", took)
	}
	now = now.Add(time.Minute)
	if took := send(32); took < 1900*time.Millisecond {
		t.Errorf("2 MiB after a pause took %v at 1 MiB a second", took)
	}
	now = began.Add(-30 * time.Second) // the clock was set
	if took := send(16); took > time.Second {
		t.Errorf("1 MiB took %v after the clock was set back", took)
	}
}

// No more snapshots than that are under way at once, and each that ends lets another
// begin. One follower never has all of them: it might keep them for ever.
func TestSoManySnapshotsAreSentAtOnce(t *testing.T) {
	var s sending
	for i := range maxSending {
		if err := s.begin(NodeID(2 + i/maxSendingTo)); err != nil {
			t.Fatal(err)
		}
		if to := NodeID(2 + i/maxSendingTo); i%maxSendingTo == maxSendingTo-1 && s.begin(to) == nil {
			t.Fatalf("one more was sent to node %d", to)
		}
	}
	for range 2 {
		if s.begin(9) == nil {
			t.Fatal("one more was sent")
		}
	}
	s.end(2)
	if err := s.begin(9); err != nil {
		t.Fatal(err)
	}
}

// unseen is a state of which nobody should take a view.
type unseen struct {
	StateMachine
	t *testing.T
}

func (u unseen) Snapshot() (View, error) {
	u.t.Error("a view was taken")
	return nil, errManySnapshots
}

// With a thousand groups most are turned away at first: that must not cost a view each.
func TestWhoIsTurnedAwayTakesNoView(t *testing.T) {
	h := &Host{cfg: Config{Env: env.Real(), Logger: slog.New(slog.DiscardHandler)}, inbox: newInbox()}
	h.life.ctx = t.Context()
	g := newGroup(h, GroupConfig{ID: 1, StateMachine: unseen{nil, t}})
	h.groups.add([]*Group{g})
	for range maxSendingTo {
		if err := h.sending.begin(2); err != nil {
			t.Fatal(err)
		}
	}
	h.sendSnapshot(codec.Envelope{Group: 1, Message: raft.Message{To: 2, Snapshot: &raft.Snapshot{ID: raft.EntryID{Term: 1, Index: 9}}}})
	h.running.Wait(h.cfg.Env)
	for _, task := range h.inbox.waiting.tasks {
		task()
	}
	if len(g.sending) > 0 || h.sending.open != maxSendingTo {
		t.Errorf("transfers %v, %d under way", g.sending, h.sending.open)
	}
}

// lone returns a core that is its group's only member, with so many commands applied.
func lone(t *testing.T, commands int) *raft.Raft {
	saved, err := raft.Bootstrap(membership.New(Member{ID: 1, Role: Voter}))
	if err != nil {
		t.Fatal(err)
	}
	core, err := raft.New(raft.Config{ID: 1}, saved)
	if err != nil {
		t.Fatal(err)
	}
	core.Campaign()
	for range commands + 2 {
		fx := core.Take()
		core.Persisted(fx.WriteID)
		_, _ = core.Propose([]byte("x")) // refused before it leads
	}
	core.Persisted(core.Take().WriteID)
	core.Applied(core.Status().Commit)
	return core
}

// The log is kept for a transfer for as long as what it holds would do; once it has gone
// past that, keeping it helps nobody.
func TestTheLogIsKeptOnlyForWhomItWouldHelp(t *testing.T) {
	core := lone(t, 60)
	transfers := snapshots{2: {at: 20}, 3: {at: 30}}
	for _, step := range []struct{ upTo, kept raft.Index }{
		{10, 10}, {25, 20}, {50, 20}, {60, 20}, {61, 61}, {62, 62},
	} {
		got := transfers.pinned(core, step.upTo, 40, 1<<20)
		if err := core.Compact(got); err != nil || got != step.kept {
			t.Fatalf("up to %d: compacted up to %d and not %d (%v)", step.upTo, got, step.kept, err)
		}
	}
}
