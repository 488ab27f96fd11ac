package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	parts    []linear.Part // of a transaction that reads
	session  uint64
}

// errNotDone says that the store has refused an operation for good.
var errNotDone = errors.New("sim: the store has refused it")

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
	c.op, c.tries, c.doubtful = c.draw(), 0, false
	c.try()
}

// draw draws the next call.
func (c *client) draw() *linear.Operation {
	k := c.rng.IntN(c.sim.cfg.Keys)
	if share := c.sim.cfg.Transactions; k|1 < c.sim.cfg.Keys && chance(c.rng, share) {
		return c.drawTransaction(k &^ 1)
	}
	o := &linear.Operation{Client: c.number, Kind: linear.Put, Call: c.clock(), Key: key(c.group, k)}
	switch draw := c.rng.IntN(10); {
	case draw < 4:
		o.Kind = linear.Get
		c.glance(o.Key)
	case draw < 5:
		o.Kind = linear.Delete
	}
	if o.Kind != linear.Get {
		c.sequence++
		o.IfMatch, o.IfAbsent = c.drawCondition(o.Kind, o.Key)
	}
	if o.Kind == linear.Put {
		o.Value = c.value()
	}
	return o
}

// drawTransaction draws one over the k-th key and the next. No other pairs are ever
// tied together: the histories of more keys would be too long to be judged.
func (c *client) drawTransaction(k int) *linear.Operation {
	o := &linear.Operation{Client: c.number, Kind: linear.Txn, Call: c.clock()}
	reads := c.rng.IntN(2) == 0
	for _, name := range []string{key(c.group, k), key(c.group, k+1)} {
		p := linear.Part{Kind: linear.Get, Key: name}
		if !reads {
			p.Kind, p.Value = linear.Put, c.value()
			if c.rng.IntN(5) == 0 {
				p.Kind, p.Value = linear.Delete, ""
			}
			p.IfMatch, p.IfAbsent = c.drawCondition(p.Kind, name)
		}
		o.Parts = append(o.Parts, p)
	}
	if !reads {
		c.sequence++
	}
	return o
}

// drawCondition draws a condition on a key that is to be written; mostly none.
func (c *client) drawCondition(kind linear.Kind, key string) (ifMatch uint64, ifAbsent bool) {
	switch draw := c.rng.IntN(4); {
	case draw == 0 && c.seen[key] != 0:
		return c.seen[key], false
	case draw == 1 && kind == linear.Put:
		return 0, true
	}
	return 0, false
}

// value returns one that nobody else writes.
func (c *client) value() string {
	c.puts++
	return fmt.Sprintf("%d.%d", c.number, c.puts)
}

// clock is the time of histories. Two moments that are one event apart differ.
func (c *client) clock() int64 { return int64(c.sim.world.now)*1000 + int64(c.sim.world.steps%1000) }

// try asks one node.
func (c *client) try() {
	c.tries++
	c.attempt++
	attempt := c.attempt
	ask := request{on: c.group, op: c.op, session: c.session} // of no operation: to open a session
	if c.session != 0 {
		ask.sequence = c.sequence
	}
	s := c.sim
	n := s.anyNode(c.rng)
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

// anyNode returns a node that a client goes to.
func (s *run) anyNode(rng *rand.Rand) *node {
	n := s.nodes[rng.IntN(len(s.nodes))]
	if len(n.config.Members) == 0 && rng.IntN(8) > 0 { // few know of nodes that wait to be invited
		n = s.nodes[rng.IntN(s.cfg.Voters)]
	}
	return n
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
	session  uint64 // zero: none
	sequence uint64 // of the write in its session
}

// served is what the node does for the client.
func (q *request) served(ctx context.Context, n *node) reply {
	r := n.replicas[q.on]
	switch o, store, g := q.op, r.store, r.group; {
	case o == nil:
		result, err := g.Propose(ctx, store.Open())
		return reply{err: err, session: store.Session(result)}
	case reads(o):
		return q.read(ctx, n, store, g)
	default:
		result, err := g.Propose(ctx, q.command(store))
		if err != nil {
			return reply{err: err}
		}
		if result == nil {
			n.sim.judges[q.on].fail(n, broken("I10", "node %d says that %v is done, and its state machine has not seen it", n.id, o))
		}
		outcome, revision := store.Answer(o, result)
		switch outcome {
		case linear.Unknown:
			return reply{err: quorate.ErrUnknownOutcome}
		case NotDone:
			return reply{err: errNotDone}
		}
		return reply{outcome: outcome, revision: revision}
	}
}

// command is what is proposed for the client.
func (q *request) command(store Store) []byte {
	if q.op.Kind == linear.Txn {
		return store.(Transactional).Transaction(q.session, q.sequence, q.op.Parts)
	}
	return store.Command(q.session, q.sequence, q.op)
}

// read reads a key, or several at one moment.
func (q *request) read(ctx context.Context, n *node, store Store, g *quorate.Group) reply {
	judge := n.sim.judges[q.on]
	invoked := judge.top
	at, err := g.Read(ctx)
	if err != nil {
		return reply{err: err}
	}
	judge.read(n, invoked, at)
	if q.op.Kind == linear.Txn {
		parts := slices.Clone(q.op.Parts)
		return reply{outcome: linear.OK, store: store.(Transactional).Look(parts), parts: parts}
	}
	told := reply{outcome: linear.Absent}
	found := false
	if told.value, told.revision, told.store, found = store.Get(q.op.Key); found {
		told.outcome = linear.OK
	}
	return told
}

// reads reports whether an operation only reads.
func reads(o *linear.Operation) bool {
	return o.Kind == linear.Get || o.Kind == linear.Txn && o.Parts[0].Kind == linear.Get
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
	case reads(c.op) || !c.doubtful || errors.Is(r.err, errNotDone):
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
	if r.parts != nil {
		o.Parts = r.parts
	}
	c.learn(o)
	c.sim.history = append(c.sim.history, *o)
	c.sim.counts.Operations++
	if c.sim.transcript != nil {
		c.sim.note(nil, "client %d: %v", c.number, o)
	}
	c.begin()
}

// learn remembers what revisions a client was told of.
func (c *client) learn(o *linear.Operation) {
	if o.Revision != 0 && o.Kind != linear.Txn {
		c.seen[o.Key] = o.Revision
	}
	for _, p := range o.Parts {
		if told := max(o.Revision, p.Revision); told != 0 {
			c.seen[p.Key] = told
		}
	}
}

// idle reports whether nothing is under way.
func (c *client) idle() bool { return c.op == nil }
