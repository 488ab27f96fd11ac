// Package codec turns raft types into bytes and back. It is the only place that
// knows how a message looks on a wire and a record on a disk; it decides nothing,
// waits for nothing and checks shape only: whether a message or a record makes
// sense is asked at the doors of package raft (Message.Check, Saved.Add).
//
// What holds for every format:
//
//   - The first byte names what follows: the kind in its upper four bits, the
//     version of its layout in the lower four. An unknown one is ErrFormat.
//   - A value has exactly one encoding. A decoder refuses every other one (a
//     number that is longer than it need be, an unknown flag, a byte too many)
//     with ErrMalformed, so that what was decoded encodes to the same bytes.
//   - A count or a length is compared with what is left before memory is taken
//     for it: decoding takes at most some fifteen times the memory of its source.
//   - The data of decoded entries alias the source, which must not change
//     afterwards. Strings are copied.
//
// The layouts, in which "uvarint" is the variable-length number of
// encoding/binary, "u8" one byte, "id" eight bytes with the lowest first (node
// IDs are random, a variable length would only make them longer), and a field in
// brackets is there if its flag is:
//
//	message   0x11, kind u8, flags u8, group uvarint, from id, to id, term uvarint,
//	          last entryID, span, rejected entryID, commit uvarint, round uvarint,
//	          [snapshotBody], [injured uvarint, not zero]
//	          flags: 1 granted, 2 transfer, 4 a snapshot follows, 8 sleep, 16 injured
//	record    0x21, flags u8, group uvarint,
//	          [term uvarint, vote id, commit uvarint], [snapshotBody], span
//	          flags: 1 a hard state follows (not all zero), 2 a base follows,
//	          4 the hard state says that the group is injured here,
//	          8 the entries are in the log already (then the rest is not there)
//	snapshot  0x31, snapshotBody
//	wish      0x41, flags u8 (1 joint, 2 stay), expect uvarint, count uvarint, count times: kind u8, member
//
//	snapshotBody  entryID, config
//	entryID       term uvarint, index uvarint
//	span          prev entryID, count uvarint, count times entry
//	entry         kind u8 (plus 0x80 if a configuration follows),
//	              term uvarint (less the term of the entry before, modulo 2^64),
//	              index uvarint (less the index of the entry before plus one, modulo 2^64),
//	              length uvarint, that many bytes of data, [config]
//	config        flags u8 (1 stay, 2 in a snapshotBody: where it stands follows),
//	              [index uvarint, not zero], count uvarint, count times member
//	member        id, role u8, old role u8, priority u8, length uvarint, address, length uvarint, info
//
// Terms and indices of entries are differences because in a legal span they are
// all zero but few: an entry costs four bytes besides its data.
//
// Reading order: message.go, record.go, then their parts: span.go, config.go,
// reader.go.
package codec

import (
	"errors"

	"github.com/quorate-db/quorate/raft"
)

// Envelope is a message and the group that it belongs to.
type Envelope struct {
	Group   raft.GroupID
	Message raft.Message
}

// Record is what one group wants on disk.
type Record struct {
	Group raft.GroupID
	Write raft.Write

	// Again says that the entries of Write.Append, the only part that is there, are in the
	// log already, and are said once more because their first place is to go. Nothing
	// behind them is replaced.
	Again bool
}

// Why bytes cannot be decoded; the errors returned wrap one of these and say
// where.
var (
	ErrFormat    = errors.New("codec: unknown format; it may come from a newer version of quorate")
	ErrMalformed = errors.New("codec: malformed bytes")
)

// The first byte of each encoding. A number is never used for another layout.
const (
	formatMessage  = 0x11
	formatRecord   = 0x21
	formatSnapshot = 0x31

	formatReconfiguration = 0x41
)
