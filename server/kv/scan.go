package kv

import "bytes"

// window is the part of the store that one revision sees of a range of keys.
type window struct {
	reader     Reader
	start, end []byte // see NoEnd
	revision   int64
	latest     bool // the revision is the last one
	values     bool // they are wanted
}

// count counts the keys.
func (w window) count() (n int64, err error) {
	err = w.scan(func([]byte, version) bool { n++; return true })
	return n, err
}

// scan visits the keys in order until visit says no. What it visits is valid only
// during the visit.
func (w window) scan(visit func([]byte, version) bool) error {
	if len(w.end) == 0 {
		v, err := w.one()
		if err == nil && v.exists() {
			visit(w.start, v)
		}
		return err
	}
	it := w.reader.Iterate()
	walk := w.walkVersions
	if w.latest && !w.values {
		walk = w.walkKeys // without the history in between
	}
	err := walk(it, visit)
	if closed := it.Close(); closed != nil {
		err = closed // the cause of what seemed damaged
	}
	return err
}

// one is the one key of a window without an end. The newest version is not looked
// for among all of them: their history outgrows every cache, and each write would
// wait for the disk.
func (w window) one() (version, error) {
	if !w.latest {
		return newest(w.reader, versionsOf(w.start), w.revision)
	}
	pair := keyKey(w.start)
	b, err := w.reader.Get(pair)
	if err != nil || b == nil {
		return version{}, err
	}
	v, err := decodeNumbers(pair, b)
	if err != nil || !w.values {
		return v, err
	}
	prefix := versionsOf(w.start)
	pair = atRevision(prefix, v.mod)
	if b, err = w.reader.Get(pair); err != nil {
		return version{}, err
	}
	return decodeVersion(pair, pair[len(prefix):], b)
}

// newest finds the newest version, at or below the revision, of the key whose
// versions begin with prefix. No such version and a tombstone are both one that
// does not exist. Prefix may be appended to.
func newest(r Reader, prefix []byte, revision int64) (v version, err error) {
	it := r.Iterate()
	if it.Seek(atRevision(prefix, revision)) {
		pair, value := it.Pair()
		if rest, mine := bytes.CutPrefix(pair, prefix); mine {
			v, err = decodeVersion(pair, rest, bytes.Clone(value))
		}
	}
	if closed := it.Close(); closed != nil {
		err = closed
	}
	return v, err
}

// walkKeys visits what is known of the newest versions without their values.
func (w window) walkKeys(it Iterator, visit func([]byte, version) bool) error {
	for ok := it.Seek(keyKey(w.start)); ok; ok = it.Next() {
		pair, numbers := it.Pair()
		if pair[0] != tableKeys || !inRange(pair[1:], w.start, w.end) {
			return nil
		}
		v, err := decodeNumbers(pair, numbers)
		if err != nil || !visit(pair[1:], v) {
			return err
		}
	}
	return nil
}

// walkVersions seeks past the versions that are too new or too old rather than
// stepping over them: a key may have a million.
func (w window) walkVersions(it Iterator, visit func([]byte, version) bool) error {
	var last, seek []byte // the versions dealt with; where to go on
	for ok := it.Seek(versionsOf(w.start)); ok; {
		pair, value := it.Pair()
		if pair[0] != tableVersions {
			return nil
		}
		key, rest, err := splitVersionKey(pair)
		if err != nil {
			return err
		}
		if !inRange(key, w.start, w.end) {
			return nil
		}
		v, err := decodeVersion(pair, rest, value)
		if err != nil {
			return err
		}
		prefix := pair[:len(pair)-len(rest)]
		switch {
		case bytes.Equal(prefix, last):
			seek = append(atRevision(append(seek[:0], prefix...), 0), 0)
			ok = it.Seek(seek)
		case v.mod > w.revision:
			seek = atRevision(append(seek[:0], prefix...), w.revision)
			ok = it.Seek(seek)
		default:
			if v.exists() && !visit(key, v) {
				return nil
			}
			last = append(last[:0], prefix...)
			ok = it.Next()
		}
	}
	return nil
}
