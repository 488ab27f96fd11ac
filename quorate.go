// Package quorate replicates a state machine over several nodes with Raft, and
// keeps going while a minority of them is down.
//
// A program opens a [Host], one per process, and starts groups on it, each with a
// [StateMachine] of its own. What [Group.Propose] returns without an error has
// been decided by a majority, is on the disks of that majority, and has been
// carried out by the state machine of this node. Proposals and reads may be made
// on any node; those that do not lead pass them on.
//
// # Life of a proposal
//
// Propose puts it into the host's inbox (inbox.go). One goroutine, the loop
// (loop.go), feeds what has gathered there to the engine, and carries out the
// batch of effects that comes back: messages to the transport, entries to the log
// writer (writer.go), committed entries to the state machine (apply.go), which
// answers the caller (waiting.go). While one batch is being written, the next one
// gathers; no timer delays an idle system.
//
// # Reading order
//
// host.go, group.go, loop.go, then the files named above; forward.go, ask.go
// and snapshots.go for what passes between hosts, memory.go for which of them are
// believed; start.go and remove.go. No rule of Raft is decided here: those are in
// package raft.
package quorate

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
)

// NodeID names a node; see [raft.NodeID].
type NodeID = raft.NodeID

// GroupID names a group; see [raft.GroupID].
type GroupID = raft.GroupID

// Member is one node of a group; see [membership.Member].
type Member = membership.Member

// Roles of members.
const (
	Voter   = membership.Voter
	Learner = membership.Learner
)

// Config is how a host runs. Only Dir and Listen are needed.
type Config struct {
	Dir       string // data directory; made if it does not exist
	ID        NodeID // zero: drawn at random at the first start, then kept in Dir
	Cluster   uint64 // nodes of different clusters refuse each other
	Listen    string // host:port on which peers are heard
	Advertise string // host:port that peers dial; where it listens if empty

	// Peers are addresses known before the log tells them: a node that joins
	// needs them to answer its leader.
	Peers []Member

	HeartbeatInterval time.Duration // 50 ms if zero
	ElectionTimeout   time.Duration // 150 ms if zero; drawn between one and two of it
	SnapshotEntries   uint64        // compact the log every so many entries, 10,000 if zero,
	SnapshotBytes     uint64        // or so many bytes of them, 64 MiB if zero
	SnapshotRate      int64         // bytes of snapshots sent per second, to all followers together; 512 MiB if zero, negative: no limit
	MaxCommandBytes   int           // largest command; 2 MiB if zero
	MaxPendingBytes   int64         // commands of all groups that wait for a majority or for state machines, in bytes; 512 MiB if zero; ErrBusy refuses more
	MaxLogBytes       int64         // entries in the logs of all groups that are held in memory, in bytes, and 64 more for each; 1 GiB if zero; compacted early from a half on, ErrBusy from three quarters on
	LogSegmentBytes   int64         // size of the log's files; 16 MiB if zero

	// SpaceReserve is how many bytes of the disk that Dir is on are kept free of commands:
	// with less, ErrDiskFull refuses them, and the host goes on with reads, votes and
	// what makes room. If zero, 128 MiB, or a quarter of a disk that is smaller than
	// four times that; negative: none, and commands wait where a write finds no room.
	SpaceReserve int64

	// Lease lets a leader answer reads without asking a majority for as long as
	// none can have elected another (RD3), so long as no clock runs more than a
	// tenth too fast or too slow. All hosts of a group must agree on it.
	Lease bool

	// AlwaysAwake lets groups that have nothing to do go on sending heartbeats, each
	// for itself, as if they had. Where one host of a group is always awake, so is
	// the group.
	AlwaysAwake bool

	// PeerTLS are the credentials with which peers are spoken to; plain TCP if
	// nil. Package transport/certs has them from files. All hosts of a group
	// must agree on whether there are some.
	PeerTLS transport.Credentials

	// FlightWindow is how far back the host remembers what went into the cores of its
	// groups, for Dump and for when an invariant breaks: 30 s if zero; negative: not at
	// all. FlightBytes is the memory for it, of all groups together: 16 MiB if zero.
	FlightWindow time.Duration
	FlightBytes  int

	// Events is told what happens, nobody if nil. Give it room: what finds none is
	// dropped, and counted in Vitals.
	Events chan<- Event

	Logger   *slog.Logger // discarded if nil
	FS       vfs.FS       // the machine's if nil, in the sync mode that is measured to be the faster one
	Env      env.Env      // the machine's if nil
	Network  Network      // TCP if nil
	Observer Observer     // nobody if nil
	Trace    bool         // let the cores tell the Observer which rules they follow
}

// maxCommandBytes is the largest command that fits a frame of the transport with
// some room around it.
const maxCommandBytes = 17 << 20

// maxSegmentBytes is far beyond use, and far from where an offset in a file would take more
// of the log's mark than its 32 bits: peers would take the node for an old copy of itself.
const maxSegmentBytes = 1 << 30

// peerLimits has room for several of the largest commands on the way to a peer: one that
// is sent again, and what clients ask of the leader, shall not push out each other.
func (c *Config) peerLimits() transport.Limits {
	return transport.Limits{QueueBytes: max(32<<20, 4*c.MaxCommandBytes)}
}

// ticksPerHeartbeat divides time finely enough for election timeouts that are
// drawn in ticks to differ.
const ticksPerHeartbeat = 5

func (c Config) withDefaults() (Config, error) {
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, 50*time.Millisecond)
	c.ElectionTimeout = cmp.Or(c.ElectionTimeout, 150*time.Millisecond)
	c.SnapshotEntries = cmp.Or(c.SnapshotEntries, 10_000)
	c.SnapshotBytes = cmp.Or(c.SnapshotBytes, 64<<20)
	c.SnapshotRate = cmp.Or(c.SnapshotRate, 512<<20)
	c.MaxCommandBytes = cmp.Or(c.MaxCommandBytes, 2<<20)
	c.MaxPendingBytes = cmp.Or(c.MaxPendingBytes, 512<<20)
	c.MaxLogBytes = cmp.Or(c.MaxLogBytes, 1<<30)
	c.FlightWindow = cmp.Or(c.FlightWindow, 30*time.Second)
	c.FlightBytes = cmp.Or(c.FlightBytes, 16<<20)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Env == nil {
		c.Env = env.Real()
	}
	if c.Network == nil {
		c.Network = tcp{}
	}
	return c, c.check()
}

// check says what is wrong with a configuration that has its defaults.
func (c *Config) check() error {
	switch {
	case c.Dir == "":
		return errors.New("quorate: Config.Dir is empty: choose a data directory")
	case c.Listen == "":
		return errors.New("quorate: Config.Listen is empty: choose a host:port for the peers")
	case c.Advertise != "" && !isAddress(c.Advertise):
		return fmt.Errorf("quorate: Config.Advertise is %q: it must be the host:port that peers dial, or empty", c.Advertise)
	case c.LogSegmentBytes < 0 || c.LogSegmentBytes > maxSegmentBytes:
		return fmt.Errorf("quorate: Config.LogSegmentBytes is %d: a file of the log has some bytes, 16 MiB if zero, and %d at most", c.LogSegmentBytes, maxSegmentBytes)
	case c.MaxCommandBytes < 0 || c.MaxCommandBytes > maxCommandBytes:
		return fmt.Errorf("quorate: Config.MaxCommandBytes is %d; commands travel in one frame and may have %d bytes at most", c.MaxCommandBytes, maxCommandBytes)
	case c.MaxPendingBytes < 0:
		return fmt.Errorf("quorate: Config.MaxPendingBytes is %d; choose how much memory the commands of all groups may take", c.MaxPendingBytes)
	case c.MaxLogBytes < 0:
		return fmt.Errorf("quorate: Config.MaxLogBytes is %d; choose how much memory the logs of all groups may take", c.MaxLogBytes)
	case c.FlightBytes < 64<<10:
		return fmt.Errorf("quorate: Config.FlightBytes is %d; %d is the least, and a negative FlightWindow records nothing", c.FlightBytes, 64<<10)
	case c.HeartbeatInterval < 5*time.Millisecond:
		return fmt.Errorf("quorate: a heartbeat interval of %v is too short: 5ms is the least", c.HeartbeatInterval)
	case c.ElectionTimeout < 2*c.HeartbeatInterval:
		return fmt.Errorf("quorate: the election timeout %v must be at least twice the heartbeat interval %v, or followers would take silence between heartbeats for death",
			c.ElectionTimeout, c.HeartbeatInterval)
	case c.ElectionTimeout > longestElection:
		return fmt.Errorf("quorate: an election timeout of %v is too long: a group is without a leader for so long if one is lost, and %v is the most", c.ElectionTimeout, longestElection)
	}
	return nil
}

// longestElection is the longest election timeout: far beyond use, and far from where its
// number of ticks would overflow.
const longestElection = 24 * time.Hour

// tick is the unit of time of the cores.
func (c *Config) tick() time.Duration { return c.HeartbeatInterval / ticksPerHeartbeat }

// sleepTimeouts is for how many election timeouts a group has nothing to do before it
// sleeps: long enough that commands which come one after another do not find it asleep.
const sleepTimeouts = 2

// electionTicks is the election timeout in ticks.
func (c *Config) electionTicks() int { return int((c.ElectionTimeout + c.tick() - 1) / c.tick()) }

// core is how this host runs the core of a group.
func (c *Config) core(id NodeID, applied raft.Index) raft.Config {
	sleep := sleepTimeouts * c.electionTicks()
	if c.AlwaysAwake {
		sleep = 0
	}
	return raft.Config{
		SleepTicks: sleep,
		ID:         id, Seed: c.Env.Uint64(), Applied: applied,
		HeartbeatTicks: ticksPerHeartbeat, ElectionTicks: c.electionTicks(), Lease: c.Lease, Trace: c.Trace,
		MaxUncommittedBytes: maxUncommittedBytes,
	}
}

// GroupConfig is a group to be started on this host.
type GroupConfig struct {
	ID           GroupID
	Members      []Member // who begins the group; ignored once the group has a log; empty: wait to be invited
	StateMachine StateMachine

	// From, unless zero, is the index up to which the durable state machines of all
	// first members hold the same already: a backup of a group that is to begin
	// anew. Ignored once the group has a log.
	From raft.Index
}

// The outcomes of a proposal that are not success. All but ErrUnknownOutcome
// say that the command was certainly not carried out and may be sent again.
var (
	ErrNoLeader       = errors.New("quorate: no leader could be reached in time")
	ErrUnknownOutcome = errors.New("quorate: the outcome is unknown; the command may or may not be carried out")
	ErrTooLate        = errors.New("quorate: the context ended before the command was on its way; it is not carried out")
	ErrBusy           = errors.New("quorate: too many commands are waiting; try again later")
	ErrDiskFull       = errors.New("quorate: the disk has too little room left for commands; make room, or try again at another node")
	ErrTooLarge       = errors.New("quorate: the command is larger than MaxCommandBytes")
	ErrNotTakenOver   = errors.New("quorate: leadership was not taken over in time")
	ErrClosed         = errors.New("quorate: the host is closed")
	ErrStopped        = errors.New("quorate: the group has stopped on this node")
)

// ErrRemoved is what becomes of a group that [Host.Remove] has removed.
var ErrRemoved = errors.New("quorate: the group was removed from this node for good; a member that is to take its place needs a node with another ID")

// Status is a group on this node.
type Status struct {
	raft.Status
	Err error // why the group stopped on this node; nil while it runs
}
