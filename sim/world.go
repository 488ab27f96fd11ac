package sim

import (
	"errors"
	"math/rand/v2"
	"time"
)

// world is simulated time and what is going to happen in it.
type world struct {
	now     time.Duration // since the beginning
	rng     *rand.Rand    // for what belongs to no process
	events  agenda
	spare   []*event // to be used again
	seq     uint64
	running *task     // the one that runs; nil between events
	idle    []*thread // to be used again
	failure error     // the first violation, which ends the run
	steps   uint64
	still   int // events since time last went on
	stop    <-chan struct{}
	sum     uint64 // of everything that has happened, in order
}

func newWorld(seed uint64) *world {
	return &world{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// event is something that will happen: to a process, unless that has died by then,
// or, if that is nil, to the world.
type event struct {
	at   time.Duration
	seq  uint64 // of two at the same time, the one planned first
	who  *process
	life uint64 // of the process, when this was planned

	do    func()
	timer *timer // fires, if it is not nil
	round uint64 // of the timer
}

func (e *event) happen() {
	if e.timer != nil {
		e.timer.fire(e.round)
	} else {
		e.do()
	}
}

// agenda is the events to come, the next one first.
type agenda []*event

func (e *event) before(other *event) bool {
	return e.at < other.at || e.at == other.at && e.seq < other.seq
}

// push and pop keep a heap: no event comes before that at half of its place. Package
// container/heap does it by calls through an interface, which every profile showed.
func (a *agenda) push(e *event) {
	h := append(*a, e)
	*a = h
	at := len(h) - 1
	for at > 0 {
		up := (at - 1) / 2
		if !e.before(h[up]) {
			break
		}
		h[at] = h[up]
		at = up
	}
	h[at] = e
}

func (a *agenda) pop() *event {
	h := *a
	first, e := h[0], h[len(h)-1]
	h[len(h)-1] = nil
	h = h[:len(h)-1]
	*a = h
	if len(h) == 0 {
		return first
	}
	at := 0
	for {
		down := 2*at + 1
		if down >= len(h) {
			break
		}
		if down+1 < len(h) && h[down+1].before(h[down]) {
			down++
		}
		if !h[down].before(e) {
			break
		}
		h[at] = h[down]
		at = down
	}
	h[at] = e
	return first
}

// after plans something for later; who may be nil.
func (w *world) after(d time.Duration, who *process, do func()) {
	w.plan(d, who, event{do: do})
}

func (w *world) plan(d time.Duration, who *process, what event) {
	w.seq++
	what.at, what.seq, what.who = w.now+max(0, d), w.seq, who
	if who != nil {
		what.life = who.life
	}
	e := w.blank()
	*e = what
	w.events.push(e)
}

// ErrStopped is what a run ends with whose Setup.Stop was closed.
var ErrStopped = errors.New("sim: the run was stopped")

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// maxStill is how many events may happen at one moment.
const maxStill = 1 << 20

func (w *world) blank() *event {
	last := len(w.spare) - 1
	if last < 0 {
		return new(event)
	}
	e := w.spare[last]
	w.spare = w.spare[:last]
	return e
}

// step lets the next event happen. It reports false if there is none before the
// given time, or the run has failed.
func (w *world) step(until time.Duration) bool {
	if w.failure != nil || len(w.events) == 0 || w.events[0].at > until {
		return false
	}
	next := w.events.pop()
	e := *next
	*next = event{}
	w.spare = append(w.spare, next)
	if w.still++; e.at > w.now {
		w.now, w.still = e.at, 0
	} else if w.still > maxStill {
		w.fail(broken("I20", "at %v time stands still: %d events, and no end", w.now, w.still))
		return false
	}
	if w.steps++; w.steps%1024 == 0 && stopped(w.stop) {
		w.fail(ErrStopped)
		return false
	}
	switch p := e.who; {
	case p == nil:
		e.happen()
	case p.life != e.life || !p.alive:
	case p.frozen:
		p.late = append(p.late, e)
	default:
		e.happen()
		p.settle()
	}
	return true
}

// runUntil lets everything happen that is to happen up to a time.
func (w *world) runUntil(until time.Duration) {
	for w.step(until) {
	}
	if w.failure == nil {
		w.now = max(w.now, until)
	}
}

// fail ends the run with its first violation.
func (w *world) fail(err error) {
	if w.failure == nil && err != nil {
		w.failure = err
	}
}

// mix adds to the sum of everything that has happened.
func (w *world) mix(values ...uint64) {
	for _, v := range values {
		w.sum = (w.sum ^ v) * 0x100000001b3
		w.sum ^= w.sum >> 29
	}
}

// chance reports true with the given probability.
func chance(rng *rand.Rand, p float64) bool { return p > 0 && rng.Float64() < p }

// between draws a duration.
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(rng.Int64N(int64(most-least)))
}
