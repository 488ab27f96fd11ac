package kv

import "github.com/quorate-db/quorate/raft"

// The largest of everything. The doors (HTTP, gRPC, the client) check what they
// let in against their own, smaller limits; these hold on every node alike, so
// that a door that lets more through cannot make two nodes disagree.
const (
	MaxKeyBytes   = 4 << 10  // a key, or the end of a range
	MaxValueBytes = 16 << 20 // a value; what else is in its command makes it no more than 17 MiB
	MaxOps        = 4096     // compares and operations of a transaction, both branches and nested ones included
	MaxLeases     = 1 << 18  // granted and not revoked
	MaxAlarms     = 1024     // raised by hand
	MaxSessions   = 10_000   // open sessions; one more drops the one unused for longest
	SessionWindow = 32       // answers that a session remembers: writes that may be under way at once
)

// MaxUserSessions is how many sessions a user may have open: one more drops the one
// that this user has not used for longest. Nobody who is not known is a user.
const MaxUserSessions = MaxSessions / 10

// MaxLeaseTTL is the longest life of a lease, in seconds; etcd's.
const MaxLeaseTTL = 9_000_000_000

// SessionID names a session: the log index of the command that opened it. Zero
// is no session.
type SessionID uint64

// LeaseID names a lease, to which keys are attached. Zero is no lease.
type LeaseID int64

// Command is one proposal to the machine.
type Command struct {
	// Session and Sequence make a repeated command count once (dissertation
	// §6.3). Sequences start at 1; a session may have SessionWindow of them under
	// way at once. Both are zero for a command without a session; only a Txn may
	// have one.
	Session  SessionID
	Sequence uint64

	// By is on whose behalf the command is given. While rights are enforced, what it
	// may not do is refused when the command is applied, whatever was found before.
	By Caller

	// Millis is the proposer's clock in Unix milliseconds. It ages sessions and
	// decides nothing else.
	Millis int64

	Do Action
}

// Action is what a command does: [Txn], [OpenSession], [CloseSession],
// [ExpireSessions], [Compact], [Sweep], [GrantLease], [RevokeLease], [NoteRemaining],
// [SetQuota], [SetAlarm] or [ChangeRights].
type Action interface{ action() }

// OpenSession opens a session; the result names it.
type OpenSession struct{}

// CloseSession ends a session.
type CloseSession struct{ Session SessionID }

// ExpireSessions drops the sessions last used before the given time, in Unix
// milliseconds; a session's time is kept in whole seconds.
type ExpireSessions struct{ Before int64 }

// Compact drops the history that only revisions below Revision can see. Reads at
// Revision itself remain possible.
type Compact struct{ Revision int64 }

// Sweep clears away at once more of what a Compact has dropped than the commands
// that follow it would: for who waits for the space.
type Sweep struct{}

// GrantLease begins a lease, to which keys can be attached from then on.
type GrantLease struct {
	ID  LeaseID // not zero; any that is free
	TTL int64   // seconds, 1 to MaxLeaseTTL; for who decides that the lease has run out
}

// RevokeLease ends a lease and deletes the keys that are attached to it, as one
// change of one revision.
type RevokeLease struct {
	ID LeaseID

	// Grant, unless zero, is the index of the command that granted the lease: one
	// that has been granted anew under the same ID is another and stays.
	Grant raft.Index
}

// NoteRemaining keeps how long leases still live, for who decides that after this
// leader. A lease that has been revoked since is passed over.
type NoteRemaining struct {
	// After is [Machine.Noted] as the proposer knows it. If another note came first the
	// whole command is refused with [ErrOvertaken]: of two that are under way only one
	// counts, so that a renewal is not undone by an older note that was late.
	After raft.Index

	Of []Remaining // at most MaxOps
}

// Remaining is how long a lease still lives.
type Remaining struct {
	Grant   raft.Index // of the command that granted it
	Seconds int64      // from when the command was proposed on, or more; the TTL and above: all of it
}

// SetQuota says how many bytes keys may take, with their values and their history;
// zero is any number. See State.Bytes.
type SetQuota struct{ Bytes int64 }

// SetAlarm raises an alarm by hand, or ends one.
type SetAlarm struct {
	Alarm
	On bool
}

func (Txn) action()            {}
func (OpenSession) action()    {}
func (CloseSession) action()   {}
func (ExpireSessions) action() {}
func (Compact) action()        {}
func (Sweep) action()          {}
func (GrantLease) action()     {}
func (RevokeLease) action()    {}
func (NoteRemaining) action()  {}
func (SetQuota) action()       {}
func (SetAlarm) action()       {}

// Check says whether every node would carry the command out, or the [Code] with
// which all would refuse it. What depends on the state (a session, a revision, a
// lease) is not looked at.
func (c Command) Check() error {
	txn, isTxn := c.Do.(Txn)
	grant, isGrant := c.Do.(GrantLease)
	quota, isQuota := c.Do.(SetQuota)
	alarm, isAlarm := c.Do.(SetAlarm)
	change, isChange := c.Do.(ChangeRights)
	note, isNote := c.Do.(NoteRemaining)
	switch {
	case c.Do == nil || c.Millis < 0:
		return ErrMalformed
	case (c.Session == 0) != (c.Sequence == 0):
		return ErrMalformed
	case c.Session != 0 && !isTxn:
		return ErrMalformed
	case isGrant && (grant.ID == 0 || grant.TTL < 1 || grant.TTL > MaxLeaseTTL):
		return ErrMalformed
	case isNote && len(note.Of) > MaxOps:
		return ErrTooManyOps
	case isQuota && quota.Bytes < 0, isAlarm && alarm.Kind != NoSpace && alarm.Kind != Corrupt:
		return ErrMalformed
	case len(c.By.Name) > MaxKeyBytes || c.By.Revision < 0:
		return ErrMalformed
	case isChange:
		return change.check()
	case isTxn:
		return txn.Check()
	}
	return nil
}
