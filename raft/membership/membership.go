// Package membership says which configurations of a group are legal, and which
// steps lead from one to the next. It does not know logs, terms or when a step
// may be taken: the rules M1, M2, M6 and M7 are decided in package raft.
//
// A configuration is a value: Apply, Enter and Leave return a new one and never
// change the old. Both known ways from one to another are here: Apply changes one
// member in one step (dissertation 4.1); Enter changes any number, through a joint
// configuration in which the old and the new voters must both agree (4.3), and
// Leave ends that.
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

// none is the role of who is no member: of one side of a joint configuration.
const none Role = 0

func (r Role) String() string {
	switch r {
	case Learner:
		return "learner"
	case Voter:
		return "voter"
	case none:
		return "none"
	default:
		return fmt.Sprintf("role(%d)", uint8(r))
	}
}

// Member is one node of a group, as the log records it.
type Member struct {
	ID       NodeID
	Role     Role   // zero in a joint configuration: it leaves
	Old      Role   // only in a joint configuration: its role before; zero: it comes
	Priority uint8  // of voters, those with more take over from those with less once they have caught up
	Address  string // where its transport listens
	Info     string // the application's own words about it; never interpreted here
}

// Config is the membership of a group: members sorted by ID, each once. It is
// joint while any of them has an old role: then the voters by Role and the voters
// by Old decide together.
type Config struct {
	Members []Member
	Stay    bool // joint until somebody asks to leave it, rather than until it is committed
}

// Limits on what a member may say about itself, in bytes.
const (
	MaxAddress = 1 << 10
	MaxInfo    = 16 << 10
	MaxMembers = 127
	MaxWords   = 48 << 10 // all members together
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
	voters, joint, words := c.Quorum(), c.Joint(), 0
	for i, m := range c.Members {
		switch {
		case m.ID == 0:
			return errors.New("membership: a member has the ID zero")
		case i > 0 && m.ID <= c.Members[i-1].ID:
			return fmt.Errorf("membership: member %x is listed twice or out of order", m.ID)
		case m.Role > Voter || m.Old > Voter || m.Role == none && m.Old == none:
			return fmt.Errorf("membership: member %x is said to be %v, before %v", m.ID, m.Role, m.Old)
		case m.Role == none && !joint:
			return fmt.Errorf("membership: member %x has no role", m.ID)
		case len(m.Address) > MaxAddress || len(m.Info) > MaxInfo:
			return fmt.Errorf("membership: member %x says too much about itself", m.ID)
		}
		words += len(m.Address) + len(m.Info)
	}
	if words > MaxWords {
		return fmt.Errorf("membership: the members say %d bytes about themselves, together %d are allowed", words, MaxWords)
	}
	if len(c.Members) > 0 && len(voters[0]) == 0 || joint && len(voters[1]) == 0 {
		return ErrLastVoter
	}
	if c.Stay && !joint {
		return errors.New("membership: a configuration that is not joint has nothing to stay in")
	}
	return nil
}

// Joint reports whether two sets of voters decide together.
func (c Config) Joint() bool {
	return slices.ContainsFunc(c.Members, func(m Member) bool { return m.Old != none })
}

// Find returns the member with this ID.
func (c Config) Find(id NodeID) (Member, bool) {
	i, found := c.search(id)
	if !found {
		return Member{}, false
	}
	return c.Members[i], true
}

// Voter reports whether the node's vote counts, in either set.
func (c Config) Voter(id NodeID) bool {
	m, found := c.Find(id)
	return found && (m.Role == Voter || m.Old == Voter)
}

// Quorum returns the sets that must agree (M3): the new voters, and in a joint
// configuration the old ones too.
func (c Config) Quorum() quorum.Joint {
	var j quorum.Joint
	for _, m := range c.Members {
		if m.Role == Voter {
			j[0] = append(j[0], m.ID)
		}
		if m.Old == Voter {
			j[1] = append(j[1], m.ID)
		}
	}
	return j
}

func (c Config) search(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(c.Members, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
}
