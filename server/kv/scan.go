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
	switch {
	case w.latest && w.values:
		walk = w.walkNewest
	case w.latest:
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
	return w.valued(w.start, v)
}

// valued completes what is known of a key by its value.
func (w window) valued(key []byte, v version) (version, error) {
	prefix := versionsOf(key)
	pair := atRevision(prefix, v.mod)
	b, err := w.reader.Get(pair)
	if err != nil {
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

// fewVersions of a key are stepped over: that costs less than to look for its value. They
// lie in as many tables, of which the next keys are to be read too.
const fewVersions = 3

// firstLook is how many keys the first look is for.
const firstLook = 12

// walkNewest visits the newest versions with their values. They lie side by side but for
// older ones between them. Where these are many it looks for each value by itself, for
// some keys, and for twice as many after the next such place.
func (w window) walkNewest(it Iterator, visit func([]byte, version) bool) (err error) {
	for keys := firstLook; ; keys *= 2 {
		if w.start, err = w.stepValues(it, visit); err != nil || w.start == nil {
			return err
		}
		if w.start, err = w.lookValues(it, keys, visit); err != nil || w.start == nil {
			return err
		}
	}
}

// stepValues visits until a key has many versions, and returns where to go on; nil at the
// end.
func (w window) stepValues(it Iterator, visit func([]byte, version) bool) (next []byte, err error) {
	var last []byte
	for ok := it.Seek(versionsOf(w.start)); ok; {
		pair, value := it.Pair()
		if pair[0] != tableVersions {
			return nil, nil
		}
		key, rest, err := splitVersionKey(pair)
		if err != nil || !inRange(key, w.start, w.end) {
			return nil, err
		}
		v, err := decodeVersion(pair, rest, value)
		if err != nil || v.exists() && !visit(key, v) {
			return nil, err
		}
		last = append(last[:0], pair[:len(pair)-len(rest)]...)
		next = append(append(next[:0], key...), 0)
		for steps := 0; ; steps++ {
			if ok = it.Next(); !ok {
				break
			}
			if pair, _ = it.Pair(); !bytes.HasPrefix(pair, last) {
				break
			}
			if steps == fewVersions {
				return next, nil
			}
		}
	}
	return nil, nil
}

// lookValues visits so many keys, and returns where to go on; nil at the end.
func (w window) lookValues(it Iterator, keys int, visit func([]byte, version) bool) (next []byte, err error) {
	for ok := it.Seek(keyKey(w.start)); ok; ok = it.Next() {
		pair, numbers := it.Pair()
		if pair[0] != tableKeys || !inRange(pair[1:], w.start, w.end) {
			return nil, nil
		}
		v, err := decodeNumbers(pair, numbers)
		if err == nil {
			v, err = w.valued(pair[1:], v)
		}
		if err != nil || !visit(pair[1:], v) {
			return nil, err
		}
		if keys--; keys == 0 {
			return append(bytes.Clone(pair[1:]), 0), nil
		}
	}
	return nil, nil
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
