package quorate

import (
	"context"
	"errors"
	"testing"

	"github.com/quorate-db/quorate/raft"
)

func TestWarningsAreFew(t *testing.T) {
	var w warnings
	given := 0
	for tick := range uint64(10 * warnTicks) {
		if w.mayWarn(tick) {
			given++
		}
	}
	if given != 10 {
		t.Errorf("%d warnings", given)
	}
}

// A group that stops takes what was timed in it along: the others would be looked at for
// its sake for ever.
func TestAGroupThatStopsIsTimedNoLonger(t *testing.T) {
	h, g := alone(t, t.TempDir())
	g.sample.begin(h, 1<<60)
	if h.vitals.timed.Load() != 1 {
		t.Fatal("it is not timed")
	}
	var broken raft.Violation
	if err := g.do(func(core *raft.Raft) error { core.Persisted(1 << 40); return nil }); !errors.As(err, &broken) {
		t.Fatal(err)
	}
	<-g.Stopped()
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := h.vitals.timed.Load(); n != 0 {
		t.Errorf("%d are", n)
	}
}

// What comes too short or too large from another node never reaches the core or the
// state machine, however much its sender allows.
func TestWhatAnotherNodeAsksForHasBounds(t *testing.T) {
	h, g := alone(t, t.TempDir())
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	if err := decodeAnswer(g.answerFor(make([]byte, h.cfg.MaxCommandBytes+1))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a question that is too large: %v", err)
	}
	before := g.Status().Last
	for size, want := range map[int]byte{0: answerFailed, ticketSize - 1: answerFailed, h.cfg.MaxCommandBytes + ticketSize + 1: 2} {
		g.proposeFor(1, make([]byte, size), func(answer []byte) {
			if answer[0] != want {
				t.Errorf("a command of %d bytes and its ticket is answered %d, want %d", size, answer[0], want)
			}
		})
	}
	if after := g.Status().Last; after != before {
		t.Errorf("the log went on from %v to %v", before, after)
	}
}
