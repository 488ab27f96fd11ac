package sim

import (
	"fmt"

	"github.com/quorate-db/quorate/env"
)

// Watchable is a Store that tells watchers what happens to its keys, and remembers it
// until that is compacted away.
type Watchable interface {
	Modelled

	// Hub returns what tells the watchers of one life of a node. It is called before
	// the first command comes.
	Hub(env.Env) (Hub, error)

	// Compact returns the command that lets the store forget what was before a
	// revision.
	Compact(revision uint64) []byte
}

// Hub is where the watchers of one node meet.
type Hub interface {
	// Watch has a stream told of all changes of a key, or of all keys that begin
	// with it, from a revision on; zero: from the next. The error says why not.
	Watch(key string, prefix bool, from uint64) (Stream, error)

	// Close ends all streams, and whatever the hub has begun.
	Close()
}

// Stream tells one watcher what happens.
type Stream interface {
	// Revision is how far the node has come.
	Revision() uint64

	// Next returns what is to be told next, if anything is, and does not wait. If it
	// has returned something, or might if it were called again, Wake receives.
	Next() (t Told, ok bool, err error)
	Wake() <-chan struct{}
	Closed() <-chan struct{} // nothing more will come

	// Ask has the watcher told how far it has come, once it is up to date.
	Ask()
	Close()
}

// Told is what a watcher is told at once.
type Told struct {
	Changes   []Change // whole revisions, in order
	Revision  uint64   // with these it has been told of everything up to here
	Compacted uint64   // not zero: nothing more will come, for what was before this revision is gone
}

// Change is what one revision did to one key.
type Change struct {
	Key      string
	Value    string
	Deleted  bool
	Revision uint64
}

func (c Change) String() string {
	if c.Deleted {
		return fmt.Sprintf("no %s at %d", c.Key, c.Revision)
	}
	return fmt.Sprintf("%s=%s at %d", c.Key, c.Value, c.Revision)
}
