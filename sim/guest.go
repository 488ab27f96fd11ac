package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// Frequented is a Store with clients of kinds of its own, who do more than clients of a
// map from keys to values can. They and the model judge what they are told.
type Frequented interface {
	Modelled

	// Guests returns those of a group, of which there are as many as the options say;
	// all of its keys begin with a prefix.
	Guests(o *Options, prefix string, model Model) []Guest
}

// Guest is such a client. It makes one call after the other.
type Guest interface {
	// Next is the next call; calm says that the faults are over, and that only what has
	// to be done in the end still should be. Nil: that is nothing.
	Next(calm bool) *Errand

	// Lost says that nobody knows what became of the call.
	Lost()
}

// Errand is a call of a guest. It is made once: who calls must not do so twice, and if
// it is carried out twice all the same that shows.
type Errand struct {
	What  string        // for people
	After time.Duration // it is made so long after the one before

	// Serve is what the node does for the guest that it is made to. What it returns is
	// done when the answer has reached the guest, and says what is wrong with it.
	Serve func(ctx context.Context, at Place) func() error
}

// Place is where an errand leads to.
type Place struct {
	Group *quorate.Group
	Store Store
	Top   raft.Index // committed when it was called for: what it does comes after that
}

// Read makes the node's store as new as a linearizable read must find it.
func (p Place) Read(ctx context.Context) error {
	at, err := p.Group.Read(ctx)
	if err == nil && at < p.Top {
		err = broken("I14", "a read was given index %d, but %d was committed when it was asked for", at, p.Top)
	}
	return err
}

// visitor is a guest who goes from node to node.
type visitor struct {
	sim     *run
	guest   Guest
	group   int
	rng     *rand.Rand
	attempt uint64 // counts the calls: an answer to an earlier one is late
	away    bool   // it will not call again
}

// newVisitors returns the guests of all groups that clients use.
func newVisitors(s *run, store Store) {
	inn, able := store.(Frequented)
	if !able {
		s.cfg.Guests = Guests{}
		return
	}
	for g, j := range s.judges[:s.busy()] {
		for _, guest := range inn.Guests(&s.cfg, prefixOf(g), j.model) {
			rng := rand.New(rand.NewPCG(s.cfg.Seed, 0x94e57+uint64(len(s.visitors))))
			s.visitors = append(s.visitors, &visitor{sim: s, guest: guest, group: g, rng: rng})
		}
	}
}

// begin makes the next call.
func (v *visitor) begin() {
	e := v.guest.Next(v.sim.calm)
	if v.away = e == nil; !v.away {
		v.sim.world.after(e.After, nil, func() { v.call(e) })
	}
}

func (v *visitor) way() time.Duration {
	return between(v.rng, 100*time.Microsecond, 2*time.Millisecond)
}

// call makes a call to one node.
func (v *visitor) call(e *Errand) {
	s, w := v.sim, v.sim.world
	n := s.anyNode(v.rng)
	judge := s.judges[v.group]
	top := judge.top
	v.attempt++
	attempt := v.attempt
	answer := func(learn func() error) {
		if attempt != v.attempt {
			return
		}
		v.attempt++
		s.note(n, "was asked by a guest: %s; answered: %v", e.What, learn != nil)
		if learn == nil {
			v.guest.Lost()
		} else {
			judge.fail(n, learn())
		}
		v.begin()
	}
	nothing := func() { answer(nil) }
	w.after(s.cfg.Timeout.D()+50*time.Millisecond, nil, nothing)
	w.after(v.way(), nil, func() {
		if !n.serving() {
			w.after(v.way(), nil, nothing)
			return
		}
		w.after(0, &n.process, func() {
			if !n.serving() {
				return
			}
			r := n.replicas[v.group]
			at := Place{Group: r.group, Store: r.store, Top: top}
			n.do(s.cfg.Timeout.D(), func(ctx context.Context) {
				learn := e.Serve(ctx, at)
				w.after(v.way(), nil, func() { answer(learn) })
			})
		})
	})
}

// Attended is a Store that somebody looks after on every node, beside the group.
type Attended interface {
	Store

	// Attendant returns who does so in one life of a node, where an election takes so
	// long; nil: nobody has to.
	Attendant(on env.Env, election time.Duration) Attendant
}

// Attendant looks after a store until the context ends.
type Attendant interface {
	quorate.Answerer
	Run(ctx context.Context, node quorate.NodeID, group *quorate.Group)
}

// attended begins to look after the store of a replica that has started.
func (n *node) attended(r *replica) {
	if r.attendant == nil {
		return
	}
	ctx, leave := context.WithCancel(context.Background())
	r.leave = leave
	attendant, group := r.attendant, r.group
	n.Go(func() { attendant.Run(ctx, n.id, group) })
}
