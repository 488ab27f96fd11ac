// Package membership says which configurations of a group are legal, and which
// steps lead from one to the next. It does not know logs, terms or when a step
// may be taken: the rules M1, M2, M6 and M7 are decided in package raft.
//
// A configuration is a value: Apply returns a new one and never changes the old.
// Today a step changes one member (dissertation 4.1); the joint configurations
// of section 4.3 have their place in Quorum.
package membership

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/raft/quorum"
)

// NodeID names a member.
type NodeID = quorum.NodeID

// Role is what a member may do.
type Role uint8

// The roles. A learner receives the log and has no vote (M5).
const (
	Learner Role = iota + 1
	Voter
)

func (r Role) String() string {
	switch r {
	case Learner:
		return "learner"
	case Voter:
		return "voter"
	default:
		return fmt.Sprintf("role(%d)", uint8(r))
	}
}

// Member is one node of a group, as the log records it.
type Member struct {
	ID      NodeID
	Role    Role
	Address string // where its transport listens
	Info    string // the application's own words about it; never interpreted here
}

// Config is the membership of a group: members sorted by ID, each once.
type Config struct {
	Members []Member
}

// Limits on what a member may say about itself, in bytes.
const (
	MaxAddress = 1 << 10
	MaxInfo    = 64 << 10
	MaxMembers = 127
)

// New returns a configuration of the given members, in any order.
func New(members ...Member) Config {
	c := Config{Members: slices.Clone(members)}
	slices.SortFunc(c.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return c
}

// Check returns an error unless the configuration is well formed. The doors
// through which one enters (a disk, a message, a user) call it. An empty
// configuration is well formed: a node that waits to be invited has one.
func (c Config) Check() error {
	if len(c.Members) > MaxMembers {
		return fmt.Errorf("membership: %d members, at most %d are allowed", len(c.Members), MaxMembers)
	}
	voters := 0
	for i, m := range c.Members {
		switch {
		case m.ID == 0:
			return errors.New("membership: a member has the ID zero")
		case i > 0 && m.ID <= c.Members[i-1].ID:
			return fmt.Errorf("membership: member %x is listed twice or out of order", m.ID)
		case m.Role != Voter && m.Role != Learner:
			return fmt.Errorf("membership: member %x has unknown %v", m.ID, m.Role)
		case len(m.Address) > MaxAddress || len(m.Info) > MaxInfo:
			return fmt.Errorf("membership: member %x says too much about itself", m.ID)
		}
		if m.Role == Voter {
			voters++
		}
	}
	if len(c.Members) > 0 && voters == 0 {
		return ErrLastVoter
	}
	return nil
}

// Find returns the member with this ID.
func (c Config) Find(id NodeID) (Member, bool) {
	i, found := c.search(id)
	if !found {
		return Member{}, false
	}
	return c.Members[i], true
}

// Voter reports whether the node may vote and campaign.
func (c Config) Voter(id NodeID) bool {
	m, found := c.Find(id)
	return found && m.Role == Voter
}

// Quorum returns the sets that must agree.
func (c Config) Quorum() quorum.Joint {
	voters := make(quorum.Voters, 0, len(c.Members))
	for _, m := range c.Members {
		if m.Role == Voter {
			voters = append(voters, m.ID)
		}
	}
	return quorum.Joint{voters}
}

func (c Config) search(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(c.Members, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
}
