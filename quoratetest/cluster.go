// Package quoratetest runs a cluster inside a test: real hosts, one for each node,
// in one process, on disks and a network in memory. Nodes can be cut off, killed and
// started again while the test's own code talks to them.
//
// It is meant for the tests of a program that embeds quorate, and at its best
// inside a bubble of testing/synctest: there an election takes no time, a minute of
// silence a fraction of a second, and every timer still fires in its order. It
// works outside of a bubble, too, in real time.
//
// Two runs of such a test are alike, and not the same: goroutines are scheduled as
// Go sees fit. For runs that a seed repeats to the last bit, with messages that
// are lost, doubled and reordered and disks that tear, put the state machine
// through package sim; for its own promises, through package fsmtest.
//
// Reading order: cluster.go; network.go and stream.go for how frames travel.
package quoratetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/quorum"
	"github.com/quorate-db/quorate/vfs"
)

// Cluster is a group with a node on each of several hosts. Nodes are numbered from
// 1; the number is also the node's ID. Propose, Cut and Heal may be called from any
// goroutine; the other methods, which can fail the test, only from the test's own.
type Cluster struct {
	t       testing.TB
	machine func(node int) quorate.StateMachine
	adjust  []func(*quorate.Config)
	net     *network
	members []quorate.Member // who began the group

	mu    sync.Mutex // never held by who waits, or a bubble's time would stand still
	nodes []*node    // guarded by mu
}

// node is a machine, with its disk, and the process that runs on it or does not.
type node struct {
	number int
	disk   *vfs.Mem
	life   *life // nil while no process runs; guarded by Cluster.mu
}

// life is a process.
type life struct {
	node    int
	host    *quorate.Host
	group   *quorate.Group
	machine quorate.StateMachine
	killed  atomic.Bool // it writes nothing more
}

// groupID is the one group of a cluster.
const groupID quorate.GroupID = 1

// NewCluster starts a cluster of n voters, which ends with the test. It calls
// machine for each start of a node: what it returns is empty, or a
// [quorate.DurableStateMachine] as its storage has it. Each adjust may change the
// configuration of a node, say its SnapshotEntries, at each start.
func NewCluster(t testing.TB, n int, machine func(node int) quorate.StateMachine, adjust ...func(*quorate.Config)) *Cluster {
	t.Helper()
	c := &Cluster{t: t, machine: machine, adjust: adjust, net: newNetwork()}
	for number := 1; number <= n; number++ {
		c.nodes = append(c.nodes, &node{number: number, disk: vfs.NewMem()})
		c.members = append(c.members, c.Member(number))
		c.members[number-1].Role = quorate.Voter
	}
	t.Cleanup(c.close)
	for _, node := range c.nodes {
		c.start(node, c.members)
	}
	return c
}

// Member names a node as one that is to be added to the group, as a learner.
func (c *Cluster) Member(number int) quorate.Member {
	return quorate.Member{ID: quorate.NodeID(number), Role: quorate.Learner, Address: fmt.Sprintf("node-%d:1", number)}
}

// Add starts one more node and returns its number. It waits for a member of the
// group to invite it: see [quorate.Group.Change].
func (c *Cluster) Add() int {
	c.t.Helper()
	c.mu.Lock()
	added := &node{number: len(c.nodes) + 1, disk: vfs.NewMem()}
	c.nodes = append(c.nodes, added)
	c.mu.Unlock()
	c.start(added, nil)
	return added.number
}

var errKilled = errors.New("quoratetest: the process has been killed")

// start starts the process of a node.
func (c *Cluster) start(n *node, members []quorate.Member) {
	c.t.Helper()
	l := &life{node: n.number}
	self := c.Member(n.number)
	cfg := quorate.Config{
		Dir: "data", ID: self.ID, Listen: self.Address, Peers: c.members, LogSegmentBytes: 1 << 20,
		Logger: slog.New(slog.NewTextHandler(c.t.Output(), nil)).With("node", n.number),
		FS: vfs.Inject(n.disk, func(op vfs.Op, _ string) error {
			if l.killed.Load() && op.Changes() {
				return errKilled
			}
			return nil
		}),
		Network: c.net,
	}
	for _, adjust := range c.adjust {
		adjust(&cfg)
	}
	host, err := quorate.Open(cfg)
	if err != nil {
		c.t.Fatalf("quoratetest: node %d cannot be started: %v", n.number, err)
	}
	l.host, l.machine = host, c.machine(n.number)
	l.group, err = host.Start(quorate.GroupConfig{ID: groupID, Members: members, StateMachine: l.machine})
	c.set(n, l) // whatever has become of it: it wants to be ended
	if err != nil {
		c.t.Fatalf("quoratetest: the group cannot be started on node %d: %v", n.number, err)
	}
}

// set begins or ends a life, and returns the one before it.
func (c *Cluster) set(n *node, l *life) (old *life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, n.life = n.life, l
	return old
}

// node returns a node by its number.
func (c *Cluster) node(number int) *node {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if number < 1 || number > len(c.nodes) {
		c.t.Fatalf("quoratetest: there is no node %d; they are numbered from 1 to %d", number, len(c.nodes))
	}
	return c.nodes[number-1]
}

// Kill ends the process of a node as a power cut does: it says nothing to anybody,
// and what it had not synced is lost. Its callers are told that the outcome of what
// they proposed is unknown. A durable state machine keeps what it kept by itself.
func (c *Cluster) Kill(number int) {
	c.t.Helper()
	c.kill(c.node(number))
}

func (c *Cluster) kill(n *node) {
	l := c.set(n, nil)
	if l == nil {
		return
	}
	l.killed.Store(true)
	c.net.unplug(l.host.Addr())
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.host.Close(now) // it complains about its disk
	// Only now, when nobody is answered any more: what a caller was told is on it.
	n.disk = n.disk.Crash(vfs.Lost)
}

// Restart starts the process of a node on what its disk holds; one that runs is
// killed first.
func (c *Cluster) Restart(number int) {
	c.t.Helper()
	n := c.node(number)
	c.kill(n)
	c.start(n, nil)
}

// Cut cuts these nodes off from all others, not from each other. Nobody is told:
// what is sent across is lost, as if a cable had been pulled.
func (c *Cluster) Cut(numbers ...int) { c.net.cut(numbers) }

// Heal lets every node reach every other one again.
func (c *Cluster) Heal() { c.net.heal() }

// Group is the group as a running node offers it to its program. It is another one
// after each start of the node.
func (c *Cluster) Group(number int) *quorate.Group {
	c.t.Helper()
	return c.alive(number).group
}

// Host is what runs on a node: for tests with more groups than one. It is another one
// after each start of the node, which starts only the first group again.
func (c *Cluster) Host(number int) *quorate.Host {
	c.t.Helper()
	return c.alive(number).host
}

// Machine is the state machine of a running node. The host goes on applying
// commands to it: it must know how to let others look.
func (c *Cluster) Machine(number int) quorate.StateMachine {
	c.t.Helper()
	return c.alive(number).machine
}

func (c *Cluster) alive(number int) *life {
	c.t.Helper()
	l := c.node(number).life
	if l == nil {
		c.t.Fatalf("quoratetest: node %d is down; Restart starts it again", number)
	}
	return l
}

// Propose proposes on the node that leads or, if none does, on any that runs; see
// [quorate.Group.Propose].
func (c *Cluster) Propose(ctx context.Context, command []byte) (any, error) {
	lives := c.lives()
	leader := c.find()
	at := max(0, slices.IndexFunc(lives, func(l *life) bool { return l.node == leader }))
	if len(lives) == 0 {
		return nil, fmt.Errorf("quoratetest: no node runs: %w", quorate.ErrNoLeader)
	}
	return lives[at].group.Propose(ctx, command)
}

// lives are the processes that run.
func (c *Cluster) lives() (all []*life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.life != nil && n.life.group != nil {
			all = append(all, n.life)
		}
	}
	return all
}

// patience is how long a cluster may be without a leader before the test fails.
const patience = time.Minute

// Leader waits until a node leads that can reach a majority, and returns its number.
// One that was cut off and has not noticed does not count. The test fails if there
// is none for a minute.
func (c *Cluster) Leader() int {
	c.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if leader := c.find(); leader != 0 {
			return leader
		}
	}
	c.t.Fatalf("quoratetest: for %v no node has led a majority", patience)
	return 0
}

// find returns the node that leads now, zero if none does.
func (c *Cluster) find() (leader int) {
	lives := c.lives()
	var term raft.Term
	for _, l := range lives {
		s := l.group.Status()
		if s.Role == raft.Leader && s.Term > term && c.reachesMajority(l, &s, lives) {
			leader, term = l.node, s.Term
		}
	}
	return leader
}

// reachesMajority reports whether a node reaches most of its group's voters.
func (c *Cluster) reachesMajority(l *life, s *quorate.Status, lives []*life) bool {
	return s.Config.Quorum().Tally(func(id quorate.NodeID) quorum.Ballot {
		up := slices.ContainsFunc(lives, func(other *life) bool { return quorate.NodeID(other.node) == id })
		if up && c.net.reaches(quorate.NodeID(l.node), id) {
			return quorum.Granted
		}
		return quorum.Refused
	}) == quorum.Won
}

// close ends all processes.
func (c *Cluster) close() {
	for _, n := range c.nodes {
		c.kill(n)
	}
}
