package kv

import "fmt"

// Code says why the machine refused a command or a read; zero if it did not. It
// is an error, to be compared with errors.Is. A refused command has certainly not
// changed any key.
type Code uint8

// The refusals. Their numbers are kept in sessions and must not change.
const (
	OK Code = iota
	ErrMalformed
	ErrTooLarge
	ErrTooManyOps
	ErrEmptyKey
	ErrDuplicateKey
	ErrSessionExpired
	ErrSequenceTooOld
	ErrFutureRevision
	ErrCompacted
	ErrKeyNotFound
	ErrLeaseNotFound
	ErrLeaseExists
	ErrTooManyLeases
	ErrNoSpace
	ErrCorrupt
	ErrTooManyAlarms
	ErrNoUser
	ErrOldRights
	ErrDenied
	ErrUserNotFound
	ErrUserExists
	ErrNoRole
	ErrRoleNotFound
	ErrRoleExists
	ErrRoleNotGranted
	ErrRightNotGranted
	ErrInvalidRight
	ErrRootNeeded
	ErrNoRootUser
	ErrNoRootRole
	ErrOvertaken
)

var sentences = [...]string{
	OK:                 "kv: no refusal",
	ErrMalformed:       "kv: the command cannot be read; it was made by another version or damaged before it was proposed",
	ErrTooLarge:        "kv: a key is larger than 4 KiB or a value larger than 16 MiB; store less under one key",
	ErrTooManyOps:      "kv: a transaction has more than 4096 compares and operations; split it",
	ErrEmptyKey:        "kv: the key is empty; name a key of at least one byte",
	ErrDuplicateKey:    "kv: a transaction changes the same key twice; keep one of the operations",
	ErrSessionExpired:  "kv: the session is not known or has expired, and this command was not applied; open a new session",
	ErrSequenceTooOld:  "kv: the sequence number is too far behind the session's highest to tell whether it was applied; have at most 32 writes under way",
	ErrFutureRevision:  "kv: the revision has not been written yet; ask for the current one or an earlier one",
	ErrCompacted:       "kv: the revision has been compacted away; ask for a later one",
	ErrKeyNotFound:     "kv: a put keeps the value or the lease of a key that does not exist; put a value",
	ErrLeaseNotFound:   "kv: the lease is not known or has expired; grant a new one",
	ErrLeaseExists:     "kv: a lease of this ID has been granted already; choose another, or none to have one chosen",
	ErrTooManyLeases:   "kv: as many leases as there may be have been granted, 262144; revoke some or let them run out",
	ErrNoSpace:         "kv: keys and their history take more than the quota allows; delete keys and compact, or raise the quota",
	ErrCorrupt:         "kv: an alarm says that the store is corrupt; find out which member is, then end the alarm",
	ErrTooManyAlarms:   "kv: as many alarms as there may be have been raised by hand, 1024; end some",
	ErrNoUser:          "kv: rights are enforced and nobody said who it is, or a user has no name; authenticate, or name the user",
	ErrOldRights:       "kv: rights have changed since it was found who it is; authenticate again",
	ErrDenied:          "kv: the user may not do this; have root grant it a role that may",
	ErrUserNotFound:    "kv: there is no such user",
	ErrUserExists:      "kv: there is a user of this name already",
	ErrNoRole:          "kv: the role has no name",
	ErrRoleNotFound:    "kv: there is no such role",
	ErrRoleExists:      "kv: there is a role of this name already",
	ErrRoleNotGranted:  "kv: the user does not have this role",
	ErrRightNotGranted: "kv: the role does not have this right",
	ErrInvalidRight:    "kv: the right is on no key: its range must begin with a key and end behind it",
	ErrRootNeeded:      "kv: root and its role cannot be taken away while rights are enforced; stop that first",
	ErrNoRootUser:      "kv: there is no user root, who could change anything once rights are enforced; add it",
	ErrNoRootRole:      "kv: the user root does not have the role root; grant it",
	ErrOvertaken:       "kv: what leases have left was noted by another command first; look again and repeat it",
}

func (c Code) Error() string {
	if int(c) < len(sentences) {
		return sentences[c]
	}
	return fmt.Sprintf("kv: refusal %d, which this version does not know; update it", uint8(c))
}

// Result is what a command came to. Apply answers each command with a *Result;
// it is the same on every node.
type Result struct {
	Code     Code
	Revision int64     // of the store after the command; after the first, if it was repeated
	Repeated bool      // answered from the session's memory: it had been applied before
	Session  SessionID // of an OpenSession: the new session
	Dropped  int       // of an ExpireSessions or CloseSession: how many sessions ended; of a SetAlarm that ends one: 1 if there was one
	TxnResult

	answered Answered
}

// TxnResult is what a transaction came to.
type TxnResult struct {
	Succeeded bool       // all compares held, so Then was carried out
	Ops       []OpResult // one for each operation carried out
}

// OpResult is what one operation came to. A session's memory holds no keys and
// values: in the answer to a repeated command, Before and the page's are empty.
type OpResult struct {
	Revision int64      // of the store with what the transaction had changed by then
	Previous int64      // of a Put: the mod revision of what it replaced, zero if it created the key
	Deleted  int64      // of a Delete: how many keys
	Before   []KV       // of a Put or Delete that asks for it: what was there before
	Page     *Page      // of a Query
	Txn      *TxnResult // of a nested transaction
}

// Err is nil, or the refusal.
func (r *Result) Err() error {
	if r.Code == OK {
		return nil
	}
	return r.Code
}
