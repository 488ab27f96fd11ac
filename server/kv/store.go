package kv

// Store keeps sorted pairs. Views are taken and used from any goroutine, also
// while a batch is being committed or the content replaced; everything else comes
// from the one goroutine that applies. Keys are never empty.
type Store interface {
	// View is the content as of the last Commit or Replace. Readers come through
	// here, so it is the Store that publishes whole batches safely; the machine
	// needs no lock for it.
	View() View

	// Batch begins a change. There is at most one at a time.
	Batch() Batch

	// Replace replaces the whole content by the pairs that fill sets, in the order
	// of their keys. If fill fails, or the process dies at any step, the old
	// content is still there, whole.
	Replace(fill func(set func(key, value []byte) error) error) error

	// Stage keeps the pairs that fill sets, in the order of their keys, beside the
	// content and under a number, durably; or, if fill fails, nothing. It comes from a
	// goroutine of its own, one at a time.
	Stage(at uint64, fill func(set func(key, value []byte) error) error) error

	// Adopt replaces the whole content by what was staged under a number, as Replace
	// does. False: there is none.
	Adopt(at uint64) (bool, error)

	// Unstage removes what is staged under a number and those below it.
	Unstage(upTo uint64) error

	// Sync makes all that was committed durable.
	Sync() error
}

// Reader finds pairs.
type Reader interface {
	// Get returns the value of a key, nil if it has none; a value that is there
	// but empty is not nil. It stays as it is, and must not be changed.
	Get(key []byte) ([]byte, error)

	// Iterate walks over the pairs in order. It starts nowhere: Seek first.
	Iterate() Iterator
}

// Iterator is a place in the order of the keys.
type Iterator interface {
	// Seek moves to the first pair at or after key; false if there is none.
	Seek(key []byte) bool

	// Next moves to the next pair; false if there is none.
	Next() bool

	// Pair is the pair at this place. It is valid until the next move.
	Pair() (key, value []byte)

	// Close ends the walk and returns the error, if any, that cut it short.
	Close() error
}

// View is a content that no longer changes.
type View interface {
	Reader
	Close() error
}

// Batch is a change in the making. It reads as if it were committed.
type Batch interface {
	Reader

	// Set and Delete copy what they are given. What goes wrong is said by Commit.
	Set(key, value []byte)
	Delete(key []byte)

	// Commit carries the change out as a whole, or not at all.
	Commit() error

	// Close gives the change up unless it was committed.
	Close() error
}
