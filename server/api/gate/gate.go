// Package gate lets only so many calls in at a time. Some more wait for a place in the
// order in which they came, so that a burst is answered late rather than refused; how
// many wait, and with how many bytes, is bounded as well. How long one waits is its
// context's to say.
package gate

import (
	"context"
	"sync"
)

// Gate is a number of places. Whoever has got one must Leave.
type Gate struct {
	places chan struct{} // one for each call that is in
	most   crowd

	mu      sync.Mutex
	waiting crowd // never more than most
}

// crowd is how many calls wait, and the bytes that they hold meanwhile.
type crowd struct{ calls, bytes int }

// New returns a gate with so many places, where so many calls may wait that hold so many
// bytes together.
func New(places, waiting, bytes int) *Gate {
	return &Gate{places: make(chan struct{}, places), most: crowd{waiting, bytes}}
}

// Try takes a place that is free, and reports whether there was one. It overtakes nobody:
// while calls wait no place is free.
func (g *Gate) Try() bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
		return false
	}
}

// Wait takes a place as soon as there is one for a call that holds so many bytes. It
// reports false, without a place, at once if too many wait already, or when ctx ends.
func (g *Gate) Wait(ctx context.Context, bytes int) bool {
	if !g.queue(crowd{1, bytes}) {
		return false
	}
	defer g.leaveQueue(crowd{1, bytes})
	select {
	case g.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *Gate) queue(one crowd) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := crowd{g.waiting.calls + one.calls, g.waiting.bytes + one.bytes}
	if all.calls > g.most.calls || all.bytes > g.most.bytes {
		return false
	}
	g.waiting = all
	return true
}

func (g *Gate) leaveQueue(one crowd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting.calls -= one.calls
	g.waiting.bytes -= one.bytes
}

// Leave gives a place back, to the call that has waited for it longest.
func (g *Gate) Leave() { <-g.places }

// Places is how many calls may be in at a time.
func (g *Gate) Places() int { return cap(g.places) }

// Most is how many calls may be in or wait.
func (g *Gate) Most() int { return cap(g.places) + g.most.calls }
