package quorate

import (
	"io"

	"github.com/quorate-db/quorate/raft"
)

// Command is one committed command on its way through a state machine.
type Command struct {
	Index  raft.Index
	Data   []byte // must not be changed, nor kept after Apply returns, unless copied
	Result any    // set by Apply; handed to the caller of Propose on this node
}

// StateMachine is what a group replicates. Apply must be deterministic: the same
// commands lead to the same state on every node, whatever the time, the machine
// or the order of a map. The host calls Apply, Snapshot and Restore from one
// goroutine; a View is read from another, while Apply goes on.
type StateMachine interface {
	// Apply carries out the commands in order and sets their Results. An error
	// means that the machine cannot go on (its disk failed, say): the group
	// stops on this node. A refused command is a Result, not an error.
	Apply(batch []Command) error

	// Snapshot returns a view of the state as it is now. It must be quick: a
	// view is a promise to write later, not a copy.
	Snapshot() (View, error)

	// Restore replaces the whole state by one that a View has written. It
	// leaves either the old state or the new one, also when it is interrupted.
	Restore(r io.Reader) error
}

// View is a state that no longer changes. WriteTo may be called again after its writer
// has failed: if it writes the same bytes once more, a transfer that broke off goes on
// where it was. If it does not, the transfer begins anew, with another View.
type View interface {
	io.WriterTo
	io.Closer
}

// DurableStateMachine keeps its state on disk itself and knows how far it has
// come, so that a restart continues there instead of at a snapshot.
type DurableStateMachine interface {
	StateMachine

	// Applied returns the index of the last command whose effects the state
	// holds; after a Restore, of the snapshot's last command. Apply stores it in
	// the same atomic write as the effects, so that no command counts twice.
	Applied() raft.Index

	// Sync makes everything applied so far durable. Only then may the log that
	// led there be compacted.
	Sync() error
}

// StagingStateMachine is a durable one that takes a snapshot in beside its state while it
// arrives. A large one is then written to the disk once; with Restore, twice, one after the
// other: first as a file, which is there should the process die during the second.
type StagingStateMachine interface {
	DurableStateMachine

	// Stage reads what a View has written, up to io.EOF, and keeps it beside the state,
	// which stays as it is, under the index that it stands for. When it returns nil,
	// it is whole and durable; after an error it is not there. It is called from a
	// goroutine of its own, one at a time, while everything else goes on.
	Stage(at raft.Index, r io.Reader) error

	// Adopt makes what was staged under an index, perhaps before a restart, the state,
	// durably. False: there is none, and nothing has changed. A crash leaves the old state, and
	// what was staged, or the new state.
	Adopt(at raft.Index) (bool, error)

	// Unstage removes what is staged under an index and those before it. It may be called
	// while something is being staged.
	Unstage(upTo raft.Index) error
}
