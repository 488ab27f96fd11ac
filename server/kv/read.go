package kv

import "github.com/quorate-db/quorate/raft"

// KV is a key as one revision sees it.
type KV struct {
	Key     []byte
	Value   []byte
	Create  int64 // the revision that created it
	Mod     int64 // the revision that last modified it
	Version int64 // puts since it was created, counted from 1
	Lease   LeaseID
}

// Query asks for the keys from Start to End; see NoEnd.
type Query struct {
	Start    []byte // empty: from the first key; not as an operation
	End      []byte
	Limit    int64 // keys; zero: all
	Bytes    int64 // of keys and values, the last key may go beyond; zero: all
	Revision int64 // zero or below: the latest

	KeysOnly  bool // leave the values out
	CountOnly bool // leave all keys out, as if none were beyond a limit
	Count     bool // count the keys beyond the limits too

	// Create and Mod leave keys out. A count counts them all the same.
	Create, Mod Between

	// The keys are sorted By a target, zero means Key, after they were left out and
	// before the limits count. Only if Order is not said the limits come first.
	By    Target
	Order Order
}

// Between is a range of revisions, both ends in it; zero is no bound.
type Between struct{ Min, Max int64 }

func (b Between) holds(revision int64) bool {
	return (b.Min == 0 || revision >= b.Min) && (b.Max == 0 || revision <= b.Max)
}

// Order is the direction in which keys are sorted.
type Order uint8

// The orders. Unordered ascends too; see [Query].
const (
	Unordered Order = iota
	Ascending
	Descending
)

// Page is the answer to a Query.
type Page struct {
	Revision int64 // of the store when it was read, not the one asked for
	KVs      []KV  // in order of their keys, unless asked otherwise
	More     bool  // there are keys beyond a limit
	Count    int64 // of CountOnly and Count: the keys in the range
}

// State is how far the store has come.
type State struct {
	Applied   raft.Index
	Revision  int64
	Compacted int64 // reads below this revision are refused; zero before the first Compact
	Swept     int64 // what was compacted up to it has been cleared away; Compacted once all has
	Sessions  int64 // how many are open
	Leases    int64 // how many have been granted and not revoked
	Rights    int64 // revision of who may do what, from 1
	Guarded   bool  // rights are enforced

	// Bytes is what keys take, with their values and their history: the bytes of
	// key and value of each version, and 64 more. It is counted, not measured, so
	// that it is the same on every node, and falls as soon as history is cleared
	// away; a disk holds more or, compressed, less.
	Bytes int64
	Quota int64 // of Bytes, zero: none
	Full  bool  // Bytes have passed the quota, and are not yet a tenth below it
}

// Low reports whether more than four fifths of the quota are taken.
func (s *State) Low() bool { return s.Quota > 0 && s.Bytes > s.Quota/5*4 }

// State says how far the store that readers see has come.
func (m *Machine) State() (State, error) {
	view := m.store.View()
	defer view.Close()
	at, err := readMeta(view)
	return at.state(), err
}

func (m meta) state() State {
	swept := m.swept
	if swept == m.compacted && !m.isSwept() {
		swept--
	}
	return State{Applied: m.applied, Revision: m.revision, Compacted: m.compacted, Swept: swept, Sessions: m.sessions, Leases: m.leases,
		Rights: m.rights, Guarded: m.guarded, Bytes: m.space.bytes, Quota: m.space.quota, Full: m.space.full}
}

// Get returns a key as the given revision sees it, or the latest if that is zero;
// nil if it does not exist there. It also returns the store's own revision. The
// error is [ErrEmptyKey], [ErrFutureRevision], [ErrCompacted] or the store's.
func (m *Machine) Get(key []byte, revision int64) (*KV, int64, error) {
	return m.For(ThisNode).Get(key, revision)
}

// Range returns keys as one revision sees them. The page's own revision is set
// also with [ErrFutureRevision] and [ErrCompacted].
func (m *Machine) Range(q Query) (Page, error) { return m.For(ThisNode).Range(q) }

// Read answers a transaction that changes nothing, as of one revision. The error
// is a [Code] or the store's.
func (m *Machine) Read(t Txn) (*Result, error) { return m.For(ThisNode).Read(t) }

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
