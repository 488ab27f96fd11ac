// Package lease decides when a lease has run out.
//
// What leases there are, and which keys belong to them, is state of the replicated
// store (package kv). How long each still has is known to the leader only, for the
// time that it leads: that changes with each keep-alive. Here is the rest:
//
//   - A keep-alive is asked of the leader (Renew), which first makes sure that it
//     still is: no old leader lets a client believe in a lease that is gone.
//   - When a lease has run out the leader proposes to revoke it, in its own term or
//     never, and of that very grant: a leader that was paused revokes nothing that
//     another has renewed since.
//   - Of leases that are not kept alive as clients do, three times in a TTL, the
//     leader notes in the store what they have left: once half of it has passed, or at
//     once if that was before it led, and then whenever a 32nd, at least a second, is
//     gone. Who renews such a lease is told so only when the store has its whole TTL
//     again. All others are renewed without a word to the store.
//   - A new leader knows of no keep-alive: it gives each lease what the store says, and
//     an election timeout for the time in which nobody could be asked.
//   - A pause of the process does not count: who wanted to renew then could not.
//
// So no lease runs out early: what the store says was left when it was proposed, since
// then no renewal was answered, and whoever leads next begins later. And each runs out
// within its TTL and [Slack] after the last keep-alive, if the leader neither changes
// nor stands still. The first change costs at most a TTL and a half, each later one a
// 32nd of what is left or a second, besides the time without a leader.
//
// Reading order: lessor.go, reign.go, notes.go, ask.go.
package lease

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// interval is how often the leader looks for leases that have run out. A step of
// the clock that takes longer than maxStep was a pause.
const (
	interval = 250 * time.Millisecond
	maxStep  = 2 * interval
)

// Slack is how late a lease may be revoked, besides the time that a write takes.
const Slack = maxStep

// Group replicates the store; a *quorate.Group.
type Group interface {
	Leader() (quorate.NodeID, raft.Term)
	Read(ctx context.Context) (raft.Index, error)
	ProposeIn(ctx context.Context, term raft.Term, command []byte) (any, error)
}

// Options is what a lessor is made of. All fields are needed.
type Options struct {
	Machine  *kv.Machine
	Env      env.Env
	Election time.Duration // what a new leader adds to each lease
	Logger   *slog.Logger
}

// Lessor is one node's. It does something only while the node leads.
type Lessor struct {
	Options
	due  chan struct{} // something may have to be done
	turn chan struct{} // holds one unless a note is under way: they come one after another

	mu    sync.Mutex
	group Group // nil before Run
	node  quorate.NodeID
	reign *reign // nil while this node does not lead
	done  Counts

	// Deadlines are times since Run began that leave pauses out.
	now    time.Duration // up to the last tick
	ticked time.Time
}

// New returns a lessor that answers nothing until Run.
func New(o Options) *Lessor {
	l := &Lessor{Options: o, due: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// Counts is what a lessor has done.
type Counts struct {
	Renewed uint64
	Expired uint64 // and were revoked
}

// Counts counts since New.
func (l *Lessor) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// Machine is the store together with the lessor who answers for its leases: what a
// group is to be started with.
type Machine struct {
	*kv.Machine
	*Lessor
}

// Run revokes what has run out, whenever this node leads, until ctx ends.
func (l *Lessor) Run(ctx context.Context, node quorate.NodeID, group Group) {
	l.mu.Lock()
	l.group, l.node, l.ticked = group, node, l.Env.Now()
	l.mu.Unlock()
	over := make(chan struct{})
	l.Env.Go(func() {
		defer close(over)
		for l.Env.Wait(nil, l.due, ctx.Done(), nil) == 1 {
			l.round(ctx)
		}
	})
	// Time passes also while a round waits for the cluster.
	ticker := l.Env.NewTicker(interval)
	defer ticker.Stop()
	for l.Env.Wait(ticker, ctx.Done(), nil, nil) == 0 {
		l.tick()
	}
	l.Env.Wait(nil, over, nil, nil)
}

func (l *Lessor) tick() {
	l.mu.Lock()
	l.now, l.ticked = l.clock(), l.Env.Now()
	l.mu.Unlock()
	l.wake()
}

// clock is the present. The lock is held.
func (l *Lessor) clock() time.Duration {
	return l.now + min(max(0, l.Env.Now().Sub(l.ticked)), maxStep)
}

func (l *Lessor) wake() {
	select {
	case l.due <- struct{}{}:
	default: // it is about to look anyway
	}
}

// roundTime bounds what one round waits for.
const roundTime = 5 * time.Second

// round does what is due, if this node leads.
func (l *Lessor) round(ctx context.Context) {
	node, term := l.group.Leader()
	if node != l.node {
		l.mu.Lock()
		l.reign = nil
		l.mu.Unlock()
		return
	}
	ctx, cancel := l.within(ctx, roundTime)
	defer cancel()
	r, err := l.begin(ctx, term)
	if err == nil {
		err = l.takeIn(r)
	}
	var out []*held
	if err == nil {
		l.mu.Lock()
		out = r.ranOut(l.now)
		l.mu.Unlock()
		err = l.note(ctx, r)
	}
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, raft.ErrNotLeader) {
			l.Logger.Warn("leases are not looked after", "error", err)
		}
		return
	}
	l.revoke(ctx, r, out)
}

// within returns a context that ends with the given one, or after a while.
func (l *Lessor) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := l.Env.NewTimer(d)
	l.Env.Go(func() {
		defer timer.Stop()
		l.Env.Wait(timer, ctx.Done(), nil, nil)
		cancel()
	})
	return ctx, cancel
}

// begin begins to reign in a term, unless that has been done: with all leases that
// were granted before, for which the store must first hold what was committed.
func (l *Lessor) begin(ctx context.Context, term raft.Term) (*reign, error) {
	if l.reign != nil && l.reign.term == term {
		return l.reign, nil
	}
	if err := l.confirm(ctx, term); err != nil {
		return nil, err
	}
	all, err := l.Machine.Leases(0)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reign = newReign(term)
	l.reign.inherit(all, l.clock(), l.Election)
	return l.reign, nil
}

// confirm returns nil if this node leads the term, and was known to lead it by a
// majority after confirm was called; the store is as new as that, too.
func (l *Lessor) confirm(ctx context.Context, term raft.Term) error {
	if _, err := l.group.Read(ctx); err != nil {
		return err
	}
	if node, now := l.group.Leader(); node != l.node || now != term {
		return raft.ErrNotLeader
	}
	return nil
}

// takeIn takes in the leases granted since, and forgets those that were revoked if
// they are many: most are found out only when they would have run out.
func (l *Lessor) takeIn(r *reign) error {
	state, err := l.Machine.State()
	if err != nil {
		return err
	}
	l.mu.Lock()
	after, crowded := r.seen, int64(len(r.leases)) > 2*state.Leases+mostRevoked
	l.mu.Unlock()
	if crowded {
		after = 0
	}
	granted, err := l.Machine.Leases(after)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if crowded {
		r.keep(granted)
	}
	r.takeAll(granted, l.clock())
	return nil
}

// mostRevoked is how many leases that are no more, besides as many as there are, may
// be remembered.
const mostRevoked = 1024

// revokersAtOnce propose at the same time, so that their writes share what they
// wait for.
const revokersAtOnce = 16

// revoke revokes leases. Those for which it fails, or may have, stay among those
// that have run out: a renewal could be followed by the revocation.
func (l *Lessor) revoke(ctx context.Context, r *reign, out []*held) {
	if len(out) == 0 || l.forbidden() {
		return
	}
	revokers := min(len(out), revokersAtOnce)
	over := make(chan struct{}, revokers)
	for i := range revokers {
		l.Env.Go(func() {
			for ; i < len(out); i += revokers {
				l.revokeHeld(ctx, r, out[i])
			}
			over <- struct{}{}
		})
	}
	for range revokers {
		l.Env.Wait(nil, over, nil, nil)
	}
}

// forbidden reports whether an alarm of corruption keeps leases from being revoked.
// Each round would fill the log with what is refused.
func (l *Lessor) forbidden() bool {
	alarms, err := l.Machine.Alarms()
	return err != nil || slices.ContainsFunc(alarms, func(a kv.Alarm) bool { return a.Kind == kv.Corrupt })
}

func (l *Lessor) revokeHeld(ctx context.Context, r *reign, h *held) {
	if err := l.revokeOne(ctx, r.term, h.Grant); err != nil {
		l.Logger.Debug("a lease could not be revoked yet", "lease", h.ID, "error", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.drop(h)
}

func (l *Lessor) revokeOne(ctx context.Context, term raft.Term, g kv.Grant) error {
	is, err := l.Machine.Lease(g.ID)
	if err != nil {
		return err
	}
	if is == nil || is.Index != g.Index {
		return nil // its client has revoked it
	}
	command := kv.Command{By: kv.ThisNode, Do: kv.RevokeLease{ID: g.ID, Grant: g.Index}}
	result, err := l.group.ProposeIn(ctx, term, command.Encode())
	if err != nil {
		return err
	}
	if err = result.(*kv.Result).Err(); errors.Is(err, kv.ErrLeaseNotFound) {
		return nil // its client was quicker
	}
	if err == nil {
		l.mu.Lock()
		l.done.Expired++
		l.mu.Unlock()
	}
	return err
}
