package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/sim"
)

var (
	_ sim.Frequented = (*KV)(nil)
	_ sim.Attended   = (*KV)(nil)
)

// Attendant implements [sim.Attended]: the server's own lessor.
func (s *KV) Attendant(on env.Env, election time.Duration) sim.Attendant {
	return attendant{lease.New(lease.Options{Machine: s.Machine, Env: on, Election: election, Logger: slog.New(slog.DiscardHandler)})}
}

type attendant struct{ *lease.Lessor }

// Run implements [sim.Attendant].
func (a attendant) Run(ctx context.Context, node quorate.NodeID, group *quorate.Group) {
	a.Lessor.Run(ctx, node, group)
}

// Guests implements [sim.Frequented].
func (s *KV) Guests(o *sim.Options, prefix string, m sim.Model) (all []sim.Guest) {
	j := m.(*judge)
	j.election = o.Election.D()
	next := func() guest {
		rng := rand.New(rand.NewPCG(o.Seed, 0x90e57+uint64(len(all))))
		return guest{judge: j, rng: rng, prefix: prefix + "~", think: o.Think.D()}
	}
	for i := range o.Tenants {
		all = append(all, &tenant{guest: next(), next: kv.LeaseID(1000 * (i + 1))})
	}
	if o.Quota > 0 {
		all = append(all, &treasurer{guest: next(), quota: o.Quota, raised: map[kv.Alarm]bool{}})
	}
	if o.Users > 0 {
		all = append(all, &administrator{guest: next(), users: o.Users})
	}
	for i := range o.Users {
		all = append(all, &user{guest: next(), name: userName(i)})
	}
	return all
}

// guest is what all kinds have in common.
type guest struct {
	*judge
	rng    *rand.Rand
	prefix string // of the keys of guests
	think  time.Duration
}

// key is one of few, so that guests meet.
func (g *guest) key() []byte { return fmt.Appendf(nil, "%s%d", g.prefix, g.rng.IntN(6)) }

// keys are some, or one; they are never turned around.
func (g *guest) keys() (start, end []byte) {
	from, to := g.rng.IntN(6), g.rng.IntN(7)
	start = fmt.Appendf(nil, "%s%d", g.prefix, from)
	if to > from && g.rng.IntN(2) == 0 {
		end = fmt.Appendf(nil, "%s%d", g.prefix, to)
	}
	return start, end
}

// errand is a call after a while.
func (g *guest) errand(what string, serve func(ctx context.Context, at sim.Place) func() error) *sim.Errand {
	after := time.Duration(g.rng.ExpFloat64() * float64(g.think))
	return &sim.Errand{What: what, After: min(after, 10*g.think), Serve: serve}
}

// propose is a call that gives a command. Who is told what came of it learns that.
func (g *guest) propose(c kv.Command, learn func(*kv.Result)) *sim.Errand {
	g.serial++
	c.Millis = g.serial
	command, a := c.Encode(), &asked{}
	g.asked[string(command)] = a
	return g.errand(fmt.Sprintf("%+v", c), func(ctx context.Context, at sim.Place) func() error {
		result, err := at.Group.Propose(ctx, command)
		r, ok := result.(*kv.Result)
		switch {
		case errors.Is(err, quorate.ErrUnknownOutcome):
			return nil
		case err != nil:
			return a.refused
		case !ok:
			return func() error { return broken("I10", "a command is done, and no state machine has seen it") }
		}
		return func() error {
			learn(r)
			return a.answered(at.Top, r)
		}
	})
}

// look is a call that looks at what a node has, which may be old, or must be as new as
// all that was known.
func (g *guest) look(what string, see func(*kv.Machine) error) *sim.Errand {
	fresh := g.rng.IntN(2) == 0
	return g.errand(what, func(ctx context.Context, at sim.Place) func() error {
		if fresh {
			if err := at.Read(ctx); err != nil {
				return wrong(err)
			}
		}
		err := see(at.Store.(keeping).machine())
		return func() error { return err }
	})
}

// wrong is what a guest makes of an error: only a violation is wrong.
func wrong(err error) func() error {
	if violation := (*sim.Broken)(nil); errors.As(err, &violation) {
		return func() error { return err }
	}
	return nil
}

// keeping is a store that is, or has in it, a [KV].
type keeping interface{ machine() *kv.Machine }

func (s *KV) machine() *kv.Machine { return s.Machine }
