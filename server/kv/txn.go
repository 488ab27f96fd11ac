package kv

import (
	"bytes"
	"cmp"
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
	keys, err := s.existing(start, end)
	for _, key := range keys {
		s.change(key, version{})
	}
	return int64(len(keys)), err
}

// existing gathers the keys from start to end: an iterator need not cope with
// changes under it.
func (s *step) existing(start, end []byte) (keys [][]byte, err error) {
	if len(end) == 0 {
		v, err := s.latest(start)
		if v.exists() {
			keys = append(keys, start)
		}
		return keys, err
	}
	it := s.batch.Iterate()
	for ok := it.Seek(keyKey(start)); ok; ok = it.Next() {
		pair, _ := it.Pair()
		if pair[0] != tableKeys || !inRange(pair[1:], start, end) {
			break
		}
		keys = append(keys, bytes.Clone(pair[1:]))
	}
	return keys, it.Close()
}

// change writes a version of a key at the next revision.
func (s *step) change(key []byte, v version) {
	v.mod = s.revision + 1
	if v.exists() {
		s.batch.Set(keyKey(key), v.encodeNumbers())
	} else {
		s.batch.Delete(keyKey(key))
	}
	s.batch.Set(atRevision(versionsOf(key), v.mod), v.encode())
	s.batch.Set(changeKey(v.mod, s.changes), key)
	s.changes++
}

// latest is the newest version of a key, without its value. It is not looked for
// among the versions: their history outgrows every cache, and each write would
// wait for the disk.
func (s *step) latest(key []byte) (version, error) {
	pair := keyKey(key)
	b, err := s.batch.Get(pair)
	if err != nil || b == nil {
		return version{}, err
	}
	return decodeNumbers(pair, b)
}
