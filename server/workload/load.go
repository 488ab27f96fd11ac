package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/client"
)

// Config says what the clients do.
type Config struct {
	Clients   int           // how many work at once
	Sessions  int           // how many of them write in sessions, through all endpoints
	Keys      int           // how many they share at a time
	Turn      time.Duration // after how long the keys are left for new ones, so that no key's history grows long; zero: never
	Rate      float64       // operations a second of all clients together; zero: as fast as they can
	Limit     int           // operations
	Timeout   time.Duration // of one operation
	Prefix    string        // what the keys begin with
	Seed      uint64        // of what is drawn at random
	Stale     bool          // also read stale
	Endpoints []string      // client URLs
	Caller    client.Config // how they call, and as whom; the rest of it is decided here
}

// Load is the clients of one run, and what they saw.
type Load struct {
	Config
	begin   time.Time    // all times are since then, on the monotonic clock
	left    atomic.Int64 // operations
	turns   atomic.Int64 // how often the keys have been left
	targets []*target
	all     *client.Client // of all endpoints
	workers []*worker
}

// target is an endpoint, which is always asked by itself.
type target struct {
	url    string
	client *client.Client
	newest atomic.Uint64 // the latest revision that a stale read saw here
}

// New returns a load that has not begun. Its only errors are endpoints that are no
// URLs. Close it at the end.
func New(cfg Config) (*Load, error) {
	l := &Load{Config: cfg, begin: time.Now()}
	l.Prefix = fmt.Sprintf("%s%08x/", cfg.Prefix, rand.Uint32())
	l.left.Store(int64(cfg.Limit))
	var err error
	// Who works in a session tries until the time is up, as a service does.
	patient := cfg.Caller
	patient.Endpoints, patient.Timeout, patient.FailFast = cfg.Endpoints, cfg.Timeout, false
	if l.all, err = client.New(patient); err != nil {
		return nil, err
	}
	l.Endpoints = l.all.Endpoints()
	for _, url := range l.Endpoints {
		quick := patient
		quick.Endpoints, quick.FailFast = []string{url}, true
		c, err := client.New(quick)
		if err != nil {
			return nil, err
		}
		l.targets = append(l.targets, &target{url: url, client: c})
	}
	for i := range cfg.Clients + len(l.targets) { // the last ones make the last reads
		l.workers = append(l.workers, &worker{
			load: l, number: i, rng: rand.New(rand.NewPCG(cfg.Seed, uint64(i)+1)),
			inSession: i < cfg.Sessions, seen: map[string]uint64{}, failed: map[string]int{},
		})
	}
	return l, nil
}

// Close closes idle connections.
func (l *Load) Close() {
	l.all.Close()
	for _, at := range l.targets {
		at.client.Close()
	}
}

// key names a key of the turn that it is now.
func (l *Load) key(i int) string {
	if l.Turn > 0 {
		turn := int64(time.Since(l.begin) / l.Turn)
		for had := l.turns.Load(); had < turn && !l.turns.CompareAndSwap(had, turn); {
			had = l.turns.Load()
		}
		i += l.Keys * int(turn)
	}
	return fmt.Sprint(l.Prefix, i)
}

// keys names all keys that may have been used.
func (l *Load) keys() []string {
	all := make([]string, l.Keys*int(l.turns.Load()+1))
	for i := range all {
		all[i] = fmt.Sprint(l.Prefix, i)
	}
	return all
}

func (l *Load) now() int64 { return int64(time.Since(l.begin)) }

// interval is the time between two operations of one client.
func (l *Load) interval() time.Duration {
	if l.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(l.Clients) / l.Rate * float64(time.Second))
}

// Run works until the context ends or all operations are used up. Calls under way
// then come to their end.
func (l *Load) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range l.workers[:l.Clients] {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
}

// LastReads reads every key at every endpoint, so that a write that was lost at
// the very end shows too, and returns how many of these reads had no answer before
// the context ended. A cluster that never served has nothing to lose.
func (l *Load) LastReads(ctx context.Context) (unread int) {
	if !slices.ContainsFunc(l.History(), func(o linear.Operation) bool { return o.Outcome != linear.Unknown }) {
		return 0
	}
	keys := l.keys()
	var wg sync.WaitGroup
	var missing atomic.Int64
	for i, w := range l.workers[l.Clients:] {
		wg.Go(func() {
			for k, key := range keys {
				for !w.call(l.targets[i], linear.Operation{Kind: linear.Get, Key: key}) {
					if !pause(ctx, 10*refusedPause) {
						missing.Add(int64(len(keys) - k))
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return int(missing.Load())
}

// RemoveKeys removes the keys of this run, as far as a node serves. A key that stays
// disturbs nobody: the next run takes others.
func (l *Load) RemoveKeys(ctx context.Context) {
	for _, key := range l.keys() {
		for _, at := range l.targets {
			ctx, cancel := context.WithTimeout(ctx, l.Timeout)
			_, _, err := at.client.Delete(ctx, []byte(key))
			cancel()
			if err == nil {
				break
			}
		}
	}
}

// History returns what all clients saw. It may be called while none of them works.
func (l *Load) History() (history []linear.Operation) {
	for _, w := range l.workers {
		history = append(history, w.history...)
	}
	return history
}

// NotDone counts the operations that were certainly not carried out, by reason.
func (l *Load) NotDone() map[string]int {
	all := map[string]int{}
	for _, w := range l.workers {
		for reason, n := range w.failed {
			all[reason] += n
		}
	}
	return all
}

// StaleReads returns how many stale reads were answered, and how many of them saw
// an older revision than one before them at the same endpoint.
func (l *Load) StaleReads() (reads, wentBack int) {
	for _, w := range l.workers {
		reads, wentBack = reads+w.stale, wentBack+w.wentBack
	}
	return reads, wentBack
}
