package raft

import (
	"errors"
	"fmt"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

// NodeID names a member of a group; zero is no node.
type NodeID = quorum.NodeID

// Index is a position in the log, counted from 1; zero is before the first entry.
type Index = quorum.Index

// Term numbers elections; zero is before the first. §5.1
type Term uint64

// GroupID names one Raft group of the many that a host runs.
type GroupID uint64

// EntryID names an entry for ever: at most one leader per term places at most
// one entry at an index. §5.3
type EntryID struct {
	Term  Term
	Index Index
}

func (id EntryID) String() string { return fmt.Sprintf("%d/%d", id.Term, id.Index) }

// newer reports whether a log that ends in id is more up to date than one that
// ends in other (§5.4.1): the later term, or in the same term the longer log.
func (id EntryID) newer(other EntryID) bool {
	if id.Term != other.Term {
		return id.Term > other.Term
	}
	return id.Index > other.Index
}

// EntryKind says who an entry is for.
type EntryKind uint8

// The kinds of entries: for the state machine; for nobody (a leader's first, L2);
// for the group itself.
const (
	Command EntryKind = iota + 1
	Blank
	Membership
)

// Entry is one slot of the log. Its bytes never change once it is in a log.
type Entry struct {
	EntryID
	Kind   EntryKind
	Data   []byte             // Command only
	Config *membership.Config // Membership only: the configuration from here on (M2)
}

// EntryOverhead is what an entry weighs besides its data, in bytes: many that are empty
// take memory, too.
const EntryOverhead = 64

// Size is what an entry weighs in windows and quotas, in bytes.
func (e *Entry) Size() uint64 { return uint64(len(e.Data)) + EntryOverhead }

// Span is a run of entries together with the entry just before it. Inside the
// core a Span is always well formed; the doors through which one enters (a
// message, a disk) call Check.
type Span struct {
	Prev    EntryID
	Entries []Entry
}

// Last returns the entry that the span ends with: Prev if it has none.
func (s Span) Last() EntryID {
	if n := len(s.Entries); n > 0 {
		return s.Entries[n-1].EntryID
	}
	return s.Prev
}

var errSpan = errors.New("raft: entries are not consecutive, or their terms fall")

// Check returns an error unless the entries follow Prev and each other without a
// gap, with terms that never fall, each of a known kind.
func (s Span) Check() error {
	if (s.Prev.Term == 0) != (s.Prev.Index == 0) {
		return errSpan
	}
	prev := s.Prev
	for i := range s.Entries {
		e := &s.Entries[i]
		if e.Index != prev.Index+1 || e.Index == 0 || e.Term < prev.Term || e.Term == 0 {
			return errSpan
		}
		if err := e.checkKind(); err != nil {
			return err
		}
		prev = e.EntryID
	}
	return nil
}

func (e *Entry) checkKind() error {
	switch e.Kind {
	case Command, Blank:
		if e.Config != nil {
			return errors.New("raft: an entry that is no membership change carries a configuration")
		}
		return nil
	case Membership:
		if e.Config == nil {
			return errors.New("raft: a membership entry without a configuration")
		}
		return e.Config.Check()
	default:
		return fmt.Errorf("raft: entry %v has the unknown kind %d", e.EntryID, e.Kind)
	}
}

// HardState must survive a crash. The zero value means "unchanged" in Effects.
type HardState struct {
	Term   Term
	Vote   NodeID // in Term; zero while free
	Commit Index  // what was known when this was written: a head start, never a reason to write

	// Injured says that this disk has lost something that it once had, and may have
	// forgotten promises; whoever reads the disk sets it. The node's part in the group
	// ends it once the others have given back what matters (IN4).
	Injured bool
}

// Snapshot stands for every entry up to ID: the state machine's state there is
// kept by the host under this name, the configuration in force there is here, and where
// in the log it stood: all nodes name a configuration by that.
type Snapshot struct {
	ID     EntryID
	Config membership.Config

	// ConfigIndex is where Config stood; zero if that is forgotten, as in what an earlier
	// version has written. ID's index stands for it then.
	ConfigIndex Index
}

// Check returns an error unless the snapshot covers something and its
// configuration is legal.
func (s *Snapshot) Check() error {
	if s.ID.Index == 0 || s.ID.Term == 0 || s.ID.Index == quorum.MaxIndex {
		return errors.New("raft: a snapshot that covers no entry")
	}
	if len(s.Config.Members) == 0 {
		return errors.New("raft: a snapshot without members")
	}
	if s.ConfigIndex > s.ID.Index {
		return errors.New("raft: a snapshot with a later configuration")
	}
	return s.Config.Check()
}
