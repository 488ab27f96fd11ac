package sim

import (
	"errors"
	"slices"

	"github.com/quorate-db/quorate/check"
)

// Shrink looks for a smaller plan that fails in the same way: with fewer actions,
// fewer nodes, less load, better weather, and over sooner. It carries out at most
// so many plans, and returns the smallest that it found with what came of it.
func Shrink(failed *Result, setup Setup, budget int) *Result {
	setup.Transcript = nil
	best := failed
	try := func(p *Plan) bool {
		if budget <= 0 {
			return false
		}
		budget--
		r, err := Execute(p, setup)
		if err != nil || Kind(r.Err) != Kind(failed.Err) {
			return false
		}
		best = r
		return true
	}
	for again := true; again && budget > 0; {
		again = shorten(best, try) || dropActions(&best, try) || simplify(&best, try)
	}
	return best
}

// Kind is what sort of violation an error is: shrinking keeps it.
func Kind(err error) string {
	if own := (*Broken)(nil); errors.As(err, &own) {
		return own.Invariant
	}
	if paper := (*check.Violation)(nil); errors.As(err, &paper) {
		return string(paper.Property)
	}
	if own := (*Panic)(nil); errors.As(err, &own) {
		return "panic"
	}
	if err != nil {
		return "error"
	}
	return ""
}

// copyOf returns a plan that shares nothing with the given one.
func copyOf(p *Plan) *Plan {
	c := *p
	c.Actions = slices.Clone(p.Actions)
	for i := range c.Actions {
		c.Actions[i].Nodes = slices.Clone(c.Actions[i].Nodes)
	}
	return &c
}

// shorten ends the first phase soon after the violation.
func shorten(r *Result, try func(*Plan) bool) bool {
	if r.Elapsed >= r.Plan.Length.D() {
		return false
	}
	p := copyOf(r.Plan)
	p.Length = Duration(r.Elapsed)
	p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return a.At > p.Length })
	return try(p)
}

// dropActions leaves out runs of actions: first half of them, then ever fewer.
func dropActions(best **Result, try func(*Plan) bool) (done bool) {
	for size := (len((*best).Plan.Actions) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len((*best).Plan.Actions); {
			p := copyOf((*best).Plan)
			p.Actions = slices.Delete(p.Actions, at, min(at+size, len(p.Actions)))
			if try(p) {
				done = true
			} else {
				at += size
			}
		}
	}
	return done
}

// simplify makes one thing after the other easier.
func simplify(best **Result, try func(*Plan) bool) (done bool) {
	for _, change := range []func(*Plan){
		func(p *Plan) { p.Weather.Drop = 0 },
		func(p *Plan) { p.Weather.Double = 0 },
		func(p *Plan) { p.Weather.Reorder = 0 },
		func(p *Plan) { p.Weather.Garble = 0 },
		func(p *Plan) { p.Weather.Break = 0 },
		func(p *Plan) { p.Weather.Most = min(p.Weather.Most, 2*p.Weather.Least) },
		func(p *Plan) { p.Length -= p.Length / 4 },
		func(p *Plan) { p.Clients /= 2 },
		func(p *Plan) { p.Clients = max(0, p.Clients-1) },
		func(p *Plan) { p.Watchers /= 2 },
		func(p *Plan) { p.Tenants /= 2 },
		func(p *Plan) { p.Users /= 2 },
		func(p *Plan) { p.Quota = 0 },
		func(p *Plan) { p.Keys = 1 },
		func(p *Plan) { p.Groups, p.Busy = 0, 0 },
		func(p *Plan) { p.SnapshotEntries = 10_000 },
		func(p *Plan) { p.SegmentBytes = 1 << 20 },
		func(p *Plan) { p.Lease = false },
		func(p *Plan) { p.Durable = false },
		func(p *Plan) { p.without(p.Voters + p.Spares) },
		func(p *Plan) { p.Think *= 2 },
	} {
		p := copyOf((*best).Plan)
		before := string(p.Encode())
		change(p)
		if string(p.Encode()) != before && try(p) {
			done = true
		}
	}
	return done
}

// without takes the last node out: a spare, or a voter.
func (p *Plan) without(number int) {
	if p.Spares > 0 {
		p.Spares--
	} else {
		p.Voters--
	}
	for i := range p.Actions {
		a := &p.Actions[i]
		a.Nodes = slices.DeleteFunc(a.Nodes, func(n int) bool { return n == number })
	}
	p.Actions = slices.DeleteFunc(p.Actions, func(a Action) bool { return len(a.Nodes) == 0 })
}
