package quorate

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// witness remembers the latest read that was answered on this node: what its state
// machine says is at least as new as the moment at which that read began.
type witness struct {
	mu    sync.Mutex
	at    time.Time
	index raft.Index
}

// note takes in a read that began then and has been answered.
func (w *witness) note(began time.Time, index raft.Index) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == 0 || began.After(w.at) {
		w.at, w.index = began, index
	}
}

// within returns the index of that read if it began no longer ago than maxAge.
func (w *witness) within(maxAge time.Duration, now time.Time) (raft.Index, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index, w.index != 0 && elapsed(w.at, now) <= maxAge
}

// elapsed is the time between two readings of the clock, by whichever of the
// machine's clocks has gone further: one may have stood still with the machine. A
// clock that was set back says nothing: any time may have passed.
func elapsed(from, to time.Time) time.Duration {
	wall := to.Round(0).Sub(from.Round(0))
	if wall < 0 {
		return math.MaxInt64
	}
	return max(to.Sub(from), wall)
}

// ReadWithin returns once this node's state machine has applied everything that was
// committed maxAge ago, by this node's clock, or later: what it says then is no
// older than that. Mostly it asks nobody and returns at once, since a Read, or a
// ReadWithin that had to become one, vouches for all calls within maxAge of its own
// beginning. With a maxAge of zero or less it is a Read. The index returned is one
// that the state machine has reached.
func (g *Group) ReadWithin(ctx context.Context, maxAge time.Duration) (raft.Index, error) {
	if maxAge > 0 {
		if index, ok := g.witness.within(maxAge, g.host.cfg.Env.Now()); ok && !g.stopped() {
			return index, nil
		}
	}
	return g.Read(ctx)
}

// stopped reports whether the group has stopped on this node, alone or with its host.
func (g *Group) stopped() bool {
	g.mu.Lock()
	err := g.err
	g.mu.Unlock()
	return err != nil || isClosed(g.host.silent)
}
