package linear

import (
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// shrink returns a smaller history of one key that contradicts the model too. It
// only ever leaves out what a linearizable history could lose and stay one;
// otherwise it would invent contradictions, such as a read of a value that nobody
// wrote. What may be lost:
//
//   - everything after a moment, where what is under way then becomes open;
//   - a read, and a write that changed nothing: the others do not notice;
//   - what a client was told: "ok" becomes "done", a condition is dropped;
//   - a change, if no operation that is left would notice (see unnoticed).
//
// It stops when nothing more can be left out, or when the time is up.
func shrink(part []Operation, limit effort) []Operation {
	s := &shrinker{limit: limit, left: 1000}
	part = s.prefix(part)
	for before := -1; before != weight(part); {
		before = weight(part)
		part = s.drop(part)
		part = s.weaken(part)
	}
	return part
}

// shrinker bounds a search: it reads no clock, so it counts tries; each has a
// share of the limit.
type shrinker struct {
	limit effort
	left  int // tries
}

// fails reports whether a history certainly contradicts the model.
func (s *shrinker) fails(part []Operation) bool {
	if s.left == 0 {
		return false
	}
	s.left--
	share := effort{time: max(s.limit.time/500, time.Millisecond)}
	if s.limit.steps > 0 {
		share.steps = max(s.limit.steps/500, 1000)
	}
	return search(part, share) == porcupine.Illegal
}

// prefix returns the shortest beginning that fails. Longer ones fail too, so that
// the end can be found by halving.
func (s *shrinker) prefix(part []Operation) []Operation {
	var ends []int64
	for i := range part {
		if part[i].Outcome != Unknown {
			ends = append(ends, part[i].Return)
		}
	}
	slices.Sort(ends)
	n, _ := slices.BinarySearchFunc(ends, true, func(end int64, _ bool) int {
		if s.fails(until(part, end)) {
			return 0
		}
		return -1
	})
	if n == len(ends) { // the time was up
		return part
	}
	return until(part, ends[n])
}

// until is what had happened at a moment.
func until(part []Operation, end int64) []Operation {
	var early []Operation
	for _, o := range part {
		switch {
		case o.Call > end:
			continue
		case o.Outcome != Unknown && o.Return > end:
			o = o.open()
		}
		if o.Outcome == Unknown {
			o.Revision = 0 // unless somebody had read it by then
		}
		early = append(early, o)
	}
	trace(early)
	return early
}

// open is the operation before its client was told anything.
func (o Operation) open() Operation {
	o.Outcome, o.Return, o.Revision, o.Store = Unknown, 0, 0, 0
	if o.Kind == Get {
		o.Value = ""
	}
	o.Parts = slices.Clone(o.Parts)
	for i := range o.Parts {
		if p := &o.Parts[i]; p.Kind == Get {
			p.Outcome, p.Value, p.Revision = "", "", 0
		}
	}
	return o
}

// drop leaves out runs of operations, long ones first.
func (s *shrinker) drop(part []Operation) []Operation {
	for size := (len(part) + 1) / 2; size > 0; size /= 2 {
		for end := len(part); end > 0; {
			begin := max(end-size, 0)
			rest := slices.Concat(part[:begin], part[end:])
			if unnoticed(part[begin:end], rest) && s.fails(rest) {
				part = rest
			}
			end = begin
		}
	}
	return part
}

// weaken forgets what clients were told of writes, so that less depends on them.
func (s *shrinker) weaken(part []Operation) []Operation {
	for i := range part {
		if o, can := part[i].weaker(); can {
			next := slices.Clone(part)
			next[i] = o
			if s.fails(next) {
				part = next
			}
		}
	}
	return part
}

// weaker is the operation with less known about it, if that is possible.
func (o Operation) weaker() (Operation, bool) {
	if o.Outcome != OK || o.reads() || o.Kind != Delete && !o.conditional() {
		return o, false
	}
	if o.Kind == Delete {
		o.Outcome = Done
	}
	o.IfMatch, o.IfAbsent = 0, false
	o.Parts = slices.Clone(o.Parts)
	for i := range o.Parts {
		o.Parts[i].IfMatch, o.Parts[i].IfAbsent = 0, false
	}
	return o, true
}

// weight falls whenever something was left out.
func weight(part []Operation) int {
	n := len(part)
	for i := range part {
		if _, can := part[i].weaker(); can {
			n++
		}
	}
	return n
}

// unnoticed reports whether a linearizable history that loses these operations is
// linearizable still. Take an order of it: whatever stands between a lost change
// and the next change must be content with the state before. A read of what the
// change wrote is not, nor is a condition on it; nor, if it is the presence of the
// key that changes, whoever was told of the key's presence or absence. An open
// write that did nothing there can be moved to the end instead.
func unnoticed(lost, rest []Operation) bool {
	for i := range lost {
		if l := &lost[i]; l.changes() && slices.ContainsFunc(rest, func(o Operation) bool { return notices(&o, l) }) {
			return false
		}
	}
	return true
}

// notices reports whether an operation may have ended otherwise without the change.
func notices(o, change *Operation) bool {
	if o.Outcome == Refused {
		return true
	}
	for _, p := range o.parts() {
		for _, c := range change.parts() {
			if p.Key == c.Key && p.notices(&c, change.Revision, o.Outcome) {
				return true
			}
		}
	}
	return false
}

// notices reports it for what is done to one key, the change at the given revision.
func (p *Part) notices(change *Part, revision uint64, outcome Outcome) bool {
	switch change.Kind {
	case Get:
		return false
	case Delete:
		return p.Outcome == Absent || p.IfAbsent
	}
	named := revision != 0 && (p.IfMatch == revision || p.Kind == Get && p.Revision == revision)
	switch {
	case p.Kind == Get:
		return named || outcome == OK && p.Value == change.Value
	case p.Kind == Delete && p.Outcome == OK:
		return true
	}
	return named
}
