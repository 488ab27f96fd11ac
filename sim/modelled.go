package sim

import (
	"time"

	"github.com/quorate-db/quorate/raft"
)

// Modelled is a Store of which a model knows what every command comes to.
type Modelled interface {
	Store

	// Model returns a model of a store to which nothing has happened.
	Model(Times) Model

	// Says is all of a command's result as text.
	Says(result any) string
}

// Model is a group's store as one would explain it: the judge of what the real one
// says.
type Model interface {
	// Apply is told of every command, once and in their order, as soon as any node has
	// carried it out, and of what its result says. It returns what the command has
	// changed, in order, or how far it has compacted; or what is wrong.
	Apply(index raft.Index, command []byte, says string) (changes []Change, compacted uint64, err error)

	// Unrest says what the store still has to do by itself once nobody calls any more,
	// and how long that may take; "" if there is nothing.
	Unrest() (what string, within time.Duration)
}

// Times is what a judge knows of time: more than any of those whom it judges.
type Times interface {
	// Now is the time, since the beginning.
	Now() time.Duration

	// Fastest is how fast the fastest clock of a node may run, against the world's.
	Fastest() float64

	// Jumps is how often any clock was set since a time.
	Jumps(since time.Duration) int
}

// Now implements [Times].
func (s *run) Now() time.Duration { return s.world.now }

// Fastest implements [Times].
func (s *run) Fastest() float64 {
	rate := 1.0
	for i := range s.plan.Actions {
		if a := &s.plan.Actions[i]; a.Do == "clock" {
			rate = max(rate, a.Amount)
		}
	}
	return rate
}

// Jumps implements [Times].
func (s *run) Jumps(since time.Duration) (n int) {
	for _, at := range s.jumps {
		if at >= since {
			n++
		}
	}
	return n
}

// modelled has the model carry out what a node was the first to do, and writes down
// what has happened to the keys.
func (j *judge) modelled(n *node, index raft.Index, command []byte, says string) {
	told := &j.chronicle
	if j.model == nil || index <= told.index {
		return
	}
	told.index = index
	changes, compacted, err := j.model.Apply(index, command, says)
	told.add(changes, compacted)
	j.fail(n, err)
}

// unrest waits for what stores still do by themselves.
func (s *run) unrest() {
	for _, j := range s.judges {
		if j.model == nil {
			continue
		}
		if what, within := j.model.Unrest(); what != "" {
			s.within(within, "", func() string {
				what, _ := j.model.Unrest()
				return what
			})
		}
	}
}
