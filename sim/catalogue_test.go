package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// The files catalogue_*_test.go are the scenarios of docs/scenarios.md that need a
// whole cluster, each told by hand. What must hold in all of them is not repeated:
// the judge looks at every step, and at the end the cluster must come to rest.

// Times of a story, unless it says otherwise.
const (
	heartbeat = 20 * time.Millisecond
	election  = 200 * time.Millisecond // the longest that a follower waits is twice this
)

// story is a run that a test steps by hand.
type story struct {
	*run
	t    *testing.T
	told []*linear.Operation // by hand; they are judged with those of the clients
}

// begin starts a cluster of so many voters whose network and disks are good. A
// change says what is to be different.
func begin(t *testing.T, seed uint64, voters int, changes ...func(*Options)) *story {
	t.Helper()
	s := idle(t, seed, voters, changes...)
	for _, n := range s.nodes {
		n.boot()
	}
	s.leader()
	return s
}

// idle is a cluster whose nodes have not been started.
func idle(t *testing.T, seed uint64, voters int, changes ...func(*Options)) *story {
	t.Helper()
	if racing {
		t.Skip("a story has one thread; what it runs is watched in TestSeeds")
	}
	o := Options{
		Seed: seed, Length: Duration(time.Minute), Voters: voters,
		Heartbeat: Duration(heartbeat), Election: Duration(election),
		SnapshotEntries: 1000, SegmentBytes: 16 << 10,
		DiskQuick: Duration(100 * time.Microsecond), DiskSlow: Duration(500 * time.Microsecond),
		Keys: 4, Think: Duration(20 * time.Millisecond), Timeout: Duration(time.Second),
		Weather: calm,
	}
	for _, change := range changes {
		change(&o)
	}
	p := &Plan{Options: o}
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	s := &story{run: newRun(p, Setup{}), t: t}
	t.Cleanup(s.run.end)
	return s
}

// seeds are the seeds from 1 to n, a few of them where time is short.
func seeds(n uint64) iter.Seq[uint64] {
	if testing.Short() {
		n = min(n, 3)
	}
	return func(yield func(uint64) bool) {
		for seed := uint64(1); seed <= n && yield(seed); seed++ {
		}
	}
}

// load lets the clients begin.
func (s *story) load() {
	for _, c := range s.clients {
		c.begin()
	}
}

// pass lets time go by.
func (s *story) pass(d time.Duration) {
	s.t.Helper()
	s.world.runUntil(s.world.now + d)
	if err := s.world.failure; err != nil {
		s.t.Fatalf("seed %d, after %v: %v", s.cfg.Seed, s.world.now, err)
	}
}

// until lets time go by until something holds, and returns how long it took. It
// must hold within the given time.
func (s *story) until(what string, limit time.Duration, holds func() bool) time.Duration {
	s.t.Helper()
	began := s.world.now
	for !holds() {
		if s.world.now-began >= limit {
			s.t.Fatalf("seed %d, after %v: not within %v: %s", s.cfg.Seed, s.world.now, limit, what)
		}
		s.pass(time.Millisecond)
	}
	return s.world.now - began
}

// ends lets everything be mended and the cluster come to rest, and holds against
// each other what its nodes then are.
func (s *story) ends() {
	s.t.Helper()
	s.protect(s.settle)
	for _, o := range s.told {
		if o.Outcome != "" {
			s.history = append(s.history, *o)
		}
	}
	s.protect(s.conclude)
	if err := s.world.failure; err != nil {
		s.t.Fatalf("seed %d, at the end: %v", s.cfg.Seed, err)
	}
}

// leading returns the node that leads in the newest term of which anybody who is
// alive does; nil: nobody.
func (s *story) leading() *node {
	var newest raft.Term
	var found *node
	for term, id := range s.judges[0].leaders { //order: the largest is looked for
		if n := s.nodes[id-1]; term >= newest && n.leads && n.serving() {
			newest, found = term, n
		}
	}
	return found
}

// leader waits for one that has committed something in its term.
func (s *story) leader() *node {
	s.t.Helper()
	s.until("there is a leader", 20*election, func() bool { return s.leading() != nil })
	n := s.leading()
	s.until("the leader commits", 20*election, func() bool { return n.commit == n.last })
	return n
}

// besides returns everybody else.
func (s *story) besides(who ...*node) (rest []*node) {
next:
	for _, n := range s.nodes {
		for _, w := range who {
			if n == w {
				continue next
			}
		}
		rest = append(rest, n)
	}
	return rest
}

// isolate cuts a node off from all others; heal mends every connection.
func (s *story) isolate(n *node) { s.net.cut([]int{n.number}, s.others([]int{n.number}), false) }

func (s *story) heal() {
	for _, l := range s.net.links { //order: each is treated alike
		l.cut, l.clog = false, 0
	}
}

// asked is something that a node was asked to do.
type asked struct {
	over   bool
	result any
	err    error
}

// asks lets a node do something in a task of its own. If it dies, the question has
// no answer.
func (s *story) asks(n *node, limit time.Duration, do func(context.Context, *quorate.Group) (any, error)) *asked {
	a := &asked{}
	s.world.after(0, &n.process, func() {
		if n.serving() {
			n.do(limit, func(ctx context.Context) {
				a.result, a.err = do(ctx, n.group)
				a.over = true
			})
		}
	})
	return a
}

// answer waits for it.
func (s *story) answer(a *asked) (any, error) {
	s.t.Helper()
	s.until("there is an answer", 2*time.Minute, func() bool { return a.over })
	return a.result, a.err
}

// puts proposes a write of a key; its answer's result is what the store made of it.
func (s *story) puts(n *node, key, value string) *asked {
	o := s.operation(linear.Put, key, linear.Unknown)
	o.Value = value
	return s.asks(n, 10*time.Second, func(ctx context.Context, g *quorate.Group) (any, error) {
		result, err := g.Propose(ctx, n.store.Command(0, 0, o))
		switch {
		case err == nil:
			o.Outcome, o.Revision = n.store.Answer(o, result)
			o.Return = s.clock()
		case !errors.Is(err, quorate.ErrUnknownOutcome):
			o.Outcome = ""
		}
		return result, err
	})
}

// operation begins one that is told by hand, by a client of its own. As long as it
// has no outcome it is no part of the history.
func (s *story) operation(kind linear.Kind, key string, outcome linear.Outcome) *linear.Operation {
	o := &linear.Operation{Client: 1000 + len(s.told), Kind: kind, Key: key, Call: s.clock(), Outcome: outcome}
	s.told = append(s.told, o)
	return o
}

func (s *story) clock() int64 { return (&client{sim: s.run}).clock() }

// put writes a key and waits until it is acknowledged.
func (s *story) put(n *node, key, value string) {
	s.t.Helper()
	if _, err := s.answer(s.puts(n, key, value)); err != nil {
		s.t.Fatalf("seed %d: %q was not written: %v", s.cfg.Seed, key, err)
	}
}

// fill writes so many further keys, each of so many bytes.
func (s *story) fill(n *node, count, size int) {
	s.t.Helper()
	for range count {
		s.put(n, fmt.Sprintf("filled %d", len(s.told)), strings.Repeat("x", size))
	}
}

// gets reads a key as a client would; the result is its value.
func (s *story) gets(n *node, key string, limit time.Duration) *asked {
	o := s.operation(linear.Get, key, "")
	return s.asks(n, limit, func(ctx context.Context, g *quorate.Group) (any, error) {
		invoked := s.judges[0].top
		at, err := g.Read(ctx)
		if err != nil {
			return nil, err
		}
		s.judges[0].read(n, invoked, at)
		found := false
		o.Outcome, o.Return = linear.Absent, s.clock()
		if o.Value, o.Revision, o.Store, found = n.store.Get(key); found {
			o.Outcome = linear.OK
		}
		return o.Value, nil
	})
}

// get reads a key and expects a value.
func (s *story) get(n *node, key, want string) {
	s.t.Helper()
	got, err := s.answer(s.gets(n, key, 10*time.Second))
	if err != nil || got != want {
		s.t.Fatalf("seed %d: node %d says %q, %v; want %q", s.cfg.Seed, n.id, got, err, want)
	}
}

// status is what a node says of itself.
func (s *story) status(n *node) quorate.Status {
	s.t.Helper()
	got, _ := s.answer(s.asks(n, time.Second, func(_ context.Context, g *quorate.Group) (any, error) { return g.Status(), nil }))
	return got.(quorate.Status)
}

// change changes the membership by way of a node, and waits for it.
func (s *story) change(n *node, changes ...membership.Change) error {
	s.t.Helper()
	_, err := s.answer(s.changes(n, changes...))
	return err
}

func (s *story) changes(n *node, changes ...membership.Change) *asked {
	return s.asks(n, 10*time.Second, func(ctx context.Context, g *quorate.Group) (any, error) {
		return nil, g.Reconfigure(ctx, raft.Reconfiguration{Changes: changes})
	})
}

func add(n *node) membership.Change {
	return membership.Change{Kind: membership.Add, Member: membership.Member{ID: n.id, Address: n.address}}
}

func promote(n *node) membership.Change {
	return membership.Change{Kind: membership.Promote, Member: membership.Member{ID: n.id}}
}

func remove(n *node) membership.Change {
	return membership.Change{Kind: membership.Remove, Member: membership.Member{ID: n.id}}
}

// join adds a node and promotes it once it has caught up.
func (s *story) join(by, n *node) {
	s.t.Helper()
	if err := s.change(by, add(n)); err != nil {
		s.t.Fatal(err)
	}
	s.until("the new member votes", 20*time.Second, func() bool { return s.change(by, promote(n)) == nil })
}

// highest returns the newest term that has had a leader.
func (s *story) highest() (term raft.Term) {
	for t := range s.judges[0].leaders { //order: the largest is looked for
		term = max(term, t)
	}
	return term
}
