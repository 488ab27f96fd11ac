package sim

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// conclude judges what is left: states, disks, and what the clients saw (E1, E3).
func (s *run) conclude() {
	for g := range s.judges {
		first := s.compare(g)
		if first != nil && !s.unjudged {
			s.lastReads(g, first)
		}
	}
	for _, n := range s.nodes {
		if n.down == nil && n.disk.flaws == 0 {
			s.world.fail(verify(n))
		}
	}
	if s.unjudged {
		return
	}
	s.world.fail(s.judgeRevisions())
	s.world.fail(s.judgeHistory())
}

// checkSteps bounds the search for an order, for each key: by what does not depend
// on the machine. A key takes a few thousand.
const checkSteps = 2_000_000

// judgeHistory looks for an order that explains what the clients saw.
func (s *run) judgeHistory() error {
	result, err := linear.CheckSteps(s.history, checkSteps)
	switch {
	case err != nil:
		return fmt.Errorf("sim: the clients have made no history: %w", err)
	case result.Verdict == linear.NotLinearizable:
		return broken("E1", "no order explains what the clients saw of %s:\n%s", result.Key, linear.Text(result.Smallest))
	case result.Verdict == linear.Undecided:
		return broken("E1-undecided", "what the clients saw of %v could not be judged within %d steps", result.Undecided, checkSteps)
	}
	return nil
}

// judgeRevisions looks for a revision that a group has given to two writes, of
// whatever keys.
func (s *run) judgeRevisions() error {
	type revision struct {
		group  string
		number uint64
	}
	given := map[revision]*linear.Operation{}
	for i := range s.history {
		o := &s.history[i]
		if o.Outcome != linear.OK || !changes(o) {
			continue
		}
		r := revision{groupOf(o), o.Revision}
		if other := given[r]; other != nil {
			return broken("E1", "two writes have one revision: %v, and %v", other, o)
		}
		given[r] = o
	}
	return nil
}

// groupOf tells apart the operations of one group and of another, by their keys.
func groupOf(o *linear.Operation) string {
	name := o.Key
	if o.Kind == linear.Txn {
		name = o.Parts[0].Key
	}
	group, _, named := strings.Cut(name, ".") // see key
	if !named {
		return ""
	}
	return group
}

// changes reports whether an operation that was carried out has changed the store.
func changes(o *linear.Operation) bool {
	return o.Kind == linear.Put || o.Kind == linear.Delete ||
		slices.ContainsFunc(o.Parts, func(p linear.Part) bool { return p.Kind == linear.Put })
}

// compare compares the states of a group's members at rest, and returns one of them.
func (s *run) compare(g int) (first *replica) {
	leader := s.leader(g)
	if leader == nil {
		return nil
	}
	var who raft.NodeID
	for _, m := range leader.config.Members {
		n := s.nodes[m.ID-1]
		r := n.replicas[g]
		if !n.serving() || r.applied != leader.last {
			continue
		}
		if first == nil {
			first, who = r, n.id
		} else if first.store.Hash() != r.store.Hash() {
			s.world.fail(broken("E2", "at rest, after entry %d, the states of nodes %d and %d differ", leader.last, who, n.id))
		}
	}
	return first
}

// lastReads adds to the history what every key of a group is in the end: a write
// that was acknowledged and lost shows here at the latest.
func (s *run) lastReads(g int, r *replica) {
	at := int64(s.world.now)*1000 + 1000
	for k := range s.cfg.Keys {
		o := linear.Operation{Client: len(s.clients), Kind: linear.Get, Key: key(g, k), Call: at + int64(2*k), Return: at + int64(2*k) + 1, Outcome: linear.Absent}
		found := false
		if o.Value, o.Revision, o.Store, found = r.store.Get(o.Key); found {
			o.Outcome = linear.OK
		}
		s.history = append(s.history, o)
	}
}

// verify reads a disk as a new start would (E3).
func verify(n *node) error {
	mem := n.disk.mem.Crash(vfs.Kept)
	if _, err := mem.List("data/wal"); err != nil {
		return nil // it never started
	}
	log, _, err := wal.Open(mem, filepath.Join("data", "wal"), wal.Options{Env: bystander()})
	if err != nil {
		return broken("E3", "the log of node %d cannot be opened: %v", n.id, err)
	}
	if err := log.Close(); err != nil {
		return err
	}
	snaps, err := snap.Open(mem, filepath.Join("data", "snap"))
	if err != nil {
		return broken("E3", "the snapshots of node %d cannot be opened: %v", n.id, err)
	}
	for _, r := range n.replicas {
		if _, _, err := snaps.Latest(r.gid); err != nil {
			return broken("E3", "the newest snapshot of node %d cannot be read: %v", n.id, err)
		}
	}
	return nil
}
