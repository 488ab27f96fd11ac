package kv

import (
	"bytes"

	"github.com/quorate-db/quorate/raft"
)

// KV is a key as one revision sees it.
type KV struct {
	Key     []byte
	Value   []byte
	Create  int64 // the revision that created it
	Mod     int64 // the revision that last modified it
	Version int64 // puts since it was created, counted from 1
}

// Query asks for the keys from Start to End; see NoEnd.
type Query struct {
	Start    []byte // empty: from the first key
	End      []byte
	Limit    int   // keys; zero: all
	Bytes    int   // of keys and values, the last key may go beyond; zero: all
	Revision int64 // zero: the latest
}

// Page is the answer to a Query.
type Page struct {
	Revision int64 // of the store when it was read, not the one asked for
	KVs      []KV  // in order of their keys
	More     bool  // there are keys beyond a limit
}

// State is how far the store has come.
type State struct {
	Applied   raft.Index
	Revision  int64
	Compacted int64 // reads below this revision are refused; zero before the first Compact
	Sessions  int64 // how many are open
}

// State says how far the store that readers see has come.
func (m *Machine) State() (State, error) {
	view := m.store.View()
	defer view.Close()
	at, err := readMeta(view)
	return at.state(), err
}

func (m meta) state() State {
	return State{Applied: m.applied, Revision: m.revision, Compacted: m.compacted, Sessions: m.sessions}
}

// Get returns a key as the given revision sees it, or the latest if that is zero;
// nil if it does not exist there. It also returns the store's own revision. The
// error is [ErrEmptyKey], [ErrFutureRevision], [ErrCompacted] or the store's.
func (m *Machine) Get(key []byte, revision int64) (*KV, int64, error) {
	if len(key) == 0 {
		return nil, 0, ErrEmptyKey
	}
	page, err := m.Range(Query{Start: key, Revision: revision})
	if err != nil || len(page.KVs) == 0 {
		return nil, page.Revision, err
	}
	return &page.KVs[0], page.Revision, nil
}

// Range returns keys as one revision sees them. The page's own revision is set
// also with [ErrFutureRevision] and [ErrCompacted].
func (m *Machine) Range(q Query) (Page, error) {
	view := m.store.View()
	defer view.Close()
	at, err := readMeta(view)
	if err != nil {
		return Page{}, err
	}
	page := Page{Revision: at.revision}
	revision, err := at.readable(q.Revision)
	if err != nil {
		return page, err
	}
	size := 0
	err = scan(view, q.Start, q.End, revision, func(key []byte, v version) bool {
		if q.Limit > 0 && len(page.KVs) == q.Limit || q.Bytes > 0 && size >= q.Bytes {
			page.More = true
			return false
		}
		size += len(key) + len(v.value)
		page.KVs = append(page.KVs, KV{bytes.Clone(key), bytes.Clone(v.value), v.create, v.mod, v.version})
		return true
	})
	return page, err
}

// readable is the revision to read at, or why it cannot be read.
func (m meta) readable(revision int64) (int64, error) {
	switch {
	case revision <= 0:
		return m.revision, nil
	case revision > m.revision:
		return 0, ErrFutureRevision
	case revision < m.compacted:
		return 0, ErrCompacted
	}
	return revision, nil
}

// scan visits, in order, the keys from start to end that exist at the revision,
// until visit says no. What it visits is valid only during the visit.
func scan(r Reader, start, end []byte, revision int64, visit func([]byte, version) bool) error {
	it := r.Iterate()
	var err error
	if len(end) == 0 {
		var v version
		if v, err = newest(it, versionsOf(start), revision); err == nil && v.exists() {
			visit(start, v)
		}
	} else {
		err = walk(it, start, end, revision, visit)
	}
	if closed := it.Close(); closed != nil {
		err = closed // the cause of what seemed damaged
	}
	return err
}

// newest finds the newest version, at or below the revision, of the key whose
// versions begin with prefix. No such version and a tombstone are both one that
// does not exist. The value is valid until the iterator moves; prefix may be
// appended to.
func newest(it Iterator, prefix []byte, revision int64) (version, error) {
	if !it.Seek(atRevision(prefix, revision)) {
		return version{}, nil
	}
	pair, value := it.Pair()
	rest, mine := bytes.CutPrefix(pair, prefix)
	if !mine {
		return version{}, nil
	}
	return decodeVersion(pair, rest, value)
}

// walk is scan over more than one key. It seeks past the versions that are too
// new or too old rather than stepping over them: a key may have a million.
func walk(it Iterator, start, end []byte, revision int64, visit func([]byte, version) bool) error {
	var last, seek []byte // the versions dealt with; where to go on
	for ok := it.Seek(versionsOf(start)); ok; {
		pair, value := it.Pair()
		if pair[0] != tableVersions {
			return nil
		}
		key, rest, err := splitVersionKey(pair)
		if err != nil {
			return err
		}
		if !inRange(key, start, end) {
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
		case v.mod > revision:
			seek = atRevision(append(seek[:0], prefix...), revision)
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
