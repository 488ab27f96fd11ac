package linear

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// state is a store at one moment, as far as one part of a history can see it.
type state struct {
	cells []cell // of the part's keys, in their order; never changed once it is there
	floor uint64 // the store had at least this revision
}

// cell is a key at one moment. Revision zero is one that nobody was ever told: of a
// write whose outcome stayed unknown and whose value nobody read. A condition cannot
// name it, so that "not equal" is the exact answer.
type cell struct {
	exists   bool
	value    string
	revision uint64 // of its last change
}

// model is what the HTTP API promises for so many keys, between which transactions
// hold.
func model(keys int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{cells: make([]cell, keys)} },
		Step: func(s, input, _ any) (bool, any) {
			return input.(*call).step(s.(state))
		},
		Equal: func(a, b any) bool {
			return a.(state).floor == b.(state).floor && slices.Equal(a.(state).cells, b.(state).cells)
		},
		DescribeOperation: func(input, _ any) string { return input.(*call).String() },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

func (s state) String() string {
	all := make([]string, len(s.cells))
	for i, c := range s.cells {
		all[i] = c.String()
	}
	return strings.Join(all, ", ")
}

func (c cell) String() string {
	if !c.exists {
		return "absent"
	}
	return fmt.Sprintf("%q of revision %d", c.value, c.revision)
}

// call is an operation in a part of a history.
type call struct {
	*Operation
	what []Part
	at   []int // which cells they are about
	pure bool  // it only reads
}

// step reports whether the operation could end as it did with its keys in this
// state, and returns the state after it.
func (c *call) step(s state) (bool, state) {
	switch holds := c.holds(s); {
	case c.Outcome == Refused:
		return !holds, s
	case !holds: // that it was carried out is known of a revision that somebody saw
		return c.Outcome == Unknown && c.Revision == 0, s
	case c.pure:
		return c.read(s)
	}
	return c.write(s)
}

// holds reports whether every condition does.
func (c *call) holds(s state) bool {
	for i := range c.what {
		p, now := &c.what[i], &s.cells[c.at[i]]
		if p.IfMatch != 0 && (!now.exists || now.revision != p.IfMatch) || p.IfAbsent && now.exists {
			return false
		}
	}
	return true
}

// read is the step of what only reads.
func (c *call) read(s state) (bool, state) {
	return c.Outcome == Unknown || c.saw(s) && s.sees(c.Store), s.at(c.Store)
}

// saw reports whether the state is what the reads were told.
func (c *call) saw(s state) bool {
	for i := range c.what {
		p, now := &c.what[i], s.cells[c.at[i]]
		switch {
		case p.Kind != Get || c.Outcome == Unknown:
		case p.Outcome == Absent && now.exists:
			return false
		case p.Outcome != Absent && now != (cell{true, p.Value, p.Revision}):
			return false
		}
	}
	return true
}

// write is the step of what changes keys, and may read others.
func (c *call) write(s state) (bool, state) {
	next, changed := state{slices.Clone(s.cells), max(s.floor, c.Revision)}, false
	for i := range c.what {
		p, now := &c.what[i], &next.cells[c.at[i]]
		switch p.Kind {
		case Put:
			*now, changed = cell{true, p.Value, c.Revision}, true
		case Delete:
			changed = changed || now.exists
			*now = cell{}
		}
	}
	switch {
	case c.Outcome == Absent: // of a delete; a put cannot find the key absent
		return !changed && c.Kind == Delete && s.sees(c.Revision), next
	case !changed && c.Kind == Txn: // of deletes that found nothing: the store stays where it is
		return c.saw(s) && s.sees(c.Revision), next
	case !changed && c.Outcome == OK:
		return false, s
	}
	// What is done at a revision is done after all that was known before.
	return c.saw(s) && (c.Revision == 0 || c.Revision > s.floor), next
}

// sees reports whether the store can be at this revision, zero being unknown.
func (s state) sees(revision uint64) bool { return revision == 0 || revision >= s.floor }

// at is the state after the store was seen at a revision.
func (s state) at(revision uint64) state {
	s.floor = max(s.floor, revision)
	return s
}
