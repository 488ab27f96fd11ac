package codec

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
)

// MinMessage is the length of the shortest encoding of a message, in bytes: who
// reads many may know from it how many there can be.
const MinMessage = 3 + 1 + 2*8 + 1 + 2 + 3 + 2 + 1 + 1

const (
	flagGranted = 1 << iota
	flagTransfer
	flagSnapshot
	flagSleep
	flagInjured
	messageFlags = 1<<iota - 1 // all of them
)

// AppendMessage appends the encoding of the envelope to dst and returns the
// result. It panics on an entry kind of 0x80 or more, which does not exist.
func AppendMessage(dst []byte, e *Envelope) []byte {
	m := &e.Message
	dst = append(dst, formatMessage, byte(m.Kind), flagsOf(m))
	dst = binary.AppendUvarint(dst, uint64(e.Group))
	dst = appendNode(dst, m.From)
	dst = appendNode(dst, m.To)
	dst = binary.AppendUvarint(dst, uint64(m.Term))
	dst = appendEntryID(dst, m.Last)
	dst = appendSpan(dst, &m.Span)
	dst = appendEntryID(dst, m.Rejected)
	dst = binary.AppendUvarint(dst, uint64(m.Commit))
	dst = binary.AppendUvarint(dst, m.Round)
	if m.Snapshot != nil {
		dst = appendSnapshotBody(dst, m.Snapshot)
	}
	if m.Injured != 0 {
		dst = binary.AppendUvarint(dst, m.Injured)
	}
	return dst
}

func flagsOf(m *raft.Message) (flags byte) {
	if m.Granted {
		flags |= flagGranted
	}
	if m.Transfer {
		flags |= flagTransfer
	}
	if m.Snapshot != nil {
		flags |= flagSnapshot
	}
	if m.Sleep {
		flags |= flagSleep
	}
	if m.Injured != 0 {
		flags |= flagInjured
	}
	return flags
}

// DecodeMessage returns the envelope that src holds, all of src and nothing
// else. The entries' data alias src. The error wraps ErrFormat or ErrMalformed.
func DecodeMessage(src []byte) (Envelope, error) {
	var e Envelope
	r, m := open(src, formatMessage), &e.Message
	m.Kind = raft.Kind(r.byte())
	flags := r.flags(messageFlags)
	m.Granted = flags&flagGranted != 0
	m.Transfer = flags&flagTransfer != 0
	m.Sleep = flags&flagSleep != 0
	e.Group = raft.GroupID(r.uvarint())
	m.From = r.node()
	m.To = r.node()
	m.Term = raft.Term(r.uvarint())
	m.Last = r.entryID()
	m.Span = r.span()
	m.Rejected = r.entryID()
	m.Commit = raft.Index(r.uvarint())
	m.Round = r.uvarint()
	if flags&flagSnapshot != 0 {
		m.Snapshot = r.snapshotBody()
	}
	if flags&flagInjured != 0 {
		if m.Injured = r.uvarint(); m.Injured == 0 {
			r.fail("an injury without a name")
		}
	}
	if err := r.close("message"); err != nil {
		return Envelope{}, err
	}
	return e, nil
}
