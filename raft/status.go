package raft

import (
	"fmt"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/progress"
)

// Role is what a node is to its group at the moment. §5.1
type Role uint8

// The roles. All start as followers.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)

func (r Role) String() string {
	if r > Leader {
		return fmt.Sprintf("role(%d)", uint8(r))
	}
	return [...]string{"follower", "pre-candidate", "candidate", "leader"}[r]
}

// Status is a copy of what a node knows, for people and their tools.
type Status struct {
	ID      NodeID
	Role    Role
	Term    Term
	Vote    NodeID // in this term; zero while free
	Leader  NodeID // of this term; zero while unknown
	Commit  Index
	Applied Index
	Durable Index // the last entry on this node's disk
	Last    EntryID
	Base    EntryID // what was compacted away ends here
	Config  membership.Config
	Peers   []PeerStatus // only while leading: every other member, sorted by ID
}

// PeerStatus is one follower as its leader sees it.
type PeerStatus struct {
	ID       NodeID
	State    progress.State
	Match    Index // known to be on its disk
	Next     Index // sent next
	InFlight int   // messages sent and not yet answered
	Paused   bool  // nothing is sent until it answers
	Active   bool  // it was heard within the last election timeout
}
