package explore

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// Result is what a search came to.
type Result struct {
	States      int // distinct, the first one included
	Transitions uint64
	Depth       int  // actions to the last state
	Complete    bool // no state within the setup's limits is left
	Finding     *Finding
}

// Finding is a state that must not be.
type Finding struct {
	Reason string
	Steps  int    // actions that lead to it: no other way is shorter
	Script string // the same for package rafttest
}

// Run visits the states of a setup, nearest first, until all are visited, limit of
// them are, or one must not be. What it finds does not depend on the number of
// workers. Report, if not nil, is told now and then how far it has come.
func Run(setup Setup, limit, workers int, report func(Result)) (Result, error) {
	root, err := begin(&setup)
	if found, ok := errors.AsType[violation](err); ok {
		return Result{States: 1, Finding: &Finding{Reason: found.reason, Script: tellBegin(&setup, found)}}, nil
	}
	if err != nil {
		return Result{}, err
	}
	s := &search{root: root, visited: newSet(), parents: []uint32{0}, codes: []code{0}}
	s.visited.add(root.hash())
	walkers := make([]walker, workers)
	for i := range walkers {
		walkers[i] = walker{s: s, path: []visit{{0, root}}}
	}
	for from := 0; from < len(s.codes); s.depth++ {
		to := len(s.codes)
		for from < to && s.found == nil && len(s.codes) < limit {
			upTo := min(from+batch*workers, to)
			s.expand(walkers, from, upTo)
			from = upTo
			if report != nil {
				report(s.result(false))
			}
		}
		if s.found != nil || len(s.codes) >= limit {
			break
		}
	}
	result := s.result(s.found == nil && len(s.codes) < limit)
	if s.found != nil {
		result.Finding, err = s.tell(&setup)
	}
	return result, err
}

// search is the tree of the states visited so far. State 0 is the first one;
// parents come before their children, and children of one parent stand together.
type search struct {
	root        *world
	visited     *set
	parents     []uint32
	codes       []code // what leads from the parent to the state
	depth       int    // of the states that are being left
	transitions uint64
	found       *hit
}

// hit is an action that leads to a finding.
type hit struct {
	candidate
	err error
}

// candidate is a state that may be new.
type candidate struct {
	parent uint32
	code   code
	hash   uint64
}

func (s *search) result(complete bool) Result {
	return Result{States: len(s.codes), Transitions: s.transitions, Depth: s.depth + 1, Complete: complete}
}

// A chunk is what a worker takes at once; batch states for each worker are
// expanded before what was found is put together.
const (
	chunk = 256
	batch = 32 * chunk
)

// yield is what the states of a chunk lead to.
type yield struct {
	fresh       []candidate
	transitions uint64
	found       *hit
}

// expand visits the neighbours of the states from <= i < to. The workers only
// read what is known; what they find is added in the order of the states, so
// that it does not matter who was faster.
func (s *search) expand(walkers []walker, from, to int) {
	yields := make([]yield, (to-from+chunk-1)/chunk)
	var next atomic.Int64
	var all sync.WaitGroup
	for i := range walkers {
		w := &walkers[i]
		all.Go(func() {
			for c := int(next.Add(1)) - 1; c < len(yields); c = int(next.Add(1)) - 1 {
				first := from + c*chunk
				yields[c] = w.expand(first, min(first+chunk, to), s.depth)
			}
		})
	}
	all.Wait()
	for _, y := range yields {
		s.transitions += y.transitions
		for _, c := range y.fresh {
			if s.visited.add(c.hash) {
				s.parents, s.codes = append(s.parents, c.parent), append(s.codes, c.code)
			}
		}
		if y.found != nil {
			s.found = y.found
			return
		}
	}
}

// walker is one worker's way through the tree: the states from the first one to
// the one that it last looked at.
type walker struct {
	s       *search
	path    []visit
	actions []action
}

type visit struct {
	state uint32
	world *world
}

// at returns a state. It redoes the actions since the last state that the way to
// it has in common with the way to the one before.
func (k *walker) at(state uint32, depth int) *world {
	if depth < len(k.path) && k.path[depth].state == state {
		return k.path[depth].world
	}
	before := k.at(k.s.parents[state], depth-1)
	w, err := before.next(k.s.codes[state].action())
	if err != nil {
		panic(errors.New("explore: an action does not lead where it led before: " + err.Error()))
	}
	k.path = append(slices.Delete(k.path, depth, len(k.path)), visit{state, w})
	return w
}

func (k *walker) expand(from, to, depth int) (y yield) {
	for state := from; state < to; state++ {
		w := k.at(uint32(state), depth)
		k.actions = w.actions(k.actions[:0])
		for _, a := range k.actions {
			y.transitions++
			next, err := w.next(a)
			if err != nil {
				y.found = &hit{candidate{uint32(state), a.code(), 0}, err}
				return y
			}
			if hash := next.hash(); !k.s.visited.has(hash) {
				y.fresh = append(y.fresh, candidate{uint32(state), a.code(), hash})
			}
		}
	}
	return y
}

// way returns the actions that lead to a hit.
func (s *search) way() []action {
	actions := []action{s.found.code.action()}
	for state := s.found.parent; state != 0; state = s.parents[state] {
		actions = append(actions, s.codes[state].action())
	}
	slices.Reverse(actions)
	return actions
}
