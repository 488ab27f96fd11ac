// Package model is the key-value store as one would explain it: every revision is a
// whole map, so is every moment of the rights, and nothing is done in parts or kept in
// order. It is slow, keeps everything, and is short enough to be seen to be right.
//
// It is the judge of package kv, in its tests and in the simulator, so it shares with
// it no more than the types of commands and results. Left out are the limits that
// nobody comes near there: how many sessions, leases and alarms there may be, and how
// large records are.
//
// Reading order: model.go, txn.go, space.go, rights.go.
package model

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// Store is the whole store: everything that it is and was.
type Store struct {
	Revisions []map[string]kv.KV // revision 1 is at 0
	Changed   []kv.KV            // by the last command, in order; a key without a version was deleted
	Compacted int64
	Sessions  map[kv.SessionID]*Session
	Leases    map[kv.LeaseID]kv.Grant
	Noted     raft.Index

	clock   int64
	space   space
	rights  rights
	moments []moment // after each command
}

// Session is an open session.
type Session struct {
	owner   string
	used    int64
	highest uint64
	answers map[uint64]kv.Result
}

// moment is the store after a command, as far as its revision does not say.
type moment struct {
	state  kv.State
	rights rights
}

// New returns the store before the first command.
func New() *Store {
	m := &Store{
		Revisions: []map[string]kv.KV{{}}, Sessions: map[kv.SessionID]*Session{}, Leases: map[kv.LeaseID]kv.Grant{},
		space: space{alarms: map[kv.Alarm]bool{}}, rights: rights{revision: 1},
	}
	m.moments = []moment{m.moment(0)}
	return m
}

// Revision is that of the last change.
func (m *Store) Revision() int64 { return int64(len(m.Revisions)) }

// Apply carries out the command at an index, and returns what every node must answer.
func (m *Store) Apply(index raft.Index, c kv.Command) kv.Result {
	m.Changed = nil
	r := m.apply(index, c)
	m.moments = append(m.moments, m.moment(index))
	return r
}

func (m *Store) apply(index raft.Index, c kv.Command) (r kv.Result) {
	if code, bad := c.Check().(kv.Code); bad {
		return kv.Result{Code: code, Revision: m.Revision()}
	}
	m.clock = max(m.clock, c.Millis)
	if code := m.forbids(c); code != kv.OK {
		r = kv.Result{Code: code, Revision: m.Revision()}
	} else if c.Session != 0 {
		r = m.once(index, c)
	} else {
		r = m.do(index, c)
	}
	m.space.sweep(m.Compacted, perCommand)
	m.space.judge()
	return r
}

// once carries out a command of a session, or answers as it was answered before.
func (m *Store) once(index raft.Index, c kv.Command) kv.Result {
	s := m.Sessions[c.Session]
	switch {
	case s == nil:
		return kv.Result{Code: kv.ErrSessionExpired, Revision: m.Revision()}
	case c.Sequence+kv.SessionWindow <= s.highest:
		return kv.Result{Code: kv.ErrSequenceTooOld, Revision: m.Revision()}
	}
	s.used = m.clock / 1000
	s.highest = max(s.highest, c.Sequence)
	if r, ok := s.answers[c.Sequence]; ok {
		r.Repeated = true
		return r
	}
	r := m.do(index, c)
	s.answers[c.Sequence] = Remembered(r)
	return r
}

// Remembered is a result as a session remembers it: without the keys that were read.
func Remembered(r kv.Result) kv.Result {
	r.TxnResult = withoutKeys(r.TxnResult)
	return r
}

func withoutKeys(t kv.TxnResult) kv.TxnResult {
	t.Ops = slices.Clone(t.Ops)
	for i := range t.Ops {
		op := &t.Ops[i]
		op.Before = nil
		if op.Page != nil {
			op.Page = &kv.Page{Revision: op.Page.Revision, Count: op.Page.Count}
		}
		if op.Txn != nil {
			inner := withoutKeys(*op.Txn)
			op.Txn = &inner
		}
	}
	return t
}

// Read is what a transaction that changes nothing must be answered.
func (m *Store) Read(t kv.Txn) (r kv.Result) {
	r.TxnResult, r.Code = m.txn(t)
	r.Revision = m.Revision()
	return r
}

// do does what a command says, whoever gives it.
func (m *Store) do(index raft.Index, c kv.Command) (r kv.Result) {
	if r.Code = m.space.refuses(c.Do); r.Code == kv.OK {
		m.act(index, c, &r)
	}
	r.Revision = m.Revision()
	return r
}

func (m *Store) act(index raft.Index, c kv.Command, r *kv.Result) {
	switch do := c.Do.(type) {
	case kv.Txn:
		r.TxnResult, r.Code = m.txn(do)
	case kv.OpenSession:
		r.Session = kv.SessionID(index)
		m.Sessions[r.Session] = &Session{owner: c.By.Name, used: m.clock / 1000, answers: map[uint64]kv.Result{}}
	case kv.CloseSession:
		if m.Sessions[do.Session] == nil {
			r.Code = kv.ErrSessionExpired
			return
		}
		delete(m.Sessions, do.Session)
		r.Dropped = 1
	case kv.ExpireSessions:
		before := len(m.Sessions)
		maps.DeleteFunc(m.Sessions, //order: each for itself
			func(_ kv.SessionID, s *Session) bool { return s.used < do.Before/1000 })
		r.Dropped = before - len(m.Sessions)
	case kv.Compact:
		r.Code = m.compact(do.Revision)
	case kv.Sweep:
		m.space.sweep(m.Compacted, atOnce)
	case kv.GrantLease:
		r.Code = m.grant(index, do)
	case kv.RevokeLease:
		r.Code = m.revoke(do)
	case kv.NoteRemaining:
		r.Code = m.note(index, do)
	case kv.SetQuota:
		m.space.quota = do.Bytes
	case kv.SetAlarm:
		r.Dropped = m.space.setAlarm(do)
	case kv.ChangeRights:
		m.rights, r.Code = m.rights.changed(do)
	}
}

func (m *Store) compact(revision int64) kv.Code {
	switch {
	case revision > m.Revision():
		return kv.ErrFutureRevision
	case revision <= m.Compacted:
		return kv.ErrCompacted
	}
	m.Compacted = revision
	return kv.OK
}

func (m *Store) grant(index raft.Index, do kv.GrantLease) kv.Code {
	if _, exists := m.Leases[do.ID]; exists {
		return kv.ErrLeaseExists
	}
	m.Leases[do.ID] = kv.Grant{ID: do.ID, TTL: do.TTL, Index: index, Left: do.TTL}
	return kv.OK
}

func (m *Store) revoke(do kv.RevokeLease) kv.Code {
	lease, exists := m.Leases[do.ID]
	if !exists || do.Grant != 0 && do.Grant != lease.Index {
		return kv.ErrLeaseNotFound
	}
	delete(m.Leases, do.ID)
	x := m.begin()
	for _, key := range m.Attached(do.ID) {
		x.delete(key)
	}
	x.end()
	return kv.OK
}

func (m *Store) note(index raft.Index, do kv.NoteRemaining) kv.Code {
	if do.After != m.Noted {
		return kv.ErrOvertaken
	}
	m.Noted = index
	for _, of := range do.Of {
		for id, g := range m.Leases { //order: a grant has one index
			if g.Index == of.Grant {
				g.Left = min(g.TTL, of.Seconds)
				m.Leases[id] = g
			}
		}
	}
	return kv.OK
}

// Attached are the keys of a lease, sorted.
func (m *Store) Attached(id kv.LeaseID) []string { return m.AttachedAt(m.Revision(), id) }

// AttachedAt are those that it had at a revision.
func (m *Store) AttachedAt(revision int64, id kv.LeaseID) (keys []string) {
	for k, key := range m.Revisions[revision-1] { //order: sorted below
		if key.Lease == id {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *Store) now() map[string]kv.KV { return m.Revisions[len(m.Revisions)-1] }

func (m *Store) moment(index raft.Index) moment {
	return moment{kv.State{
		Applied: index, Revision: m.Revision(), Compacted: m.Compacted, Sessions: int64(len(m.Sessions)), Leases: int64(len(m.Leases)),
		Rights: m.rights.revision, Guarded: m.rights.guarded, Bytes: m.space.bytes, Quota: m.space.quota, Full: m.space.full,
	}, m.rights}
}

// at is the moment after the command at an index, or after the last before it.
func (m *Store) at(index raft.Index) moment {
	next := sort.Search(len(m.moments), func(i int) bool { return m.moments[i].state.Applied > index })
	return m.moments[next-1]
}

// State is what [kv.Machine.State] must have said after the command at an index, but
// for how far it has cleared away.
func (m *Store) State(index raft.Index) kv.State { return m.at(index).state }

// Range is what a node that has applied the command at an index must answer to a query
// on somebody's behalf.
func (m *Store) Range(index raft.Index, by kv.Caller, q kv.Query) (kv.Page, error) {
	was := m.at(index)
	page := kv.Page{Revision: was.state.Revision}
	code := was.rights.refuses(by, func(w warrant) bool { return w.may(kv.MayRead, q.Start, q.End) })
	revision := q.Revision
	switch {
	case code != kv.OK:
		return page, code
	case revision <= 0:
		revision = was.state.Revision
	case revision > was.state.Revision:
		return page, kv.ErrFutureRevision
	case revision < was.state.Compacted:
		return page, kv.ErrCompacted
	}
	page = query(m.Revisions[revision-1], q)
	page.Revision = was.state.Revision
	return page, nil
}

// Text is a result as text, in which no bytes and the empty value are the same.
func Text(r *kv.Result) string {
	return fmt.Sprintf("code %d revision %d repeated %v session %d dropped %d %s",
		r.Code, r.Revision, r.Repeated, r.Session, r.Dropped, txnText(&r.TxnResult))
}

func txnText(t *kv.TxnResult) string {
	s := fmt.Sprintf("(%v", t.Succeeded)
	for i := range t.Ops {
		op := &t.Ops[i]
		s += fmt.Sprintf(" [at %d previous %d deleted %d before %s", op.Revision, op.Previous, op.Deleted, KeysText(op.Before))
		if op.Page != nil {
			s += " " + PageText(op.Page)
		}
		if op.Txn != nil {
			s += " " + txnText(op.Txn)
		}
		s += "]"
	}
	return s + ")"
}

// PageText is a page likewise.
func PageText(p *kv.Page) string {
	return fmt.Sprintf("page at %d more %v count %d %s", p.Revision, p.More, p.Count, KeysText(p.KVs))
}

// KeysText is keys likewise.
func KeysText(all []kv.KV) (s string) {
	for i := range all {
		k := &all[i]
		s += fmt.Sprintf("{%q %q %d %d %d %d}", k.Key, k.Value, k.Create, k.Mod, k.Version, k.Lease)
	}
	return s
}
