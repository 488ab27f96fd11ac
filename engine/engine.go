// Package engine is the groups of one node as one synchronous heart: inputs of
// any number of groups go in, and Drain gives everything they have made necessary
// as one batch, so that one write, one sync and one frame per peer serve all.
//
// It decides which groups have something to do and shuts off a group whose
// invariants are broken (the others go on). It leaves to its driver everything
// that waits: the log, connections, state machines. The host is one driver, the
// simulator another.
//
// A group that sleeps costs nothing: it is not ticked, and looked at only when it
// has an input.
package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// ErrNoGroup is the answer to an input for a group that is not here.
var ErrNoGroup = errors.New("engine: there is no such group on this node")

// Engine holds the groups. It is not safe for concurrent use.
type Engine struct {
	// Observe, if not nil, is told every core's effects as they are collected. It
	// keeps none of them.
	Observe func(raft.GroupID, *raft.Raft, *raft.Effects)

	seen   raft.Effects // what Observe is shown, so that others need no memory of their own
	groups []slot       // by rising ID
	active []*group     // with inputs since the last Drain, in the order of the first

	now uint64            // ticks so far
	due [horizon][]*group // by tick modulo horizon; who has another appointment by then is not looked at
}

// horizon is how many ticks ahead a group can be put off.
const horizon = 64

// slot is a group in the list that is searched: with its ID beside it, to find one
// among thousands touches the memory of no other.
type slot struct {
	id    raft.GroupID
	group *group
}

type group struct {
	id     raft.GroupID
	core   *raft.Raft
	active bool       // is in Engine.active
	ticked uint64     // the tick up to which the core knows of time
	due    uint64     // the tick at which it is looked at; zero: it sleeps, or was shut off
	taken  raft.Index // committed entries up to here have been handed out
	config raft.Index // of the membership last handed out
	leader Leader     // as last handed out
	fenced error
}

// Add takes in a group whose state machine has applied everything up to the
// given index.
func (e *Engine) Add(id raft.GroupID, core *raft.Raft, applied raft.Index) error {
	at, found := e.search(id)
	if found {
		return fmt.Errorf("engine: group %d is here already", id)
	}
	g := &group{id: id, core: core, taken: applied, ticked: e.now}
	e.groups = slices.Insert(e.groups, at, slot{id, g})
	e.touch(g)
	return nil
}

// Remove lets go of a group.
func (e *Engine) Remove(id raft.GroupID) {
	if at, found := e.search(id); found {
		g := e.groups[at].group
		e.groups = slices.Delete(e.groups, at, at+1)
		g.due = 0
		e.active = slices.DeleteFunc(e.active, func(other *group) bool { return other == g })
	}
}

// Tick lets one unit of time pass for all groups that do not sleep. A core learns of it
// when a tick makes something necessary, or before its next input: thousands of groups
// are looked at only a few times in an election timeout each.
func (e *Engine) Tick() {
	e.now++
	list := e.due[e.now%horizon]
	for _, g := range list {
		if g.due == e.now {
			g.due = 0
			e.pass(g)
			e.schedule(g)
		}
	}
	clear(list)
	e.due[e.now%horizon] = list[:0]
}

// pass gives a core the ticks that it has not been told of.
func (e *Engine) pass(g *group) {
	late := e.now - g.ticked
	g.ticked = e.now
	if late == 0 || g.fenced != nil || g.core.Asleep() {
		return
	}
	stirred := false
	err := g.run(func(core *raft.Raft) error {
		for range late {
			stirred = core.Tick() || stirred
		}
		return nil
	})
	if err != nil || stirred {
		e.touch(g)
	}
}

// schedule sees to it that a group is looked at when time alone makes something necessary.
func (e *Engine) schedule(g *group) {
	if g.fenced != nil || g.core.Asleep() {
		g.due = 0
		return
	}
	tick := g.ticked + uint64(min(g.core.Patience(), horizon-1))
	if g.due == 0 || tick < g.due {
		g.due = tick
		e.due[tick%horizon] = append(e.due[tick%horizon], g)
	}
}

// Awake gives an input to every group that does not sleep.
func (e *Engine) Awake(input func(raft.GroupID, *raft.Raft)) {
	for _, s := range e.groups {
		if s.group.due != 0 || s.group.active {
			_ = e.input(s.group, func(core *raft.Raft) error { input(s.id, core); return nil })
		}
	}
}

// LedBy gives an input to every group that is led by the node, as far as this node
// knows. It must be one that makes nothing necessary in a group that sleeps on.
func (e *Engine) LedBy(node raft.NodeID, input func(raft.GroupID, *raft.Raft)) {
	for _, s := range e.groups {
		g := s.group
		if g.leader.Node != node || g.fenced != nil {
			continue
		}
		e.pass(g)
		if g.run(func(core *raft.Raft) error { input(g.id, core); return nil }) != nil || !g.core.Asleep() {
			e.touch(g)
		}
	}
}

// Step gives a group a message. An error says that no well-behaved node can have
// sent it, or that the group is not here or shut off.
func (e *Engine) Step(in *codec.Envelope) error {
	return e.Do(in.Group, func(core *raft.Raft) error { return core.Step(in.Message) })
}

// Do gives a group any other input: a call of one of the core's methods.
func (e *Engine) Do(id raft.GroupID, input func(*raft.Raft) error) error {
	at, found := e.search(id)
	if !found {
		return fmt.Errorf("%w: %d", ErrNoGroup, id)
	}
	return e.input(e.groups[at].group, input)
}

// Note gives a group an input that seldom makes anything necessary: one that reports
// whether it has. If not, the group is not looked at any further.
func (e *Engine) Note(id raft.GroupID, input func(*raft.Raft) (stirred bool)) error {
	at, found := e.search(id)
	if !found {
		return fmt.Errorf("%w: %d", ErrNoGroup, id)
	}
	return e.note(e.groups[at].group, input)
}

func (e *Engine) note(g *group, input func(*raft.Raft) (stirred bool)) error {
	if g.fenced != nil {
		return g.fenced
	}
	e.pass(g)
	stirred := false
	if err := g.run(func(core *raft.Raft) error { stirred = input(core); return nil }); err != nil || stirred {
		e.touch(g)
	}
	return g.fenced
}

// Each gives an input to every group.
func (e *Engine) Each(input func(raft.GroupID, *raft.Raft)) {
	for _, s := range e.groups {
		_ = e.input(s.group, func(core *raft.Raft) error { input(s.id, core); return nil })
	}
}

func (e *Engine) input(g *group, input func(*raft.Raft) error) error {
	if g.fenced != nil {
		return g.fenced
	}
	e.pass(g)
	e.touch(g)
	return g.run(input)
}

// run runs one step of the core. A broken invariant shuts the group off: it takes
// no more inputs and, above all, gives no more effects.
func (g *group) run(step func(*raft.Raft) error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case raft.Violation:
			g.fenced, err = p, p
		default:
			panic(p)
		}
	}()
	return step(g.core)
}

func (e *Engine) touch(g *group) {
	if !g.active {
		g.active = true
		e.active = append(e.active, g)
	}
}

func (e *Engine) search(id raft.GroupID) (int, bool) {
	return slices.BinarySearchFunc(e.groups, id, func(s slot, id raft.GroupID) int { return cmp.Compare(s.id, id) })
}
