// Package kv decides what a command does to the replicated key-value store:
// transactions over keys with a history (MVCC), leases that take keys with them
// when they end, and client sessions that make a retried write count once.
//
// It is a calculator. Apply reads no clock, draws no number, starts no goroutine
// and takes no lock, so the same commands lead to the same bytes in the [Store]
// on every node; [Machine.Hash] compares them. Where the bytes are kept, and how
// readers on other goroutines see only whole batches of them, is the business of
// the Store (package kv/store).
//
// # Revisions
//
// The store has one revision. It is 1 while nothing has been written; a command
// that changes keys raises it by one, whatever the number of keys. A key
// remembers the revision that created it, the one that last modified it, and its
// version: 1 when created, one more with each put. A delete leaves a tombstone,
// so that older revisions can still be read, until Compact drops what no revision
// from the compacted one on can see.
//
// # Commands
//
// A command is, byte by byte:
//
//	format   1 byte, now 3
//	millis   uvarint   the proposer's clock, Unix milliseconds; ages sessions
//	session  uvarint   0: none
//	sequence uvarint
//	by       1 byte    on whose behalf: 0 nobody, 1 the cluster, 2 a user: the revision of the rights
//	                   (uvarint) and the name follow
//	action   1 byte    1 Txn, 2 OpenSession, 3 CloseSession, 4 ExpireSessions, 5 Compact, 6 Sweep,
//	                   7 GrantLease, 8 RevokeLease, 9 SetQuota, 10 SetAlarm, 11 ChangeRights,
//	                   12 NoteRemaining
//	Txn:            compares, then, else; each a uvarint count, then as many of
//	    compare     target (1 byte), relation (1 byte), key, end, then
//	                value if the target is 4, otherwise number (varint)
//	    op          1, flags (1 byte), key, value, lease (uvarint)    put
//	                2, flags, key, end                                delete
//	                3, flags, key, end, by (1 byte), order (1 byte),  query
//	                   limit (uvarint), bytes (uvarint), then varints:
//	                   revision, least and greatest mod, and create revision
//	                4, Txn                                            nested
//	    flags       1 previous, 2 keep value, 4 keep lease, 8 keys only, 16 count only, 32 count
//	CloseSession:   session  uvarint
//	ExpireSessions: before   uvarint, Unix milliseconds
//	Compact:        revision uvarint
//	GrantLease:     lease uvarint, TTL uvarint, seconds
//	RevokeLease:    lease uvarint, the index of the grant uvarint or 0
//	SetQuota:       bytes uvarint
//	SetAlarm:       kind (1 byte: 1 no space, 2 corrupt), on (1 byte: 1, off 0), member uvarint
//	NoteRemaining:  the index of the last one uvarint or 0, count uvarint, then as many of
//	    lease       the index of its grant uvarint, seconds uvarint
//	ChangeRights:   kind, no password, access (1 byte each), user, role, hash, key, end
//
// where user, role, hash, key, value and end are a uvarint length and that many bytes. Nothing may
// follow. What cannot be read so is answered with [ErrMalformed] by every node.
//
// # What the store holds
//
// Keys of the store begin with a byte that names the table. Numbers in keys are
// big endian, so that they sort; numbers in values are uvarints.
//
//	01                               where we are: applied, revision, compacted, swept (revision
//	                                 and how many changes of it), clock, sessions, leases,
//	                                 bytes, quota, alarms, full (1 byte), revision of the rights, whether
//	                                 they are enforced (1 byte)
//	02 key                           a key that exists: its mod and create revision, version, lease, and
//	                                 how many bytes its value has
//	03 key' ^revision(8)             a version of a key, the newest first
//	    00 created version lease value...  a put
//	    01                           a tombstone
//	04 revision(8) n(8)              the n-th change of a revision: 1 if it deletes, and 2 if what it
//	                                 replaced was cleared away (1 byte); the
//	                                 revision of the version that it replaced, or 0, and the size of its value;
//	                                 the key
//	05 session(8)                    a session: when it was last used (seconds), its highest sequence, and
//	                                 the user who opened it
//	06 session(8) sequence(8)        an answer that the session remembers
//	07 seconds(8) session(8)         the sessions by last use; no value
//	08 lease(8)                      a lease: the index of the command that granted it
//	09 index(8)                      what a command has granted: lease and TTL, then, if it is less, what
//	                                 is left (seconds)
//	0a lease(8) key                  the keys attached to a lease; no value
//	0b member(8) kind(8)             an alarm that was raised by hand; no value
//	0c                               while rights are enforced: the key of who signs what users show
//	0d user                          a user: hash, no password (1 byte), since, roles
//	0e role                          a role: its rights, each access (1 byte), key, end
//	0f                               the index of the last NoteRemaining
//	10 user' seconds(8) session(8)   the sessions of a user by last use; no value
//
// key' is the key with 00 written as 00 ff, ended by 00 01: it sorts as the key
// does, and no key' begins another.
//
// # Snapshots
//
// A snapshot is the store's whole content:
//
//	"QKV" 4          magic and format version
//	pairs            uvarint length and bytes of the key, then of the value, in order of the keys
//	0                no key is empty: the end
//	checksum(8)      CRC-32C and CRC-32 (IEEE) of all before
//
// Reading order: command.go, op.go, result.go, machine.go, txn.go, lease.go,
// space.go, session.go, rights.go, permit.go, guard.go, for.go, read.go, query.go, scan.go, history.go,
// compact.go, snapshot.go; layout.go, encode.go, encodeop.go and encoderights.go hold the bytes above.
package kv
