package kv

import (
	"bytes"
	"cmp"
	"math"
)

func (s *step) txn(t Txn, out *Result) error {
	out.Succeeded = true
	for _, c := range t.Compares {
		v, err := s.latest(c.Key)
		if err != nil {
			return err
		}
		if !c.holds(v) {
			out.Succeeded = false
			break
		}
	}
	ops := t.Then
	if !out.Succeeded {
		ops = t.Else
	}
	if len(ops) == 0 {
		return nil
	}
	return s.ops(ops, out)
}

// ops carries the operations out at the next revision, which becomes the store's
// if there was anything to change.
func (s *step) ops(ops []Op, out *Result) error {
	s.changes = 0
	out.Ops = make([]OpResult, len(ops))
	for i, op := range ops {
		var err error
		if op.Kind == OpPut {
			out.Ops[i].Previous, err = s.put(op.Key, op.Value)
		} else {
			out.Ops[i].Deleted, err = s.delete(op.Key, op.End)
		}
		if err != nil {
			return err
		}
	}
	if s.changes > 0 {
		s.revision++
	}
	return nil
}

// holds reports whether the newest version of the key, or none, satisfies the
// compare.
func (c Compare) holds(v version) bool {
	var got int64
	switch {
	case !v.exists():
	case c.Target == CreateRevision:
		got = v.create
	case c.Target == ModRevision:
		got = v.mod
	case c.Target == Version:
		got = v.version
	}
	order := cmp.Compare(got, c.Value)
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

func (s *step) put(key, value []byte) (previous int64, err error) {
	old, err := s.latest(key)
	if err != nil {
		return 0, err
	}
	v := version{create: s.revision + 1, version: 1, value: value}
	if old.exists() {
		v.create, v.version = old.create, old.version+1
		previous = old.mod
	}
	s.change(key, v)
	return previous, nil
}

func (s *step) delete(start, end []byte) (deleted int64, err error) {
	// The keys are gathered first: an iterator need not cope with changes under it.
	var keys [][]byte
	err = scan(s.batch, start, end, math.MaxInt64, func(key []byte, _ version) bool {
		keys = append(keys, bytes.Clone(key))
		return true
	})
	for _, key := range keys {
		s.change(key, version{})
	}
	return int64(len(keys)), err
}

// change writes a version of a key at the next revision.
func (s *step) change(key []byte, v version) {
	s.batch.Set(atRevision(versionsOf(key), s.revision+1), v.encode())
	s.batch.Set(changeKey(s.revision+1, s.changes), key)
	s.changes++
}

// latest is the newest version of a key, without its value.
func (s *step) latest(key []byte) (version, error) {
	it := s.batch.Iterate()
	v, err := newest(it, versionsOf(key), math.MaxInt64)
	v.value = nil
	if closed := it.Close(); closed != nil {
		err = closed // the cause of what seemed damaged
	}
	return v, err
}
