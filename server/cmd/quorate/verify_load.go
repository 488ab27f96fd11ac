package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/client"
)

// verifyLoad is the clients of one run, and what they saw.
type verifyLoad struct {
	prefix    string // of this run alone, so that every key begins absent
	keys      int
	seed      uint64
	stale     bool
	timeout   time.Duration // of one operation
	interval  time.Duration // between two operations of one client
	begin     time.Time     // all times are since then, on the monotonic clock
	left      atomic.Int64  // operations
	endpoints []*target
	workers   []*worker
}

// target is an endpoint, which is always asked by itself.
type target struct {
	url    string
	client *client.Client
	newest atomic.Uint64 // the latest revision that a stale read saw here
}

// worker is one client: it makes one call after the other.
type worker struct {
	load     *verifyLoad
	rng      *rand.Rand
	number   int // of the client; a new one after each call that stays open
	values   int // written so far
	seen     map[string]uint64
	history  []linear.Operation
	failed   map[string]int // operations that were certainly not carried out, by reason
	stale    int            // reads
	wentBack int
}

func (v *verification) newLoad() (*verifyLoad, error) {
	urls, err := client.New(v.config(v.endpoints))
	if err != nil {
		return nil, usageError{fmt.Errorf("--endpoints: %w", err)}
	}
	v.endpoints = urls.Endpoints()
	l := &verifyLoad{
		prefix: fmt.Sprintf("%s%08x/", v.prefix, rand.Uint32()), keys: v.keys, seed: v.seed, stale: v.stale,
		timeout: v.timeout, begin: time.Now(),
	}
	if v.rate > 0 {
		l.interval = time.Duration(float64(v.clients) / v.rate * float64(time.Second))
	}
	l.left.Store(int64(v.limit))
	for _, url := range v.endpoints {
		c, err := client.New(v.config([]string{url}))
		if err != nil {
			return nil, err
		}
		l.endpoints = append(l.endpoints, &target{url: url, client: c})
	}
	for i := range v.clients + len(l.endpoints) { // the last ones make the last reads
		l.workers = append(l.workers, &worker{
			load: l, number: i, rng: rand.New(rand.NewPCG(v.seed, uint64(i)+1)),
			seen: map[string]uint64{}, failed: map[string]int{},
		})
	}
	return l, nil
}

func (l *verifyLoad) close() {
	for _, e := range l.endpoints {
		e.client.Close()
	}
}

func (l *verifyLoad) key(i int) string { return fmt.Sprint(l.prefix, i) }

func (l *verifyLoad) now() int64 { return int64(time.Since(l.begin)) }

// clients are those of the load, readers those of the last reads.
func (l *verifyLoad) clients() []*worker { return l.workers[:len(l.workers)-len(l.endpoints)] }
func (l *verifyLoad) readers() []*worker { return l.workers[len(l.workers)-len(l.endpoints):] }

// run works until the context ends or all operations are used up. Calls under way
// then come to their end.
func (l *verifyLoad) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range l.clients() {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
}

// refusedPause keeps a client from spinning while a node is down.
const refusedPause = 20 * time.Millisecond

func (w *worker) run(ctx context.Context) {
	for next := time.Now(); ctx.Err() == nil && w.load.left.Add(-1) >= 0; {
		served := w.act()
		next = next.Add(w.load.interval)
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
	at := w.load.endpoints[w.rng.IntN(len(w.load.endpoints))]
	o := linear.Operation{Key: w.load.key(w.rng.IntN(w.load.keys))}
	switch k := w.rng.IntN(100); {
	case k < 10 && w.load.stale:
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
	ctx, cancel := context.WithTimeout(context.Background(), w.load.timeout)
	defer cancel()
	o.Client, o.Endpoint, o.Outcome = w.number, at.url, linear.OK
	o.Call = w.load.now()
	err := carryOut(ctx, at.client, &o)
	o.Return = w.load.now()
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

// learn notes what the next condition on the key may name.
func (w *worker) learn(o *linear.Operation) {
	switch {
	case o.Outcome == linear.OK && o.Kind != linear.Delete:
		w.seen[o.Key] = o.Revision
	case o.Outcome == linear.Absent, o.Outcome == linear.OK:
		delete(w.seen, o.Key)
	}
}

// carryOut calls the cluster and fills in its answer.
func carryOut(ctx context.Context, c *client.Client, o *linear.Operation) (err error) {
	var conditions []client.Condition
	if o.IfMatch != 0 {
		conditions = append(conditions, client.IfRevision(o.IfMatch))
	}
	if o.IfAbsent {
		conditions = append(conditions, client.IfAbsent())
	}
	switch o.Kind {
	case linear.Get:
		var v client.Value
		v, err = c.Get(ctx, []byte(o.Key))
		o.Value, o.Revision, o.Store = string(v.Bytes), v.ModRevision, v.Revision
	case linear.Put:
		o.Revision, err = c.Put(ctx, []byte(o.Key), []byte(o.Value), conditions...)
	case linear.Delete:
		var deleted bool
		deleted, o.Revision, err = c.Delete(ctx, []byte(o.Key), conditions...)
		if err == nil && !deleted {
			o.Outcome = linear.Absent
		}
	}
	return err
}

// explained turns an error into an outcome, if the operation is part of the
// history in spite of it; otherwise it was certainly not carried out.
func explained(o *linear.Operation, err error) bool {
	var answered *client.Error
	switch {
	case o.Kind == linear.Get && errors.Is(err, client.ErrNotFound):
		o.Outcome = linear.Absent
	case o.Kind == linear.Get:
		return false
	case errors.Is(err, client.ErrUnknownOutcome):
		o.Outcome = linear.Unknown
	case errors.Is(err, client.ErrPreconditionFailed):
		o.Outcome = linear.Refused
	case errors.Is(err, client.ErrUnavailable), errors.As(err, &answered):
		return false
	default:
		o.Outcome = linear.Unknown // an answer that says nothing
	}
	return true
}

// excuse names why nothing was done in the word of the server's problem.
func excuse(err error) string {
	var answered *client.Error
	switch {
	case errors.As(err, &answered) && answered.Code != "":
		return string(answered.Code)
	case errors.Is(err, client.ErrUnavailable):
		return "no answer"
	default:
		return "no answer of quorate's"
	}
}

// readStale reads what an endpoint has. All that is asked of it is not to go back.
func (w *worker) readStale(at *target, key string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), w.load.timeout)
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

// settleTime is how long a node that was struck may take to serve again.
const settleTime = 15 * time.Second

// lastReads reads every key at every endpoint, so that a write that was lost at
// the very end shows too. A cluster that never served has nothing to lose.
func (l *verifyLoad) lastReads(ctx context.Context) {
	if !slices.ContainsFunc(l.collect(), func(o linear.Operation) bool { return o.Outcome != linear.Unknown }) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	var wg sync.WaitGroup
	for i, w := range l.readers() {
		wg.Go(func() {
			for k := range l.keys {
				for !w.call(l.endpoints[i], linear.Operation{Kind: linear.Get, Key: l.key(k)}) {
					if !pause(ctx, 10*refusedPause) {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// removeKeys removes the keys of this run. A key that stays, because no node
// serves, disturbs nobody: the next run takes others.
func (l *verifyLoad) removeKeys() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for k := range l.keys {
		for _, e := range l.endpoints {
			ctx, cancel := context.WithTimeout(ctx, l.timeout)
			_, _, err := e.client.Delete(ctx, []byte(l.key(k)))
			cancel()
			if err == nil {
				break
			}
		}
	}
}

// collect returns what all clients saw.
func (l *verifyLoad) collect() (history []linear.Operation) {
	for _, w := range l.workers {
		history = append(history, w.history...)
	}
	return history
}
