package sim

import (
	"time"

	"github.com/quorate-db/quorate/env"
)

// clock is how a process sees time: its own may run faster or slower than the
// world's, and jump.
type clock struct {
	rate   float64       // of its seconds to the world's; 1 is right
	offset time.Duration // it is ahead by so much
}

// epoch is when every simulation begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Now implements [env.Clock].
func (p *process) Now() time.Time {
	return epoch.Add(time.Duration(float64(p.world.now)*p.clock.rate) + p.clock.offset)
}

// span returns how long the world waits for so much of the process's time.
func (c *clock) span(d time.Duration) time.Duration { return time.Duration(float64(d) / c.rate) }

// Uint64 implements [env.Random].
func (p *process) Uint64() uint64 { return p.rng.Uint64() }

// timer is a timer or, with a period, a ticker.
type timer struct {
	who    *process
	period time.Duration // of the process's time
	round  uint64        // counts the starts: a firing of an earlier one is void
	fired  bool          // and nobody has taken note
}

// NewTimer implements [env.Clock].
func (p *process) NewTimer(d time.Duration) env.Timer {
	t := &timer{who: p}
	t.Reset(d)
	return t
}

// NewTicker implements [env.Clock].
func (p *process) NewTicker(d time.Duration) env.Timer {
	t := &timer{who: p, period: d}
	t.Reset(d)
	return t
}

// C implements [env.Timer], for nobody: who waits for a channel by himself holds up everybody.
func (t *timer) C() <-chan time.Time {
	panic("sim: a simulated timer is waited for with Wait, not by its channel")
}

func (t *timer) Reset(d time.Duration) {
	t.Stop()
	t.start(d)
}

func (t *timer) start(d time.Duration) {
	t.who.world.plan(t.who.clock.span(d), t.who, event{timer: t, round: t.round})
}

func (t *timer) fire(round uint64) {
	if t.round != round {
		return
	}
	t.fired = true
	if t.period > 0 {
		t.start(t.period)
	}
}

func (t *timer) Stop() {
	t.round++
	t.fired = false
}

// sleep lets the running task wait.
func (p *process) sleep(d time.Duration) {
	if p.world.running == nil {
		p.Wait(nil, nil, nil, nil) // who is being unwound goes no further
	}
	t := &p.world.running.thread.nap
	t.who = p
	t.Reset(d)
	defer t.Stop()
	p.Wait(t, nil, nil, nil)
}

var _ env.Env = (*process)(nil)
