// Package rafttest runs a few cores in one thread, for tests: messages lie on a
// wire until they are delivered or lost, writes lie before a disk until they are
// synced or lost. Nothing happens that was not asked for, so that a schedule is
// a list of calls. The script files of package raft are played here.
package rafttest

import (
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Cluster is a group of nodes, its wire and its disks.
type Cluster struct {
	Nodes  []*Node // Nodes[i] has the ID i+1
	Wire   []raft.Message
	Seed   uint64
	Config raft.Config       // of every node; ID, Seed and Applied are set for each
	Trace  func(line string) // told in words what happens; nil: nobody listens
	Event  func(raft.Event)  // told by which rules, if Config.Trace is set; nil: nobody listens

	first raft.Snapshot // what every first member begins with
}

// Node is one member: its core while it is up, and what its disk holds.
type Node struct {
	ID      raft.NodeID
	Core    *raft.Raft // nil while down
	Disk    raft.Saved
	Applied []raft.Entry // commands, in order; what a snapshot covers included
	Reads   []raft.Read  // answered
	Synced  bool         // writes are durable as soon as they are taken

	queue   []queued
	taken   raft.Index // committed entries up to here have been taken from the core
	applied raft.Index // the state machine's, lost in a crash
	images  map[raft.Index][]raft.Entry
	starts  uint64
	seen    raft.Status    // when it was last traced
	written raft.HardState // by the last traced write
}

// queued is one Take on its way to the disk.
type queued struct {
	write raft.Write
	id    uint64
	after []raft.Message
	apply []raft.Entry
	load  *raft.Snapshot
	text  string // the write in words, if somebody listens
}

// New returns a cluster of n voters, started, and nothing else done.
func New(n int, seed uint64, cfg raft.Config) *Cluster {
	c := &Cluster{Seed: seed, Config: cfg}
	var members []membership.Member
	for i := range n {
		members = append(members, membership.Member{ID: raft.NodeID(i + 1), Role: membership.Voter})
	}
	for range n {
		saved, err := raft.Bootstrap(membership.New(members...))
		if err != nil {
			panic(err)
		}
		c.first = saved.Base
		c.AddNode(saved)
	}
	return c
}

// AddNode starts one more node with the given disk; an empty disk makes a node
// that waits to be invited.
func (c *Cluster) AddNode(disk raft.Saved) *Node {
	n := &Node{ID: raft.NodeID(len(c.Nodes) + 1), Disk: disk, Synced: true, images: map[raft.Index][]raft.Entry{}}
	c.Nodes = append(c.Nodes, n)
	c.Start(n.ID)
	return n
}

// Node returns the node with this ID.
func (c *Cluster) Node(id raft.NodeID) *Node { return c.Nodes[id-1] }

// Start starts a node from what its disk holds.
func (c *Cluster) Start(id raft.NodeID) {
	n := c.Node(id)
	n.starts++
	cfg := c.Config
	cfg.ID, cfg.Seed = id, c.Seed*1000+uint64(id)*100+n.starts
	n.load(n.Disk.Base)
	n.taken = n.applied
	core, err := raft.New(cfg, raft.Saved{State: n.Disk.State, Base: n.Disk.Base, Entries: slices.Clone(n.Disk.Entries)})
	if err != nil {
		panic(err)
	}
	n.Core = core
	n.seen, n.written = core.Status(), n.Disk.State
	c.Drain(id)
}

// Crash stops a node; writes that were not synced are lost, as is the state
// machine's state after the log's base.
func (c *Cluster) Crash(id raft.NodeID) {
	n := c.Node(id)
	for _, q := range n.queue {
		if q.text != "" {
			c.tell("%d loses %s", id, q.text)
		}
	}
	n.Core, n.queue = nil, nil
}

// Drain takes the node's effects: messages that may leave lie on the wire, the
// write lies before the disk.
func (c *Cluster) Drain(id raft.NodeID) {
	n := c.Node(id)
	for again := true; again && n.Core != nil; {
		c.tellStep(n)
		fx := n.Core.Take()
		c.Wire = append(c.Wire, fx.Send...)
		n.Reads = append(n.Reads, fx.Reads...)
		if fx.Install != nil {
			n.taken = fx.Install.ID.Index
		}
		q := queued{fx.Write, fx.WriteID, slices.Clone(fx.SendAfter), n.Core.Entries(n.taken, fx.Commit, ^uint64(0)), fx.Install, ""}
		c.tellEvents(&fx)
		c.tellEffects(n, &fx, &q)
		n.queue = append(n.queue, q)
		n.taken = max(n.taken, fx.Commit)
		// What comes with no write, and no write before it, has nothing to wait for.
		for again = false; len(n.queue) > 0 && (n.Synced || n.queue[0].write.Empty()); {
			again = c.Sync(id) || again
		}
	}
}

// Sync makes the oldest write before the node's disk durable, and does what
// waited for it. It reports whether there was one with anything in it.
func (c *Cluster) Sync(id raft.NodeID) bool {
	n := c.Node(id)
	if n.Core == nil || len(n.queue) == 0 {
		return false
	}
	q := n.queue[0]
	n.queue = n.queue[1:]
	if err := n.Disk.Add(q.write); err != nil {
		panic(fmt.Sprintf("node %d: the writes do not connect: %v", id, err))
	}
	c.tellSynced(n, &q)
	c.Wire = append(c.Wire, q.after...)
	if q.load != nil {
		n.load(*q.load)
	}
	n.apply(q.apply)
	if !q.write.Empty() {
		n.Core.Persisted(q.id)
	}
	return len(q.apply) > 0 || !q.write.Empty()
}

// load replaces the state machine's state by a snapshot's.
func (n *Node) load(s raft.Snapshot) {
	n.applied = s.ID.Index
	n.Applied = slices.Clone(n.images[n.applied])
}

// apply hands committed entries to the state machine, which keeps the commands.
func (n *Node) apply(entries []raft.Entry) {
	for _, e := range entries {
		if e.Index != n.applied+1 {
			panic(fmt.Sprintf("node %d was given entry %v after %d", n.ID, e.EntryID, n.applied))
		}
		if e.Kind == raft.Command {
			n.Applied = append(n.Applied, e)
		}
		n.applied = e.Index
	}
	if len(entries) > 0 {
		n.Core.Applied(n.applied)
	}
}

// Compact drops the node's log up to its applied index.
func (c *Cluster) Compact(id raft.NodeID) error {
	n := c.Node(id)
	n.images[n.applied] = slices.Clone(n.Applied)
	err := n.Core.Compact(n.applied)
	c.Drain(id)
	return err
}

// Deliver takes the i-th message off the wire and hands it to its receiver, if
// that is up. A snapshot brings the sender's state along.
func (c *Cluster) Deliver(i int) error {
	m := c.Wire[i]
	c.Wire = slices.Delete(c.Wire, i, i+1)
	return c.Hand(m)
}

// Hand hands a message to its receiver.
func (c *Cluster) Hand(m raft.Message) error {
	if m.To == 0 || int(m.To) > len(c.Nodes) || c.Node(m.To).Core == nil {
		return nil
	}
	n := c.Node(m.To)
	if m.Kind == raft.InstallSnapshot {
		n.images[m.Snapshot.ID.Index] = c.Node(m.From).images[m.Snapshot.ID.Index]
	}
	err := n.Core.Step(m)
	c.Drain(m.To)
	return err
}

// Settle delivers everything in the order in which it was sent, until nothing is
// left on the wire or the bound is reached. Filter says which messages arrive;
// nil means all.
func (c *Cluster) Settle(filter func(raft.Message) bool) error {
	for range 10_000 {
		if len(c.Wire) == 0 {
			return nil
		}
		if filter != nil && !filter(c.Wire[0]) {
			c.Wire = c.Wire[1:]
			continue
		}
		if err := c.Deliver(0); err != nil {
			return err
		}
	}
	return fmt.Errorf("rafttest: %d messages still on the wire after 10,000 deliveries", len(c.Wire))
}

// Tick lets time pass for one node.
func (c *Cluster) Tick(id raft.NodeID) {
	if n := c.Node(id); n.Core != nil {
		n.Core.Tick()
		c.Drain(id)
	}
}

// Leader returns the leader of the latest term, nil if there is none.
func (c *Cluster) Leader() *Node {
	var best *Node
	for _, n := range c.Nodes {
		if n.Core == nil || n.Core.Status().Role != raft.Leader {
			continue
		}
		if best == nil || n.Core.Status().Term > best.Core.Status().Term {
			best = n
		}
	}
	return best
}
