package fsmtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// history is the commands of a run, and the chance with which it is played.
type history struct {
	seed     uint64
	rng      *rand.Rand
	commands []quorate.Command // with neither gaps nor repetitions, but not with consecutive indices
}

// draw returns the history of a run. Their lengths rise, so that the first one
// that breaks a promise is short.
func (k *kit) draw(run int) *history {
	h := &history{seed: k.First + uint64(run)}
	h.rng = rand.New(rand.NewPCG(h.seed, 0))
	at := raft.Index(0)
	for range max(1, k.Commands*(run+1)/k.Runs) {
		at++
		if h.rng.IntN(4) == 0 { // entries that are no commands stand between them
			at += raft.Index(h.rng.IntN(3))
		}
		h.commands = append(h.commands, quorate.Command{Index: at, Data: k.Command(h.rng)})
	}
	return h
}

// somewhere cuts the history in two.
func (h *history) somewhere() (before, after []quorate.Command) {
	n := h.rng.IntN(len(h.commands) + 1)
	return h.commands[:n], h.commands[n:]
}

// batching says how many of the commands that are left the next batch takes.
type batching struct {
	name string
	next func(left int) int
}

var (
	single = batching{"one at a time", func(int) int { return 1 }}
	whole  = batching{"all in one batch", func(left int) int { return left }}
)

func (h *history) mixed() batching {
	return batching{"in batches of different sizes", func(left int) int { return 1 + h.rng.IntN(min(left, 10)) }}
}

// play applies commands and returns their results.
func play(m quorate.StateMachine, commands []quorate.Command, how batching) ([]any, error) {
	var results []any
	for len(commands) > 0 {
		n := how.next(len(commands))
		batch, err := apply(m, commands[:n])
		if err != nil {
			return nil, err
		}
		for i := range batch {
			results = append(results, batch[i].Result)
		}
		commands = commands[n:]
	}
	return results, nil
}

// apply applies one batch, in memory of its own.
func apply(m quorate.StateMachine, commands []quorate.Command) ([]quorate.Command, error) {
	batch := make([]quorate.Command, len(commands))
	for i, c := range commands {
		batch[i] = quorate.Command{Index: c.Index, Data: bytes.Clone(c.Data)}
	}
	if err := m.Apply(batch); err != nil {
		return nil, fmt.Errorf("an Apply returned an error, which stops a group for good; that a command is refused is a Result: %w", err)
	}
	return batch, nil
}

// snapshot returns what a View of the state writes now.
func snapshot(m quorate.StateMachine) ([]byte, error) {
	view, err := m.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("taking a Snapshot: %w", err)
	}
	return written(view)
}

// written returns what a View writes, and closes it.
func written(view quorate.View) ([]byte, error) {
	var b bytes.Buffer
	n, err := view.WriteTo(&b)
	if err != nil {
		return nil, fmt.Errorf("a View's WriteTo: %w", err)
	}
	if n != int64(b.Len()) {
		return nil, fmt.Errorf("a View's WriteTo wrote %d bytes and returned %d", b.Len(), n)
	}
	if err := view.Close(); err != nil {
		return nil, fmt.Errorf("a View's Close: %w", err)
	}
	return b.Bytes(), nil
}
