package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/client"
)

// worker is one client: it makes one call after the other.
type worker struct {
	load      *Load
	rng       *rand.Rand
	number    int // of the client; a new one after each call that stays open
	inSession bool
	session   *client.Session // nil while none is open
	values    int             // written so far
	seen      map[string]uint64
	history   []linear.Operation
	failed    map[string]int // operations that were certainly not carried out, by reason
	stale     int            // reads
	wentBack  int
}

// refusedPause keeps a client from spinning while a node is down.
const refusedPause = 20 * time.Millisecond

func (w *worker) run(ctx context.Context) {
	interval := w.load.interval()
	for next := time.Now(); ctx.Err() == nil && w.load.left.Add(-1) >= 0; {
		served := w.act()
		next = next.Add(interval)
		if behind := time.Since(next); behind > 0 {
			next = next.Add(behind) // what a stall has cost is not made up for in a burst
		}
		wait := time.Until(next)
		if !served {
			wait = max(wait, refusedPause)
		}
		if wait > 0 && !pause(ctx, wait) {
			return
		}
	}
}

// act does one operation, drawn at random, and reports whether it was answered.
func (w *worker) act() bool {
	at := w.load.targets[w.rng.IntN(len(w.load.targets))]
	o := linear.Operation{Key: w.load.key(w.rng.IntN(w.load.Keys))}
	switch k := w.rng.IntN(100); {
	case k < 10 && w.load.Stale:
		return w.readStale(at, o.Key)
	case k < 45:
		o.Kind = linear.Get
	case k < 70:
		o.Kind = linear.Put
	case k < 88:
		o.Kind, o.IfMatch = linear.Put, w.seen[o.Key]
		o.IfAbsent = o.IfMatch == 0
	case k < 94:
		o.Kind = linear.Delete
	default:
		o.Kind, o.IfMatch = linear.Delete, w.seen[o.Key]
	}
	if o.Kind == linear.Put {
		w.values++
		o.Value = fmt.Sprintf("%d.%d", w.number, w.values)
	}
	return w.call(at, o)
}

// call carries an operation out and keeps what came of it. It reports whether it
// was answered.
func (w *worker) call(at *target, o linear.Operation) bool {
	// Not the run's context: a call that was cut short is one more that is open.
	ctx, cancel := context.WithTimeout(context.Background(), w.load.Timeout)
	defer cancel()
	o.Client, o.Endpoint, o.Outcome = w.number, at.url, linear.OK
	if w.inSession && o.Kind != linear.Get {
		if !w.openSession(ctx) {
			return false
		}
		o.Endpoint = "in a session"
	}
	o.Call = w.load.now()
	err := w.carryOut(ctx, at.client, &o)
	o.Return = w.load.now()
	if errors.Is(err, client.ErrSessionExpired) {
		w.session = nil
	}
	if err != nil && !explained(&o, err) {
		w.failed[excuse(err)]++
		return false
	}
	if o.Outcome == linear.Unknown {
		o.Return = 0
		w.number += len(w.load.workers)
	}
	w.learn(&o)
	w.history = append(w.history, o)
	return o.Outcome != linear.Unknown
}

// openSession reports whether there is a session to write in.
func (w *worker) openSession(ctx context.Context) bool {
	if w.session != nil {
		return true
	}
	s, err := w.load.all.OpenSession(ctx)
	if err != nil {
		w.failed[excuse(err)]++
		return false
	}
	w.session = s
	return true
}

// learn notes what the next condition on the key may name.
func (w *worker) learn(o *linear.Operation) {
	switch {
	case o.Outcome == linear.OK && o.Kind != linear.Delete:
		w.seen[o.Key] = o.Revision
	case o.Outcome == linear.Absent, o.Outcome == linear.OK:
		delete(w.seen, o.Key)
	}
}

// readStale reads what an endpoint has. All that is asked of it is not to go back.
func (w *worker) readStale(at *target, key string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.load.Timeout)
	defer cancel()
	before := at.newest.Load()
	v, err := at.client.Get(ctx, []byte(key), client.Stale())
	if errors.Is(err, client.ErrNotFound) {
		return true // which does not tell a revision
	}
	if err != nil {
		w.failed[excuse(err)]++
		return false
	}
	w.stale++
	if v.Revision < before {
		w.wentBack++
	}
	for had := before; had < v.Revision && !at.newest.CompareAndSwap(had, v.Revision); {
		had = at.newest.Load()
	}
	return true
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
