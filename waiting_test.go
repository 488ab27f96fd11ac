package quorate

import (
	"context"
	"errors"
	"testing"

	"github.com/quorate-db/quorate/raft"
)

// The loop has not come to it when its context ends: it was not made, and never will be.
func TestACommandThatNobodyGotToIsNotMade(t *testing.T) {
	h, g := alone(t, t.TempDir())
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	p, err := g.waiting.open(1 << 60)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.wait(ctx, p); !errors.Is(err, ErrTooLate) || !errors.Is(err, context.Canceled) {
		t.Errorf("it says %v", err)
	}
	if err := g.waiting.made(p, 1<<40); err == nil {
		t.Error("it may still be made")
	}
}

// Until it is offered, a proposal is nobody's but its caller's: what happens to the group
// meanwhile is said then.
func TestWhatWasNotMadeIsRefusedWhenItIsOffered(t *testing.T) {
	over := errors.New("the group has stopped")
	for name, c := range map[string]struct {
		before func(*waiting)
		term   raft.Term
		want   error // nil: it may be made
	}{
		"made":               {func(*waiting) {}, 2, nil},
		"nobody leads":       {func(*waiting) {}, 0, errNotMade},
		"a later term began": {func(w *waiting) { w.applied.Term = 3 }, 2, errNotMade},
		"the group is over":  {func(w *waiting) { w.end(ErrUnknownOutcome, over) }, 2, over},
		"too many wait": {func(w *waiting) {
			for ticket := range uint64(maxWaiting) {
				w.enter(&waiter{ticket: ticket + 2}, 2)
			}
		}, 2, ErrBusy},
	} {
		var w waiting
		p, err := w.open(1)
		if err != nil {
			t.Fatal(err)
		}
		c.before(&w)
		some := []proposal{{entry: p}}
		w.offered(some, c.term)
		if made := some[0].term != 0; made != (c.want == nil) || p.settled == made || !errors.Is(p.err, c.want) {
			t.Errorf("%s: made %v, and the caller is told %v", name, made, p.err)
		}
		w.cancel(p) // the caller has gone
		if _, still := w.proposals[1]; still {
			t.Errorf("%s: it still waits", name)
		}
	}
}

// A change of the membership that was appended just before the end is made, whatever its
// caller does next: that it is not known what came of it must not become that it was refused.
func TestAChangeThatNobodyWillBeToldOfIsMade(t *testing.T) {
	var w waiting
	p, err := w.open(1)
	if err != nil {
		t.Fatal(err)
	}
	over := errors.New("the group has stopped")
	w.end(ErrUnknownOutcome, over)
	w.appended(p, raft.EntryID{Term: 2, Index: 3})
	if !errors.Is(p.err, ErrUnknownOutcome) || !errors.Is(p.err, over) {
		t.Errorf("the caller is told %v", p.err)
	}
	if !w.cancel(p) {
		t.Error("it counts as not made")
	}
	if _, err := w.open(2); !errors.Is(err, over) {
		t.Errorf("another one begins: %v", err)
	}
}

// A group that sleeps keeps nothing for those who wait, unless somebody does.
func TestAGroupThatRestsForgetsNobody(t *testing.T) {
	var w waiting
	w.enter(&waiter{ticket: 1}, 2)
	if w.rest(); w.proposals[1] == nil {
		t.Fatal("who waits is forgotten")
	}
	w.cancel(w.proposals[1])
	if w.rest(); w.proposals != nil {
		t.Fatal("memory is kept for nobody")
	}
	w.enter(&waiter{ticket: 2}, 2)
	if w.proposals[2] == nil {
		t.Fatal("nobody can wait any more")
	}
}

// What was made, and whose end nobody here will see, is not called undone: another node
// that asked for it would ask for it again.
func TestAChangeIsNotCalledUndoneByAHostThatCloses(t *testing.T) {
	h, g := alone(t, t.TempDir())
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	err := g.untilLeft(t.Context())
	if !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, ErrClosed) || encodeAnswer(err)[0] != answerUnknown {
		t.Errorf("it says %v", err)
	}
}

// Who removes a group from a host that is closed meanwhile is told so: its state machine
// takes nothing more, and would never say that it has stopped.
func TestARemovalDoesNotWaitForAHostThatIsClosed(t *testing.T) {
	h, g := alone(t, t.TempDir())
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := g.machine.finish(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("it says %v", err)
	}
}
