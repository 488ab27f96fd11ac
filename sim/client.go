package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
)

// client makes one call after the other, each to a node that it draws. A call whose
// outcome is unknown it makes again, in its session, so that it counts once.
type client struct {
	sim    *run
	number int
	group  int // among the groups: each client works on one
	rng    *rand.Rand

	sessions bool   // it makes its calls in one
	session  uint64 // zero: none is open
	sequence uint64
	puts     int               // so far: each writes a value of its own
	seen     map[string]uint64 // the last revision it was told of each key
	op       *linear.Operation // under way
	tries    int
	attempt  uint64 // counts the tries of all calls: an answer to an earlier one is late
	doubtful bool   // a try before this one may have been carried out
	stopping bool   // it begins no further call
}

// reply is what a node says to a client.
type reply struct {
	err      error
	outcome  linear.Outcome
	value    string
	revision uint64
	store    uint64
	session  uint64
}

// maxTries is how often a call is made before its outcome counts as unknown.
const maxTries = 12

// begin thinks for a while and makes the next call.
func (c *client) begin() {
	think := time.Duration(c.rng.ExpFloat64() * float64(c.sim.cfg.Think.D()))
	c.sim.world.after(min(think, 10*c.sim.cfg.Think.D()), nil, func() {
		if !c.stopping {
			c.next()
		}
	})
}

func (c *client) next() {
	if c.session == 0 && c.sessions {
		c.try()
		return
	}
	o := &linear.Operation{
		Client: c.number, Kind: linear.Put, Call: c.clock(),
		Key: key(c.group, c.rng.IntN(c.sim.cfg.Keys)),
	}
	switch draw := c.rng.IntN(10); {
	case draw < 4:
		o.Kind = linear.Get
		c.glance(o.Key)
	case draw < 5:
		o.Kind = linear.Delete
	}
	if o.Kind != linear.Get {
		c.sequence++
		switch draw := c.rng.IntN(4); {
		case draw == 0 && c.seen[o.Key] != 0:
			o.IfMatch = c.seen[o.Key]
		case draw == 1 && o.Kind == linear.Put:
			o.IfAbsent = true
		}
	}
	if o.Kind == linear.Put {
		c.puts++
		o.Value = fmt.Sprintf("%d.%d", c.number, c.puts)
	}
	c.op, c.tries, c.doubtful = o, 0, false
	c.try()
}

// clock is the time of histories. Two moments that are one event apart differ.
func (c *client) clock() int64 { return int64(c.sim.world.now)*1000 + int64(c.sim.world.steps%1000) }

// try asks one node.
func (c *client) try() {
	c.tries++
	c.attempt++
	attempt := c.attempt
	ask := request{c.group, c.op, c.session, c.sequence} // of no operation: to open a session
	s := c.sim
	n := s.nodes[c.rng.IntN(len(s.nodes))]
	if len(n.config.Members) == 0 && c.rng.IntN(8) > 0 { // few know of nodes that wait to be invited
		n = s.nodes[c.rng.IntN(s.cfg.Voters)]
	}
	w := s.world
	way := func() time.Duration { return between(c.rng, 100*time.Microsecond, 2*time.Millisecond) }
	answer := func(r reply) {
		if attempt == c.attempt {
			c.attempt++
			c.answered(n, r)
		}
	}
	w.after(s.cfg.Timeout.D()+50*time.Millisecond, nil, func() { answer(reply{err: quorate.ErrUnknownOutcome}) })
	w.after(way(), nil, func() {
		if !n.serving() {
			w.after(way(), nil, func() { answer(reply{err: quorate.ErrClosed}) })
			return
		}
		w.after(0, &n.process, func() {
			if !n.serving() {
				return
			}
			n.do(s.cfg.Timeout.D(), func(ctx context.Context) {
				r := ask.served(ctx, n)
				w.after(way(), nil, func() { answer(r) })
			})
		})
	})
}

// glance reads a key of one node that asks nobody else: what it shows may be old,
// but never older than what it showed before.
func (c *client) glance(key string) {
	n := c.sim.nodes[c.rng.IntN(len(c.sim.nodes))]
	if n.serving() && !n.frozen {
		r := n.replicas[c.group]
		_, _, at, _ := r.store.Get(key)
		c.sim.judges[c.group].local(n, r, at)
	}
}

// request is what a client asks of a node.
type request struct {
	on       int // the group
	op       *linear.Operation
	session  uint64
	sequence uint64
}

// served is what the node does for the client.
func (q *request) served(ctx context.Context, n *node) reply {
	r, judge := n.replicas[q.on], n.sim.judges[q.on]
	o, store, g := q.op, r.store, r.group
	switch {
	case o == nil:
		result, err := g.Propose(ctx, store.Open())
		return reply{err: err, session: store.Session(result)}
	case o.Kind == linear.Get:
		invoked := judge.top
		at, err := g.Read(ctx)
		if err != nil {
			return reply{err: err}
		}
		judge.read(n, invoked, at)
		r := reply{outcome: linear.Absent}
		found := false
		if r.value, r.revision, r.store, found = store.Get(o.Key); found {
			r.outcome = linear.OK
		}
		return r
	default:
		result, err := g.Propose(ctx, store.Command(q.session, q.sequence, o))
		if err != nil {
			return reply{err: err}
		}
		if result == nil {
			n.sim.judge.fail(n, broken("I10", "node %d says that %v is done, and its state machine has not seen it", n.id, o))
		}
		outcome, revision := store.Answer(o, result)
		if outcome == linear.Unknown {
			return reply{err: quorate.ErrUnknownOutcome}
		}
		return reply{outcome: outcome, revision: revision}
	}
}

// answered ends the call, or makes it again.
func (c *client) answered(n *node, r reply) {
	unknown := errors.Is(r.err, quorate.ErrUnknownOutcome)
	c.doubtful = c.doubtful || unknown
	switch {
	case c.op == nil:
		if r.err == nil {
			c.session, c.sequence = r.session, 0
		}
		c.begin()
	case r.err == nil:
		c.end(r)
	case c.op.Kind == linear.Get || !c.doubtful:
		c.op = nil // certainly not done, or nothing to be done: no part of the history
		c.begin()
	case c.session == 0, c.tries >= maxTries && !c.stopping:
		c.end(reply{outcome: linear.Unknown})
		c.session = 0 // its sequence number may still come
	default:
		c.sim.world.after(between(c.rng, time.Millisecond, 50*time.Millisecond), nil, c.try)
	}
	if c.sim.transcript != nil && r.err != nil {
		c.sim.note(n, "tells client %d: %v", c.number, r.err)
	}
}

// end writes the call into the history.
func (c *client) end(r reply) {
	o := c.op
	c.op = nil
	o.Outcome, o.Revision, o.Store, o.Return = r.outcome, r.revision, r.store, c.clock()
	if o.Kind == linear.Get && o.Outcome == linear.OK {
		o.Value = r.value
	}
	if r.revision != 0 {
		c.seen[o.Key] = r.revision
	}
	c.sim.history = append(c.sim.history, *o)
	c.sim.counts.Operations++
	if c.sim.transcript != nil {
		c.sim.note(nil, "client %d: %v", c.number, o)
	}
	c.begin()
}

// idle reports whether nothing is under way.
func (c *client) idle() bool { return c.op == nil }
