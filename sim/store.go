package sim

import (
	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
)

// Store is a state machine that the simulated clients know how to use, and whose
// answers can be judged: a map from keys to values in which each write has a
// revision.
type Store interface {
	quorate.StateMachine

	// Open returns the command that opens a session, in which a command that is
	// repeated is carried out once. Session returns what its result names.
	Open() []byte
	Session(result any) uint64

	// Command returns the command for an operation of a client, the given one in
	// its session; both are zero without one. Answer returns what its result says: the outcome and the revision
	// of the write.
	Command(session, sequence uint64, o *linear.Operation) []byte
	Answer(o *linear.Operation, result any) (linear.Outcome, uint64)

	// Get reads a key as it is now: its value, the revision of its last change,
	// and that of the store.
	Get(key string) (value string, revision, store uint64, found bool)

	// Hash is equal on two nodes that have applied the same.
	Hash() uint64
}

// NotDone is the outcome of an operation that a store has refused, and will refuse in its
// session for ever: it is no part of the history.
const NotDone linear.Outcome = "not done"

// Transactional is a Store whose clients read and write several keys at one moment,
// too.
type Transactional interface {
	Store

	// Transaction returns the command, in a session, that carries out all parts, puts
	// and deletes, or nothing if the condition of any does not hold. Answer says what
	// its result means.
	Transaction(session, sequence uint64, parts []linear.Part) []byte

	// Look reads the keys of all parts as they are at one moment: it fills in their
	// outcomes, values and revisions, and returns the revision of the store.
	Look(parts []linear.Part) (store uint64)
}

// Durable is a Store that keeps its state itself, on a disk that the simulator
// knows nothing of.
type Durable interface {
	Store
	quorate.DurableStateMachine

	// Crash returns what is found after the process has died: the state at the last
	// Sync, or, as far as the given function wants to keep of what came after it (of
	// so many batches it returns how many), at a later one.
	Crash(keep func(batches int) int) Durable
}
