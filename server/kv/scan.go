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
	if w.latest {
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
	return w.valued(w.start, v, w.reader.Get)
}

// valued completes what is known of a key by its value.
func (w window) valued(key []byte, v version, read func(pair []byte) ([]byte, error)) (version, error) {
	prefix := versionsOf(key)
	pair := atRevision(prefix, v.mod)
	b, err := read(pair)
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

// walkKeys visits the newest versions, of which it finds everything but the value in one
// place.
func (w window) walkKeys(it Iterator, visit func([]byte, version) bool) error {
	values := valueReader{reader: w.reader, wait: fewKeys, pause: fewKeys}
	defer values.close()
	for ok := it.Seek(keyKey(w.start)); ok; ok = it.Next() {
		pair, numbers := it.Pair()
		if pair[0] != tableKeys || !inRange(pair[1:], w.start, w.end) {
			return nil
		}
		v, err := decodeNumbers(pair, numbers)
		if err == nil && w.values {
			v, err = w.valued(pair[1:], v, values.read)
		}
		if err != nil || !visit(pair[1:], v) {
			return err
		}
	}
	return nil
}

// valueReader reads the values of keys in order. Those of keys without a history lie
// side by side, and it steps from one to the next. Between others there are old versions,
// and to look for each value by itself is less work: after a step that has led to one, it
// does so for some time, and for twice as long after the next.
type valueReader struct {
	reader      Reader
	it          Iterator // nil: there was no need of it
	near        bool     // it is at the value that was read last
	wait, pause int      // values to be looked for before it is moved there; and the time after
}

// fewKeys are not worth an iterator.
const fewKeys = 3

// read returns what a pair of the versions has; it is valid until the next one is read.
func (r *valueReader) read(pair []byte) ([]byte, error) {
	var at bool
	switch {
	case r.near:
		at = r.it.Next()
	case r.wait > 0:
		r.wait--
		return r.reader.Get(pair)
	default:
		if r.it == nil {
			r.it = r.reader.Iterate()
		}
		at = r.it.Seek(pair)
	}
	if at {
		if key, value := r.it.Pair(); bytes.Equal(key, pair) {
			r.near, r.pause = true, 0
			return value, nil
		}
	}
	r.near, r.pause = false, 2*r.pause+1
	r.wait = r.pause
	return r.reader.Get(pair)
}

// close gives up the iterator. What went wrong with it was looked for once more.
func (r *valueReader) close() {
	if r.it != nil {
		r.it.Close()
	}
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
