package membership

import (
	"errors"
	"fmt"
	"slices"
)

// ChangeKind is what a change does to its member.
type ChangeKind uint8

// The changes. A member joins as a learner and is promoted once it has caught
// up (M5); Demote makes a voter a learner again; Update replaces what the log
// says about a member and nothing else.
const (
	Add ChangeKind = iota + 1
	Promote
	Remove
	Update
	Demote
)

func (k ChangeKind) String() string {
	if k < Add || k > Demote {
		return fmt.Sprintf("change(%d)", uint8(k))
	}
	return [...]string{"add", "promote", "remove", "update", "demote"}[k-Add]
}

// Change is what shall become of one member. Promote, Demote and Remove need only
// the member's ID.
type Change struct {
	Kind   ChangeKind
	Member Member
}

// Why a change is not legal. The configuration is as it was.
var (
	ErrLastVoter   = errors.New("membership: a group needs at least one voter")
	ErrKnown       = errors.New("membership: this member is in the group already")
	ErrUnknown     = errors.New("membership: no such member in the group")
	ErrNotLearner  = errors.New("membership: this member is a voter already")
	ErrNotVoter    = errors.New("membership: this member is a learner already")
	ErrJoint       = errors.New("membership: the group is between two configurations; leave the joint one first")
	ErrNotJoint    = errors.New("membership: there is no joint configuration to leave")
	ErrBadChange   = errors.New("membership: unknown kind of change")
	ErrAddressUsed = errors.New("membership: another member has this address")
)

// Apply returns the configuration after one change. Single-server changes are
// safe because any majority before shares a node with any majority after
// (dissertation 4.1): at most one voter comes or goes.
func (c Config) Apply(change Change) (Config, error) {
	if c.Joint() {
		return Config{}, ErrJoint
	}
	next, err := c.with(change)
	if err != nil {
		return Config{}, err
	}
	return next, next.Check()
}

// Enter returns the joint configuration between this one and the one after all
// the changes, each made upon the one before.
func (c Config) Enter(stay bool, changes ...Change) (Config, error) {
	if c.Joint() {
		return Config{}, ErrJoint
	}
	target := c
	for _, change := range changes {
		next, err := target.with(change)
		if err != nil {
			return Config{}, err
		}
		target = next
	}
	joint := Config{Members: slices.Clone(target.Members), Stay: stay}
	for i, m := range joint.Members {
		old, _ := c.Find(m.ID)
		joint.Members[i].Old = old.Role
	}
	for _, old := range c.Members {
		if at, stays := joint.search(old.ID); !stays {
			old.Role, old.Old = none, old.Role
			joint.Members = slices.Insert(joint.Members, at, old)
		}
	}
	return joint, joint.Check()
}

// Leave returns the new configuration alone.
func (c Config) Leave() (Config, error) {
	if !c.Joint() {
		return Config{}, ErrNotJoint
	}
	next := Config{}
	for _, m := range c.Members {
		if m.Role != none {
			m.Old = none
			next.Members = append(next.Members, m)
		}
	}
	return next, next.Check()
}

// with returns the configuration after one change, whether legal or not.
func (c Config) with(change Change) (Config, error) {
	members := slices.Clone(c.Members)
	at, found := c.search(change.Member.ID)
	if err := c.mayApply(change, found); err != nil {
		return Config{}, err
	}
	switch change.Kind {
	case Add:
		m := change.Member
		m.Role, m.Old = Learner, none
		members = slices.Insert(members, at, m)
	case Promote:
		if members[at].Role == Voter {
			return Config{}, ErrNotLearner
		}
		members[at].Role = Voter
	case Demote:
		if members[at].Role == Learner {
			return Config{}, ErrNotVoter
		}
		members[at].Role = Learner
	case Remove:
		members = slices.Delete(members, at, at+1)
	case Update:
		m := &members[at]
		m.Priority, m.Address, m.Info = change.Member.Priority, change.Member.Address, change.Member.Info
	}
	if len(members) == 0 {
		return Config{}, ErrLastVoter
	}
	return Config{Members: members}, nil
}

func (c Config) mayApply(change Change, found bool) error {
	switch change.Kind {
	case Add:
		if found {
			return ErrKnown
		}
		return c.freeAddress(change.Member)
	case Update:
		if !found {
			return ErrUnknown
		}
		return c.freeAddress(change.Member)
	case Promote, Demote, Remove:
		if !found {
			return ErrUnknown
		}
		return nil
	default:
		return ErrBadChange
	}
}

// freeAddress refuses an address that another member has: two members behind
// one address would each receive what is meant for the other.
func (c Config) freeAddress(m Member) error {
	for _, other := range c.Members {
		if other.ID != m.ID && m.Address != "" && other.Address == m.Address {
			return ErrAddressUsed
		}
	}
	return nil
}
