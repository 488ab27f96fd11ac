// Package quorate replicates a state machine over several nodes with Raft.
package quorate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// NodeID names a node; see [raft.NodeID].
type NodeID = raft.NodeID

// GroupID names a group; see [raft.GroupID].
type GroupID = raft.GroupID

// Member is one node of a group; see [membership.Member].
type Member = membership.Member

// Config is how a host runs.
type Config struct {
	Dir       string // data directory; made if it does not exist
	ID        NodeID // zero: drawn at random at the first start, then kept in Dir
	Cluster   uint64 // nodes of different clusters refuse each other
	Listen    string // host:port on which peers are heard
	Advertise string // host:port that peers dial; Listen if empty

	// Peers are addresses known before the log tells them: a node that joins
	// needs them to answer its leader.
	Peers []Member

	HeartbeatInterval time.Duration // 50 ms if zero
	ElectionTimeout   time.Duration // 150 ms if zero; drawn between one and two of it
	SnapshotEntries   uint64        // compact the log every so many entries; 10,000 if zero
	MaxCommandBytes   int           // largest command; 2 MiB if zero
	Logger            *slog.Logger  // discarded if nil
}

// GroupConfig is a group to be started on this host.
type GroupConfig struct {
	ID           GroupID
	Members      []Member // who begins the group; ignored once the group has a log; empty: wait to be invited
	StateMachine StateMachine
}

// The outcomes of a proposal that are not success. All but ErrUnknownOutcome
// say that the command was certainly not carried out and may be sent again.
var (
	ErrNoLeader       = errors.New("quorate: no leader could be reached in time; the command was not proposed")
	ErrUnknownOutcome = errors.New("quorate: the outcome is unknown; the command may or may not be carried out")
	ErrBusy           = errors.New("quorate: too many commands are waiting; try again later")
	ErrTooLarge       = errors.New("quorate: the command is larger than MaxCommandBytes")
	ErrClosed         = errors.New("quorate: the host is closed")
	ErrStopped        = errors.New("quorate: the group has stopped on this node")
)

// Host runs the groups of one node on one log and one set of connections.
type Host struct{}

// Open opens the data directory, replays its log and starts to listen to peers.
func Open(cfg Config) (*Host, error) { panic("soon") }

// Start runs a group on this host.
func (h *Host) Start(cfg GroupConfig) (*Group, error) { panic("soon") }

// ID is this node's ID in all its groups.
func (h *Host) ID() NodeID { panic("soon") }

// Failed is closed once the host cannot go on (a failed sync, say); Err says why.
func (h *Host) Failed() <-chan struct{} { panic("soon") }

// Err says why the host failed, nil while it has not.
func (h *Host) Err() error { panic("soon") }

// Close stops all groups. Leaderships are handed over first, as far as ctx allows.
func (h *Host) Close(ctx context.Context) error { panic("soon") }

// Group is one replicated state machine.
type Group struct{}

// Propose replicates the command and returns what this node's state machine
// made of it. It may be called on any node.
func (g *Group) Propose(ctx context.Context, command []byte) (any, error) { panic("soon") }

// Read returns once this node's state machine has applied everything that was
// committed when Read was called: what it says then is linearizable (§6.4 d).
func (g *Group) Read(ctx context.Context) (raft.Index, error) { panic("soon") }

// Change changes the membership by one member and returns when it is committed.
// If expect is not nil, the change is refused unless it equals the configuration
// in force.
func (g *Group) Change(ctx context.Context, change membership.Change) error { panic("soon") }

// Transfer hands leadership to the given node, or, if zero, to the one most up
// to date, and returns when it leads. It may be called on any node.
func (g *Group) Transfer(ctx context.Context, to NodeID) error { panic("soon") }

// Status is a copy of what this node knows. It never waits for other nodes.
func (g *Group) Status() Status { panic("soon") }

// Status is a group on this node.
type Status struct {
	raft.Status
	Err error // why the group stopped on this node; nil while it runs
}
