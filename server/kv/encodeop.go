package kv

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
)

// The operations on the wire. Their numbers are in logs and must not change.
const (
	opPut byte = iota + 1
	opDelete
	opQuery
	opTxn
)

// The flags of an operation on the wire. Likewise.
const (
	flagPrevious byte = 1 << iota
	flagKeepValue
	flagKeepLease
	flagKeysOnly
	flagCountOnly
	flagCount
)

// flag is the bit if it is on.
func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func (t Txn) room() int {
	n := 16
	for _, c := range t.Compares {
		n += len(c.Key) + len(c.End) + len(c.Bytes) + 16
	}
	for _, ops := range [][]Op{t.Then, t.Else} {
		for _, op := range ops {
			n += op.room()
		}
	}
	return n
}

func (p Put) room() int    { return len(p.Key) + len(p.Value) + 24 }
func (d Delete) room() int { return len(d.Key) + len(d.End) + 16 }
func (q Query) room() int  { return len(q.Start) + len(q.End) + 48 }

// encode appends the transaction without the byte that says that it is one.
func (t Txn) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.Compares)))
	for _, c := range t.Compares {
		b = append(b, byte(c.Target), byte(c.Relation))
		b = appendBytes(appendBytes(b, c.Key), c.End)
		if c.Target == Value {
			b = appendBytes(b, c.Bytes)
		} else {
			b = binary.AppendVarint(b, c.Number)
		}
	}
	for _, ops := range [][]Op{t.Then, t.Else} {
		b = binary.AppendUvarint(b, uint64(len(ops)))
		for _, op := range ops {
			if _, nested := op.(Txn); nested {
				b = append(b, opTxn)
			}
			b = op.encode(b)
		}
	}
	return b
}

func (p Put) encode(b []byte) []byte {
	b = append(b, opPut, flag(p.Previous, flagPrevious)|flag(p.KeepValue, flagKeepValue)|flag(p.KeepLease, flagKeepLease))
	b = appendBytes(appendBytes(b, p.Key), p.Value)
	return binary.AppendUvarint(b, uint64(p.Lease))
}

func (d Delete) encode(b []byte) []byte {
	b = append(b, opDelete, flag(d.Previous, flagPrevious))
	return appendBytes(appendBytes(b, d.Key), d.End)
}

func (q Query) encode(b []byte) []byte {
	b = append(b, opQuery, flag(q.KeysOnly, flagKeysOnly)|flag(q.CountOnly, flagCountOnly)|flag(q.Count, flagCount))
	b = appendBytes(appendBytes(b, q.Start), q.End)
	b = append(b, byte(q.By), byte(q.Order))
	b = binary.AppendUvarint(b, uint64(q.Limit))
	b = binary.AppendUvarint(b, uint64(q.Bytes))
	for _, n := range []int64{q.Revision, q.Mod.Min, q.Mod.Max, q.Create.Min, q.Create.Max} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (r *decoder) txn() Txn {
	t := Txn{Compares: make([]Compare, r.count())}
	for i := range t.Compares {
		c := &t.Compares[i]
		c.Target, c.Relation = Target(r.byte()), Relation(r.byte())
		c.Key, c.End = r.bytes(), r.bytes()
		if c.Target == Value {
			c.Bytes = r.bytes()
		} else {
			c.Number = r.signed()
		}
	}
	t.Then = r.ops()
	t.Else = r.ops()
	return t
}

func (r *decoder) ops() []Op {
	ops := make([]Op, r.count())
	for i := range ops {
		ops[i] = r.op()
	}
	return ops
}

func (r *decoder) op() Op {
	switch r.byte() {
	case opPut:
		f := r.flags(flagPrevious | flagKeepValue | flagKeepLease)
		return Put{
			Previous: f&flagPrevious != 0, KeepValue: f&flagKeepValue != 0, KeepLease: f&flagKeepLease != 0,
			Key: r.bytes(), Value: r.bytes(), Lease: LeaseID(r.uvarint()),
		}
	case opDelete:
		f := r.flags(flagPrevious)
		return Delete{Previous: f&flagPrevious != 0, Key: r.bytes(), End: r.bytes()}
	case opQuery:
		return r.query()
	case opTxn:
		return r.txn()
	}
	r.fail(ErrMalformed)
	return nil
}

func (r *decoder) query() Query {
	f := r.flags(flagKeysOnly | flagCountOnly | flagCount)
	return Query{
		KeysOnly: f&flagKeysOnly != 0, CountOnly: f&flagCountOnly != 0, Count: f&flagCount != 0,
		Start: r.bytes(), End: r.bytes(), By: Target(r.byte()), Order: Order(r.byte()),
		Limit: r.int64(), Bytes: r.int64(), Revision: r.signed(),
		Mod:    Between{r.signed(), r.signed()},
		Create: Between{r.signed(), r.signed()},
	}
}

func (n NoteRemaining) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(n.After))
	b = binary.AppendUvarint(b, uint64(len(n.Of)))
	for _, of := range n.Of {
		b = binary.AppendUvarint(b, uint64(of.Grant))
		b = binary.AppendUvarint(b, uint64(of.Seconds))
	}
	return b
}

func (r *decoder) noteRemaining() NoteRemaining {
	n := NoteRemaining{After: raft.Index(r.uvarint()), Of: make([]Remaining, r.count())}
	for i := range n.Of {
		n.Of[i] = Remaining{Grant: raft.Index(r.uvarint()), Seconds: r.int64()}
	}
	return n
}

// flags reads flags, which must be among those allowed: another version's would
// otherwise be passed over by this node only.
func (r *decoder) flags(allowed byte) byte {
	f := r.byte()
	if f&^allowed != 0 {
		r.fail(ErrMalformed)
	}
	return f
}
