package membership

import (
	"errors"
	"fmt"
	"slices"
)

// ChangeKind is what a change does to its member.
type ChangeKind uint8

// The changes. A member joins as a learner and is promoted once it has caught
// up (M5); Update replaces what the log says about it and nothing else.
const (
	Add ChangeKind = iota + 1
	Promote
	Remove
	Update
)

func (k ChangeKind) String() string {
	if k < Add || k > Update {
		return fmt.Sprintf("change(%d)", uint8(k))
	}
	return [...]string{"add", "promote", "remove", "update"}[k-Add]
}

// Change is one step from a configuration to the next. Promote and Remove need
// only the member's ID.
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
	ErrBadChange   = errors.New("membership: unknown kind of change")
	ErrAddressUsed = errors.New("membership: another member has this address")
)

// Apply returns the configuration after the change. Single-server changes are
// safe because any majority before shares a node with any majority after
// (dissertation 4.1): at most one voter comes or goes.
func (c Config) Apply(change Change) (Config, error) {
	members := slices.Clone(c.Members)
	at, found := c.search(change.Member.ID)
	if err := c.mayApply(change, found); err != nil {
		return Config{}, err
	}
	switch change.Kind {
	case Add:
		m := change.Member
		m.Role = Learner
		members = slices.Insert(members, at, m)
	case Promote:
		if members[at].Role == Voter {
			return Config{}, ErrNotLearner
		}
		members[at].Role = Voter
	case Remove:
		members = slices.Delete(members, at, at+1)
	case Update:
		members[at].Address, members[at].Info = change.Member.Address, change.Member.Info
	}
	next := Config{Members: members}
	if len(members) == 0 {
		return Config{}, ErrLastVoter
	}
	return next, next.Check()
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
	case Promote, Remove:
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
