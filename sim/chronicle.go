package sim

import (
	"cmp"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/raft"
)

// chronicle is what has happened to the keys of a group: what the commands that nodes
// have applied have done, each once, as the model says, and not the history which
// watchers are told from.
type chronicle struct {
	changes   []Change   // in order
	index     raft.Index // of the last command
	revision  uint64     // of the last
	compacted uint64     // the highest revision that any node has compacted up to
}

// add writes down what a command has done.
func (c *chronicle) add(changes []Change, compacted uint64) {
	c.compacted = max(c.compacted, compacted)
	if n := len(changes); n > 0 && changes[n-1].Revision > c.revision {
		c.changes = append(c.changes, changes...)
		c.revision = changes[n-1].Revision
	}
}

// since returns the changes from a revision on up to another, both included.
func (c *chronicle) since(from, to uint64) []Change {
	at := func(c Change, revision uint64) int { return cmp.Compare(c.Revision, revision) }
	first, _ := slices.BinarySearchFunc(c.changes, from, at)
	end, _ := slices.BinarySearchFunc(c.changes, to+1, at)
	return c.changes[first:max(first, end)]
}

// wish is which changes a watcher wants to be told of.
type wish struct {
	key    string
	prefix bool   // all keys that begin with it
	next   uint64 // the first revision that it has not been told all of; zero: what comes next
}

func (w *wish) wants(c Change) bool {
	return c.Key == w.key || w.prefix && strings.HasPrefix(c.Key, w.key)
}

// lacks returns the first change that a watcher was not told of yet.
func (c *chronicle) lacks(w *wish) (Change, bool) {
	if w.next == 0 {
		return Change{}, false
	}
	all := c.since(w.next, c.revision)
	if i := slices.IndexFunc(all, w.wants); i >= 0 {
		return all[i], true
	}
	return Change{}, false
}

// heard holds what a watcher is told against what has happened (I15): every change
// that it wants, once, in order, and none that nobody has applied.
func (j *judge) heard(n *node, w *wish, t *Told) error {
	c := &j.chronicle
	switch {
	case t.Compacted != 0 && (t.Compacted > c.compacted || t.Compacted <= w.next):
		return broken("I15", "node %d tells who watches from revision %d on that what was before %d is gone; compacted is what was before %d",
			n.id, w.next, t.Compacted, c.compacted)
	case t.Compacted != 0:
		return nil
	case t.Revision+1 < w.next:
		return broken("I15", "node %d tells who watches from revision %d on of everything up to %d: it goes back", n.id, w.next, t.Revision)
	case t.Revision > c.revision && len(c.changes) > 0:
		return broken("I15", "node %d tells who watches of everything up to revision %d, and nobody has applied more than %d", n.id, t.Revision, c.revision)
	}
	told := t.Changes
	for _, happened := range c.since(w.next, t.Revision) {
		switch {
		case !w.wants(happened):
		case len(told) == 0 || told[0].Revision > happened.Revision:
			return broken("I15", "node %d does not tell of %v who watches from %d on, and says that this is all up to %d", n.id, happened, w.next, t.Revision)
		case told[0] != happened:
			return broken("I15", "node %d tells of %v who watches from %d on, and next was %v", n.id, told[0], w.next, happened)
		default:
			told = told[1:]
		}
	}
	if len(told) > 0 {
		return broken("I15", "node %d tells of %v who watches from %d on: that is over, or has never been", n.id, told[0], w.next)
	}
	return nil
}
