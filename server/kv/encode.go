package kv

import (
	"encoding/binary"
	"math"
)

const commandFormat = 1

// The actions on the wire. Their numbers are in logs and must not change.
const (
	actTxn byte = iota + 1
	actOpenSession
	actCloseSession
	actExpireSessions
	actCompact
)

// Encode is the command as bytes to propose; see the package comment for their
// layout. It does not Check.
func (c Command) Encode() []byte {
	b := make([]byte, 0, c.sizeHint())
	b = append(b, commandFormat)
	b = binary.AppendUvarint(b, uint64(c.Millis))
	b = binary.AppendUvarint(b, uint64(c.Session))
	b = binary.AppendUvarint(b, c.Sequence)
	switch do := c.Do.(type) {
	case Txn:
		b = append(b, actTxn)
		b = appendTxn(b, do)
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
	}
	return b
}

// sizeHint is about what Encode needs, so that it allocates once.
func (c Command) sizeHint() int {
	n := 48
	if txn, ok := c.Do.(Txn); ok {
		for _, c := range txn.Compares {
			n += len(c.Key) + 16
		}
		for _, ops := range [][]Op{txn.Then, txn.Else} {
			for _, op := range ops {
				n += len(op.Key) + len(op.End) + len(op.Value) + 16
			}
		}
	}
	return n
}

func appendTxn(b []byte, t Txn) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.Compares)))
	for _, c := range t.Compares {
		b = append(b, byte(c.Target), byte(c.Relation))
		b = appendBytes(b, c.Key)
		b = binary.AppendUvarint(b, uint64(c.Value))
	}
	for _, ops := range [][]Op{t.Then, t.Else} {
		b = binary.AppendUvarint(b, uint64(len(ops)))
		for _, op := range ops {
			b = append(b, byte(op.Kind))
			b = appendBytes(b, op.Key)
			if op.Kind == OpPut {
				b = appendBytes(b, op.Value)
			} else {
				b = appendBytes(b, op.End)
			}
		}
	}
	return b
}

func appendBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// Decode reads a command that Encode has written and checks it. Its keys and
// values are parts of data, not copies. The error is a [Code].
func Decode(data []byte) (Command, error) {
	r := decoder{data: data}
	if r.byte() != commandFormat {
		return Command{}, ErrMalformed
	}
	c := Command{
		Millis:   r.int64(),
		Session:  SessionID(r.uvarint()),
		Sequence: r.uvarint(),
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

// count reads how many things follow. A number beyond the limit is refused before
// memory is taken for it.
func (r *decoder) count(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) {
		r.fail(ErrTooManyOps)
		return 0
	}
	return int(n)
}

func (r *decoder) txn() Txn {
	t := Txn{Compares: make([]Compare, r.count(MaxCompares))}
	for i := range t.Compares {
		t.Compares[i] = Compare{
			Target:   Target(r.byte()),
			Relation: Relation(r.byte()),
			Key:      r.bytes(),
			Value:    r.int64(),
		}
	}
	t.Then = r.ops()
	t.Else = r.ops()
	return t
}

func (r *decoder) ops() []Op {
	ops := make([]Op, r.count(MaxOps))
	for i := range ops {
		op := &ops[i]
		op.Kind = OpKind(r.byte())
		op.Key = r.bytes()
		if op.Kind == OpPut {
			op.Value = r.bytes()
		} else {
			op.End = r.bytes()
		}
	}
	return ops
}
