package quorate

import (
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
)

// pausing stands still whenever the time has been read.
type pausing struct {
	env.Env
	meanwhile func()
}

func (e pausing) Now() time.Time {
	defer e.meanwhile()
	return e.Env.Now()
}

type deaf struct{ Transport }

func (deaf) Send([]codec.Envelope) {}

// RD3: what comes while the process stands still behind a look at the clock is not dealt
// with by that look: a lease that was valid then may have ended.
func TestWhatComesAfterALookAtTheClockWaitsForTheNext(t *testing.T) {
	h := &Host{inbox: newInbox(), disk: &writer{}, peers: deaf{}}
	came, done := 0, 0
	h.cfg.Env = pausing{env.Real(), func() {
		came++
		h.inbox.do(func() { done++ })
	}}
	for range 3 {
		before := came
		h.turn(false)
		if came == before || done != before {
			t.Fatalf("%d came before the turn looked at the clock, %d since, %d were dealt with", before, came-before, done)
		}
	}
}

func TestProposalsWaitWhileAWriteIsUnderWay(t *testing.T) {
	var g gate
	for i, step := range []struct {
		current, written, ticks uint64
		open                    bool
		why                     string
	}{
		{0, 0, 0, true, "nothing is being written"},
		{0, 0, 0, true, "still nothing"},
		{1, 0, 0, false, "the first write has begun"},
		{2, 1, 0, true, "it has ended, and the second has begun"},
		{2, 1, 0, false, "the second is under way"},
		{2, 1, 1, true, "for a whole tick"},
		{2, 1, 1, false, "within the next tick"},
		{0, 2, 1, true, "nothing is being written"},
	} {
		if got := g.open(step.current, step.written, step.ticks); got != step.open {
			t.Errorf("step %d, %s: open is %t", i, step.why, got)
		}
	}
}

// RD3: a lease is counted in ticks, so that a process which stood still, or whose clock was
// set back, must be told that one is late.
func TestALateTickIsNoticed(t *testing.T) {
	const tick = 100 * time.Millisecond
	last := time.Now().Round(0) // as simulated clocks are, without another one behind it
	for _, c := range []struct {
		after time.Duration
		late  bool
	}{{0, false}, {tick, false}, {tick + tick/4, false}, {tick + tick/4 + 1, true}, {time.Hour, true}, {-1, true}} {
		l := &loop{ticked: last}
		if got := l.late(last.Add(c.after), tick); got != c.late {
			t.Errorf("%v after the last tick it is late: %t", c.after, got)
		}
	}
}
