package kv

import (
	"bytes"
	"cmp"
)

// txn carries a transaction out. It is decided as a whole before anything is
// changed, so one that is refused, which the error then says with a [Code], has
// changed nothing.
func (s *step) txn(t Txn, out *Result) error {
	s.changes, s.work = 0, work{}
	defer s.count(out)
	b, err := s.decide(t)
	if err != nil {
		return err
	}
	if t.single() {
		s.work.looks = 0 // etcd looks once
	}
	if out.TxnResult, err = s.run(b); err != nil {
		return err
	}
	if s.changes > 0 {
		s.revision++
	}
	return nil
}

// single reports whether a transaction is one operation that is not asked for as a
// transaction, as far as one can tell.
func (t Txn) single() bool { return len(t.Compares) == 0 && len(t.Then) == 1 && len(t.Else) == 0 }

// count counts what a transaction has done, or has looked at before it was refused.
func (s *step) count(out *Result) {
	if s.batch == nil {
		s.tally.read(&s.work)
	} else {
		s.tally.transact(&s.work, out)
	}
}

// branch is what a transaction comes to: one of its branches.
type branch struct {
	succeeded bool
	ops       []Op
	nested    []branch // those of ops that are transactions, in their order
}

// decide looks at the compares of a transaction and of those nested in the branch
// that they choose, and at what the operations there require.
func (s *step) decide(t Txn) (branch, error) {
	b := branch{succeeded: true, ops: t.Then}
	for _, c := range t.Compares {
		holds, err := s.holds(c)
		if err != nil {
			return b, err
		}
		if !holds {
			b.succeeded, b.ops = false, t.Else
			break
		}
	}
	for _, op := range b.ops {
		var err error
		switch op := op.(type) {
		case Put:
			err = s.admitPut(op)
		case Query:
			err = s.admitQuery(op)
		case Txn:
			var inner branch
			inner, err = s.decide(op)
			b.nested = append(b.nested, inner)
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// holds reports whether the keys are as the compare says.
func (s *step) holds(c Compare) (bool, error) {
	s.work.looks++
	w := s.window(c.Key, c.End)
	w.values = c.Target == Value
	holds, found := true, false
	err := w.scan(func(_ []byte, v version) bool {
		found = true
		holds = c.holds(v)
		return holds
	})
	if !found {
		// No value is not the empty value, and a compare cannot name it.
		holds = c.Target != Value && c.holds(version{})
	}
	return holds, err
}

func (c Compare) holds(v version) bool {
	var order int
	switch c.Target {
	case CreateRevision:
		order = cmp.Compare(v.create, c.Number)
	case ModRevision:
		order = cmp.Compare(v.mod, c.Number)
	case Version:
		order = cmp.Compare(v.version, c.Number)
	case Lease:
		order = cmp.Compare(int64(v.lease), c.Number)
	default:
		order = bytes.Compare(v.value, c.Bytes)
	}
	switch c.Relation {
	case Equal:
		return order == 0
	case NotEqual:
		return order != 0
	case Greater:
		return order > 0
	default:
		return order < 0
	}
}

// admitPut refuses a put that lacks what it requires. No operation before it in the
// transaction changes that: it would change the same key.
func (s *step) admitPut(p Put) error {
	if p.Lease != 0 {
		if lease, err := s.reader.Get(leaseKey(p.Lease)); err != nil {
			return err
		} else if lease == nil {
			return ErrLeaseNotFound
		}
	}
	if p.Previous || p.KeepValue || p.KeepLease {
		s.work.looks++
	}
	if !p.KeepValue && !p.KeepLease {
		return nil
	}
	v, err := s.latest(p.Key)
	if err == nil && !v.exists() {
		err = ErrKeyNotFound
	}
	return err
}

func (s *step) admitQuery(q Query) error {
	if q.Revision < 0 {
		return ErrCompacted
	}
	_, err := s.readable(q.Revision)
	return err
}

// run carries the operations of a branch out at the next revision.
func (s *step) run(b branch) (out TxnResult, err error) {
	out.Succeeded = b.succeeded
	if len(b.ops) > 0 {
		out.Ops = make([]OpResult, len(b.ops))
	}
	for i, op := range b.ops {
		result := &out.Ops[i]
		switch op := op.(type) {
		case Put:
			err = s.put(op, result)
		case Delete:
			err = s.delete(op, result)
		case Query:
			result.Page, err = s.query(op)
		case Txn:
			result.Txn = new(TxnResult)
			*result.Txn, err = s.run(b.nested[0])
			b.nested = b.nested[1:]
		}
		if err != nil {
			return out, err
		}
		result.Revision = s.now()
	}
	return out, nil
}

// now is the revision of the store with what the transaction has changed so far.
func (s *step) now() int64 {
	if s.changes > 0 {
		return s.revision + 1
	}
	return s.revision
}

// window is what the transaction sees at this point of a range.
func (s *step) window(start, end []byte) window {
	return window{reader: s.reader, start: start, end: end, revision: s.now(), latest: true}
}

// latest is a key as the transaction sees it at this point, without its value.
func (s *step) latest(key []byte) (version, error) { return s.window(key, nil).one() }

func (s *step) query(q Query) (*Page, error) {
	s.work.queries++
	at := s.meta
	at.revision = s.now()
	page, err := at.find(s.reader, q, nil)
	return &page, err
}

func (s *step) put(p Put, out *OpResult) error {
	w := s.window(p.Key, nil)
	w.values = p.Previous || p.KeepValue
	old, err := w.one()
	if err != nil {
		return err
	}
	v := version{create: s.revision + 1, version: 1, value: p.Value, size: int64(len(p.Value)), lease: p.Lease}
	if old.exists() {
		v.create, v.version = old.create, old.version+1
		out.Previous = old.mod
		if p.Previous {
			out.Before = []KV{old.of(p.Key)}
		}
		if p.KeepValue {
			v.value, v.size = old.value, old.size
		}
		if p.KeepLease {
			v.lease = old.lease
		}
	}
	s.work.puts++
	if p.Previous || p.KeepValue || p.KeepLease {
		s.work.ranges++
	}
	s.tally.PutBytes += uint64(len(p.Key)) + uint64(v.size)
	s.change(p.Key, v, old)
	return nil
}

// delete gathers the keys before it deletes them: an iterator need not cope with
// changes under it.
func (s *step) delete(d Delete, out *OpResult) error {
	w := s.window(d.Key, d.End)
	w.values = d.Previous
	type found struct {
		key []byte
		was version
	}
	var all []found
	err := w.scan(func(key []byte, v version) bool {
		if d.Previous {
			out.Before = append(out.Before, v.of(key))
		}
		v.value = nil // which is valid only during the visit
		all = append(all, found{bytes.Clone(key), v})
		return true
	})
	if err != nil {
		return err
	}
	for _, f := range all {
		s.change(f.key, version{}, f.was)
	}
	out.Deleted = int64(len(all))
	s.work.deletes++
	if d.Previous {
		s.work.ranges++
	}
	return nil
}

// change writes a version of a key at the next revision, in the place of another or
// of none.
func (s *step) change(key []byte, v, replaced version) {
	v.mod = s.revision + 1
	own, encoded := keyKey(key), v.encode()
	if v.exists() {
		s.batch.Set(own, v.encodeNumbers())
	} else {
		s.batch.Delete(own)
	}
	s.batch.Set(atRevision(versionsOf(key), v.mod), encoded)
	c := change{tombstone: !v.exists(), replaced: replaced.mod, size: replaced.size, key: key}
	s.space.bytes += weight(key, v.size)
	s.batch.Set(changeKey(v.mod, s.changes), c.encode())
	s.attach(key, replaced.lease, v.lease)
	s.changes++
	// The batch has copied what it was given, so the event may have it; the command
	// that key and value came with is gone after Apply.
	left := KV{Key: own[1:], Create: v.create, Mod: v.mod, Version: v.version, Lease: v.lease}
	if v.exists() {
		left.Value = encoded[len(encoded)-len(v.value):]
	}
	s.events.add(Event{KV: left, Replaced: replaced.mod})
}
