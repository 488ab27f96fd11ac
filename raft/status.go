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
	Base    EntryID           // what was compacted away ends here
	Config  membership.Config // in force
	Peers   []PeerStatus      // only while leading: every other member, sorted by ID

	ConfigIndex  Index  // where in the log Config stands
	Asleep       bool   // the group has nothing to do, and this node's part in it needs no ticks
	Injured      bool   // this node's disk has lost something, and its peers have not yet given it back
	Transferring NodeID // to whom this leader is handing over; zero: to nobody
}

// PeerStatus is one follower as its leader sees it.
type PeerStatus struct {
	ID       NodeID
	State    progress.State
	Match    Index // known to be on its disk
	Next     Index // sent next
	InFlight int   // messages sent and not yet answered
	Paused   bool  // nothing is sent until it answers
	Injured  bool  // it says so (IN1)
	Active   bool  // it was heard within the last election timeout; where all sleep, before they did
}

// Why says in a word why a follower may lack what its leader has: silent (it does not
// answer), snapshot (one is on its way to it), probe (nobody knows yet what it has), paused
// (it has not answered what was sent); empty if nothing holds it up.
func (p *PeerStatus) Why() string {
	switch {
	case !p.Active:
		return "silent"
	case p.State != progress.Replicate:
		return p.State.String()
	case p.Paused:
		return "paused"
	default:
		return ""
	}
}

// Status returns what this node knows at the moment.
func (r *Raft) Status() Status {
	s := Status{
		ID: r.cfg.ID, Role: r.role, Term: r.term, Vote: r.vote, Leader: r.lead,
		Commit: r.commit, Applied: r.applied, Durable: r.disk.durable,
		Last: r.log.last(), Base: r.log.base, Asleep: r.asleep, Injured: r.injured != 0,
	}
	s.Config, s.ConfigIndex = r.Members()
	if r.leading == nil {
		return s
	}
	s.Transferring = r.leading.transfer.to
	for i := range r.leading.peers {
		p := &r.leading.peers[i]
		s.Peers = append(s.Peers, PeerStatus{
			ID: p.id, State: p.State, Match: p.Match, Next: p.Next,
			InFlight: p.InFlight(), Paused: !p.CanSend(), Active: r.active(p.id), Injured: p.injured != 0,
		})
	}
	return s
}

// Leader returns the leader of the current term, zero while it is unknown, and
// the term: Status for those who ask after every step.
func (r *Raft) Leader() (NodeID, Term) { return r.lead, r.term }
