package check

import (
	"cmp"
	"fmt"
	"hash/crc64"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// Property is something that must hold for a whole group.
type Property string

// The properties: first the paper's (Figure 3), then what it rests on.
const (
	ElectionSafety     Property = "Election Safety"      // at most one leader in a term
	LeaderAppendOnly   Property = "Leader Append-Only"   // a leader's log only grows
	LogMatching        Property = "Log Matching"         // equal entries follow equal logs
	LeaderCompleteness Property = "Leader Completeness"  // later leaders have what was committed
	StateMachineSafety Property = "State Machine Safety" // one entry for each applied index

	OneVote         Property = "One Vote"          // of a node in a term, over all its lives
	NoStepBack      Property = "No Step Back"      // of a term or a commit
	ApplyInOrder    Property = "Apply In Order"    // each entry once, without a gap
	Acknowledgement Property = "Acknowledgement"   // only what is committed is acknowledged
	CommitInLog     Property = "Commit In The Log" // a node commits what it has
)

// Violation says which property was broken, and by whom.
type Violation struct {
	Property Property
	Node     raft.NodeID // that was looked at when it showed
	Text     string      // what contradicts what
}

func (v *Violation) Error() string { return fmt.Sprintf("%s: %s", v.Property, v.Text) }

func broken(p Property, node raft.NodeID, format string, args ...any) error {
	return &Violation{p, node, fmt.Sprintf(format, args...)}
}

// Entry is one slot of a log, with a sum of its content.
type Entry struct {
	raft.EntryID
	Sum uint64 // zero: unknown, and equal to any
}

// Of returns the entry with the sum of its kind and content.
func Of(e *raft.Entry) Entry {
	prev := raft.EntryID{Term: e.Term, Index: e.Index - 1}
	if prev.Index == 0 {
		prev.Term = 0
	}
	record := codec.Record{Write: raft.Write{Append: raft.Span{Prev: prev, Entries: []raft.Entry{*e}}}}
	var room [256]byte // enough for most
	return Entry{e.EntryID, max(1, crc64.Checksum(codec.AppendRecord(room[:0], &record), sums))}
}

var sums = crc64.MakeTable(crc64.ECMA)

// Log is a run of entries that replaces everything after Prev. A whole log is
// the run after what was compacted away. If the node's log does not have Prev, it
// is a snapshot that the node begins with from now on.
type Log struct {
	Prev    raft.EntryID
	Entries []Entry
}

// Observation is a node as it was seen at one moment.
type Observation struct {
	Node   raft.NodeID
	Role   raft.Role
	Term   raft.Term
	Vote   raft.NodeID // in Term; zero while free
	Commit raft.Index
	Log    *Log // what changed since the last observation, or the whole log; nil: nothing
}

// Checker remembers what was seen. Its methods return a *Violation, or nil; after
// a violation it is of no more use. It is not for several goroutines.
type Checker struct {
	nodes   []*node // sorted by ID
	leaders map[raft.Term]raft.NodeID
	votes   map[ballot]raft.NodeID
	entries map[raft.EntryID]origin
	chain   map[raft.Index]committed
	top     raft.Index // the highest index in chain
}

// node is what was last seen of a node.
type node struct {
	Observation
	alive   bool       // seen since it started last
	told    raft.Term  // the highest it spoke of, in all its lives
	base    Entry      // what was compacted away ends here
	log     []Entry    // after base
	checked raft.Index // its log up to here was held against the chain
	applied raft.Index // zero: unknown
}

// New returns a checker that has seen nothing.
func New() *Checker {
	return &Checker{
		leaders: map[raft.Term]raft.NodeID{},
		votes:   map[ballot]raft.NodeID{},
		entries: map[raft.EntryID]origin{},
		chain:   map[raft.Index]committed{},
	}
}

func (c *Checker) node(id raft.NodeID) *node {
	at, known := slices.BinarySearchFunc(c.nodes, id, func(n *node, id raft.NodeID) int { return cmp.Compare(n.Node, id) })
	if !known {
		c.nodes = slices.Insert(c.nodes, at, &node{Observation: Observation{Node: id}})
	}
	return c.nodes[at]
}

// Saw takes in how a node is now. Changes of its log must be told as they
// happen; the rest may be looked at as often as one likes.
func (c *Checker) Saw(o Observation) error {
	n := c.node(o.Node)
	was := n.Observation
	if err := c.term(n, &o); err != nil {
		return err
	}
	stays := n.alive && was.Role == raft.Leader && o.Role == raft.Leader && was.Term == o.Term
	if o.Log != nil {
		if err := c.replace(n, o.Log, stays); err != nil {
			return err
		}
	}
	commit := n.Commit
	n.Observation, n.alive = o, true
	n.Log = nil // the caller's
	if o.Log != nil || o.Commit != commit {
		if err := c.commit(n); err != nil {
			return err
		}
	}
	if o.Role == raft.Leader && !stays {
		return c.elected(n)
	}
	return nil
}

// Forgot says that a node's disk has lost something, and the node knows it: what it
// said before no longer tells what it must say now. What follows from that for the
// group stays as it was.
func (c *Checker) Forgot(id raft.NodeID) {
	c.node(id).told = 0
	//order: what is deleted does not depend on it.
	maps.DeleteFunc(c.votes, func(b ballot, _ raft.NodeID) bool { return b.node == id })
}

// Restarted says that a node begins a new life: what it had only in memory is
// gone. Its next observation must carry its whole log.
func (c *Checker) Restarted(id raft.NodeID) {
	n := c.node(id)
	n.alive, n.Role, n.Commit, n.checked, n.applied = false, raft.Follower, 0, 0, 0
}
