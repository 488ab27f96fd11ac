package kv

import (
	"encoding/binary"
	"math"

	"github.com/quorate-db/quorate/raft"
)

const commandFormat = 3

// The actions on the wire. Their numbers are in logs and must not change.
const (
	actTxn byte = iota + 1
	actOpenSession
	actCloseSession
	actExpireSessions
	actCompact
	actSweep
	actGrantLease
	actRevokeLease
	actSetQuota
	actSetAlarm
	actChangeRights
	actNoteRemaining
)

// Encode is the command as bytes to propose; see the package comment for their
// layout. It does not Check.
func (c Command) Encode() []byte {
	b := make([]byte, 0, c.room())
	b = append(b, commandFormat)
	b = binary.AppendUvarint(b, uint64(c.Millis))
	b = binary.AppendUvarint(b, uint64(c.Session))
	b = binary.AppendUvarint(b, c.Sequence)
	b = c.By.encode(b)
	switch do := c.Do.(type) {
	case Txn:
		b = append(b, actTxn)
		b = do.encode(b)
	case OpenSession:
		b = append(b, actOpenSession)
	case CloseSession:
		b = append(b, actCloseSession)
		b = binary.AppendUvarint(b, uint64(do.Session))
	case ExpireSessions:
		b = append(b, actExpireSessions)
		b = binary.AppendUvarint(b, uint64(do.Before))
	case Compact:
		b = append(b, actCompact)
		b = binary.AppendUvarint(b, uint64(do.Revision))
	case Sweep:
		b = append(b, actSweep)
	case GrantLease:
		b = append(b, actGrantLease)
		b = binary.AppendUvarint(b, uint64(do.ID))
		b = binary.AppendUvarint(b, uint64(do.TTL))
	case RevokeLease:
		b = append(b, actRevokeLease)
		b = binary.AppendUvarint(b, uint64(do.ID))
		b = binary.AppendUvarint(b, uint64(do.Grant))
	case SetQuota:
		b = append(b, actSetQuota)
		b = binary.AppendUvarint(b, uint64(do.Bytes))
	case SetAlarm:
		b = append(b, actSetAlarm, byte(do.Kind), flag(do.On, 1))
		b = binary.AppendUvarint(b, do.Member)
	case ChangeRights:
		b = do.encode(append(b, actChangeRights))
	case NoteRemaining:
		b = do.encode(append(b, actNoteRemaining))
	}
	return b
}

// room is about what Encode needs, so that it allocates once.
func (c Command) room() int {
	if txn, ok := c.Do.(Txn); ok {
		return 48 + txn.room()
	}
	return 48
}

func appendBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decode reads a command that Encode has written and checks it. Its keys and
// values are parts of data, not copies. The error is a [Code].
func Decode(data []byte) (Command, error) {
	r := decoder{data: data, left: MaxOps}
	if r.byte() != commandFormat {
		return Command{}, ErrMalformed
	}
	c := Command{
		Millis:   r.int64(),
		Session:  SessionID(r.uvarint()),
		Sequence: r.uvarint(),
		By:       r.caller(),
	}
	switch r.byte() {
	case actTxn:
		c.Do = r.txn()
	case actOpenSession:
		c.Do = OpenSession{}
	case actCloseSession:
		c.Do = CloseSession{Session: SessionID(r.uvarint())}
	case actExpireSessions:
		c.Do = ExpireSessions{Before: r.int64()}
	case actCompact:
		c.Do = Compact{Revision: r.int64()}
	case actSweep:
		c.Do = Sweep{}
	case actGrantLease:
		c.Do = GrantLease{ID: LeaseID(r.uvarint()), TTL: r.int64()}
	case actRevokeLease:
		c.Do = RevokeLease{ID: LeaseID(r.uvarint()), Grant: raft.Index(r.uvarint())}
	case actSetQuota:
		c.Do = SetQuota{Bytes: r.int64()}
	case actSetAlarm:
		a := SetAlarm{Alarm: Alarm{Kind: AlarmKind(r.byte())}, On: r.flags(1) == 1}
		a.Member = r.uvarint()
		c.Do = a
	case actChangeRights:
		c.Do = r.changeRights()
	case actNoteRemaining:
		c.Do = r.noteRemaining()
	}
	if err := r.end(); err != nil {
		return Command{}, err
	}
	return c, c.Check()
}

// decoder reads from data until something does not fit; from then on it answers
// with zeros, so that only the end needs to ask.
type decoder struct {
	data []byte
	left int // compares and operations that may still come
	code Code
}

func (r *decoder) fail(code Code) {
	if r.code == OK {
		r.code = code
	}
	r.data = nil
}

// end is nil if everything was read and all of it fitted.
func (r *decoder) end() error {
	if len(r.data) > 0 {
		r.fail(ErrMalformed)
	}
	if r.code != OK {
		return r.code
	}
	return nil
}

func (r *decoder) byte() byte {
	if len(r.data) == 0 {
		r.fail(ErrMalformed)
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail(ErrMalformed)
		return 0
	}
	r.data = r.data[n:]
	return v
}

// int64 reads a number that is never negative.
func (r *decoder) int64() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.fail(ErrMalformed)
		return 0
	}
	return int64(v)
}

// signed reads a number of either sign.
func (r *decoder) signed() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail(ErrMalformed)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *decoder) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.fail(ErrMalformed)
		return nil
	}
	s := r.data[:n:n]
	r.data = r.data[n:]
	return s
}

// count reads how many compares or operations follow. A number beyond the limit is
// refused before memory is taken for it.
func (r *decoder) count() int {
	n := r.uvarint()
	if n > uint64(r.left) {
		r.fail(ErrTooManyOps)
		return 0
	}
	r.left -= int(n)
	return int(n)
}
