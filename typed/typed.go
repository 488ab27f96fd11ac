// Package typed gives the commands of a state machine, and their results, types of
// Go. It says what a command is in bytes by two functions of yours, and nothing
// else: no format, no reflection.
//
// A result is handed over as it is, within one process, so that it needs no bytes.
package typed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// Codec says how commands of type C travel through the log. Commands live as long
// as the log does: Decode must know what every earlier version of the program has
// encoded, and answer the same on every node.
type Codec[C any] struct {
	Encode func(C) ([]byte, error)
	Decode func([]byte) (C, error) // must not keep the bytes, unless copied
}

// Command is one committed command on its way through a state machine.
type Command[C, R any] struct {
	Index   raft.Index
	Command C
	Result  R // set by Apply; handed to the caller of Propose on this node
}

// StateMachine is a [quorate.StateMachine], all of whose rules hold, with typed
// commands. If it also has the methods Applied and Sync of a
// [quorate.DurableStateMachine], it is one of those.
type StateMachine[C, R any] interface {
	Apply(batch []Command[C, R]) error
	Snapshot() (quorate.View, error)
	Restore(r io.Reader) error
}

// ErrUndecodable is what Propose returns for a command that Decode refuses. It is in
// the log and was carried out nowhere.
var ErrUndecodable = errors.New("typed: the command cannot be decoded; was it encoded by a newer version of the program?")

// outcome is what a command comes to. It has a type of its own so that R may be any,
// also an interface.
type outcome[R any] struct {
	result R
	err    error // ErrUndecodable
}

// Machine is the state machine for [quorate.GroupConfig]. A command that cannot be
// decoded does not reach m; neither does its index.
func Machine[C, R any](codec Codec[C], m StateMachine[C, R]) quorate.StateMachine {
	plain := &machine[C, R]{codec: codec, StateMachine: m}
	if d, ok := m.(progress); ok {
		return &durable[C, R]{machine: plain, progress: d}
	}
	return plain
}

type machine[C, R any] struct {
	StateMachine[C, R]
	codec Codec[C]
	batch []Command[C, R] // reused
	from  []int           // where the commands of batch stand in the one that was given
}

// progress is what a durable machine has more.
type progress interface {
	Applied() raft.Index
	Sync() error
}

type durable[C, R any] struct {
	*machine[C, R]
	progress
}

// Apply decodes the commands and passes on those that can be decoded.
func (m *machine[C, R]) Apply(batch []quorate.Command) error {
	m.batch, m.from = m.batch[:0], m.from[:0]
	for i := range batch {
		c, err := m.codec.Decode(batch[i].Data)
		if err != nil {
			batch[i].Result = outcome[R]{err: fmt.Errorf("%w: %w", ErrUndecodable, err)}
			continue
		}
		m.batch = append(m.batch, Command[C, R]{Index: batch[i].Index, Command: c})
		m.from = append(m.from, i)
	}
	if len(m.batch) == 0 {
		return nil
	}
	err := m.StateMachine.Apply(m.batch)
	for i, at := range m.from {
		batch[at].Result = outcome[R]{result: m.batch[i].Result}
	}
	clear(m.batch)
	return err
}

// Group is a [quorate.Group] whose state machine was made by [Machine] of the same
// types. Its other methods are those of the group.
type Group[C, R any] struct {
	*quorate.Group
	Codec Codec[C]
}

// Propose is [quorate.Group.Propose]. An error of Encode says that nothing was
// proposed.
func (g Group[C, R]) Propose(ctx context.Context, command C) (result R, err error) {
	data, err := g.Codec.Encode(command)
	if err != nil {
		return result, fmt.Errorf("typed: the command cannot be encoded: %w", err)
	}
	answer, err := g.Group.Propose(ctx, data)
	if err != nil {
		return result, err
	}
	if o, ok := answer.(outcome[R]); ok {
		return o.result, o.err
	}
	// It was carried out, and what came of it cannot be said.
	return result, fmt.Errorf("%w: typed: the state machine of this group answers with a %T; was it made by typed.Machine of the same types?", quorate.ErrUnknownOutcome, answer)
}
