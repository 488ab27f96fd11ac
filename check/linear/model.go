package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// state is a key at one moment. Revision zero is one that nobody was ever told:
// of a write whose outcome stayed unknown and whose value nobody read. A
// condition cannot name it, so that "not equal" is the exact answer.
type state struct {
	exists   bool
	value    string
	revision uint64 // of its last change
	floor    uint64 // the store had at least this revision
}

// model is what the HTTP API promises for one key.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, input, _ any) (bool, any) {
			return step(s.(state), input.(*Operation))
		},
		DescribeOperation: func(input, _ any) string { return input.(*Operation).String() },
		DescribeState:     func(s any) string { return s.(state).String() },
	}
}

func (s state) String() string {
	if !s.exists {
		return "absent"
	}
	return fmt.Sprintf("%q of revision %d", s.value, s.revision)
}

// step reports whether the operation could end as it did with the key in this
// state, and returns the state after it.
func step(s state, o *Operation) (bool, state) {
	if o.Kind == Get {
		return s.read(o)
	}
	holds := (o.IfMatch == 0 || s.exists && s.revision == o.IfMatch) && (!o.IfAbsent || !s.exists)
	switch o.Outcome {
	case Refused:
		return !holds, s
	case Absent:
		return holds && !s.exists && s.sees(o.Revision), s.at(o.Revision)
	case Unknown:
		if !holds && o.Revision != 0 { // somebody saw that it was carried out
			return false, s
		}
		if !holds {
			return true, s
		}
	}
	// What is done at a revision is done after all that was known before.
	if !holds || o.Revision != 0 && o.Revision <= s.floor {
		return false, s
	}
	if o.Kind == Delete {
		return s.exists || o.Outcome != OK, state{floor: max(s.floor, o.Revision)}
	}
	return true, state{true, o.Value, o.Revision, max(s.floor, o.Revision)}
}

// read is the step of a get.
func (s state) read(o *Operation) (bool, state) {
	switch o.Outcome {
	case Unknown:
		return true, s
	case Absent:
		return !s.exists && s.sees(o.Store), s.at(o.Store)
	}
	same := s.exists && s.value == o.Value && s.revision == o.Revision
	return same && s.sees(o.Store), s.at(o.Store)
}

// sees reports whether the store can be at this revision, zero being unknown.
func (s state) sees(revision uint64) bool { return revision == 0 || revision >= s.floor }

// at is the state after the store was seen at a revision.
func (s state) at(revision uint64) state {
	s.floor = max(s.floor, revision)
	return s
}
