package kv_test

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// model is the store as one would explain it: every revision is a whole map.
type model struct {
	revisions []map[string]kv.KV // revision 1 is at 0
	compacted int64
	clock     int64
	sessions  map[kv.SessionID]*modelSession
	leases    map[kv.LeaseID]kv.Grant
	noted     raft.Index
}

type modelSession struct {
	used    int64
	highest uint64
	answers map[uint64]kv.Result
}

func newModel() *model {
	return &model{revisions: []map[string]kv.KV{{}}, sessions: map[kv.SessionID]*modelSession{}, leases: map[kv.LeaseID]kv.Grant{}}
}

func (m *model) revision() int64 { return int64(len(m.revisions)) }

func (m *model) apply(index raft.Index, c kv.Command) kv.Result {
	m.clock = max(m.clock, c.Millis)
	if c.Session == 0 {
		return m.do(index, c.Do)
	}
	s := m.sessions[c.Session]
	switch {
	case s == nil:
		return kv.Result{Code: kv.ErrSessionExpired, Revision: m.revision()}
	case c.Sequence+kv.SessionWindow <= s.highest:
		return kv.Result{Code: kv.ErrSequenceTooOld, Revision: m.revision()}
	}
	s.used = m.clock / 1000
	s.highest = max(s.highest, c.Sequence)
	if r, ok := s.answers[c.Sequence]; ok {
		r.Repeated = true
		return r
	}
	r := m.do(index, c.Do)
	s.answers[c.Sequence] = remembered(r)
	return r
}

// remembered is a result without the keys that were read.
func remembered(r kv.Result) kv.Result {
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

func (m *model) do(index raft.Index, action kv.Action) (r kv.Result) {
	switch do := action.(type) {
	case kv.Txn:
		r = m.txn(do)
	case kv.OpenSession:
		r.Session = kv.SessionID(index)
		m.sessions[r.Session] = &modelSession{used: m.clock / 1000, answers: map[uint64]kv.Result{}}
	case kv.CloseSession:
		if m.sessions[do.Session] == nil {
			r.Code = kv.ErrSessionExpired
			break
		}
		delete(m.sessions, do.Session)
		r.Dropped = 1
	case kv.ExpireSessions:
		for id, s := range m.sessions {
			if s.used < do.Before/1000 {
				delete(m.sessions, id)
				r.Dropped++
			}
		}
	case kv.Compact:
		switch {
		case do.Revision > m.revision():
			r.Code = kv.ErrFutureRevision
		case do.Revision <= m.compacted:
			r.Code = kv.ErrCompacted
		default:
			m.compacted = do.Revision
		}
	case kv.GrantLease:
		if _, exists := m.leases[do.ID]; exists {
			r.Code = kv.ErrLeaseExists
			break
		}
		m.leases[do.ID] = kv.Grant{ID: do.ID, TTL: do.TTL, Index: index, Left: do.TTL}
	case kv.RevokeLease:
		r.Code = m.revoke(do)
	case kv.NoteRemaining:
		r.Code = m.note(index, do)
	}
	r.Revision = m.revision()
	return r
}

func (m *model) revoke(do kv.RevokeLease) kv.Code {
	lease, exists := m.leases[do.ID]
	if !exists || do.Grant != 0 && do.Grant != lease.Index {
		return kv.ErrLeaseNotFound
	}
	delete(m.leases, do.ID)
	left := maps.Clone(m.revisions[len(m.revisions)-1])
	keys := m.attached(do.ID)
	for _, key := range keys {
		delete(left, key)
	}
	if len(keys) > 0 {
		m.revisions = append(m.revisions, left)
	}
	return kv.OK
}

func (m *model) note(index raft.Index, do kv.NoteRemaining) kv.Code {
	if do.After != m.noted {
		return kv.ErrOvertaken
	}
	m.noted = index
	for _, of := range do.Of {
		for id, g := range m.leases {
			if g.Index == of.Grant {
				g.Left = min(g.TTL, of.Seconds)
				m.leases[id] = g
			}
		}
	}
	return kv.OK
}

// attached are the keys of a lease, sorted.
func (m *model) attached(id kv.LeaseID) (keys []string) {
	for k, key := range m.revisions[len(m.revisions)-1] {
		if key.Lease == id {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *model) txn(t kv.Txn) (r kv.Result) {
	now := m.revisions[len(m.revisions)-1]
	if r.Code = m.refuses(now, t); r.Code != kv.OK {
		return r
	}
	x := modelTxn{model: m, before: now, state: maps.Clone(now)}
	r.TxnResult = x.run(t)
	if x.changed {
		m.revisions = append(m.revisions, x.state)
	}
	return r
}

// chosen is the branch that the keys before the transaction lead to.
func chosen(before map[string]kv.KV, t kv.Txn) (bool, []kv.Op) {
	for _, c := range t.Compares {
		keys := within(before, c.Key, c.End)
		if len(keys) == 0 && (c.Target == kv.Value || !compares(c, kv.KV{})) {
			return false, t.Else
		}
		for _, key := range keys {
			if !compares(c, before[key]) {
				return false, t.Else
			}
		}
	}
	return true, t.Then
}

func compares(c kv.Compare, key kv.KV) bool {
	number := map[kv.Target]int64{
		kv.CreateRevision: key.Create, kv.ModRevision: key.Mod, kv.Version: key.Version, kv.Lease: int64(key.Lease),
	}[c.Target]
	less, equal := number < c.Number, number == c.Number
	if c.Target == kv.Value {
		less, equal = string(key.Value) < string(c.Bytes), string(key.Value) == string(c.Bytes)
	}
	return map[kv.Relation]bool{kv.Equal: equal, kv.NotEqual: !equal, kv.Less: less, kv.Greater: !less && !equal}[c.Relation]
}

// within are the keys of a range, sorted.
func within(state map[string]kv.KV, start, end []byte) (keys []string) {
	for k := range state {
		one, endless := len(end) == 0, string(end) == "\x00"
		if k == string(start) && one || k >= string(start) && (endless || !one && k < string(end)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func (m *model) refuses(before map[string]kv.KV, t kv.Txn) (code kv.Code) {
	_, ops := chosen(before, t)
	for _, op := range ops {
		switch op := op.(type) {
		case kv.Put:
			_, exists := before[string(op.Key)]
			_, granted := m.leases[op.Lease]
			switch {
			case op.Lease != 0 && !granted:
				code = kv.ErrLeaseNotFound
			case (op.KeepValue || op.KeepLease) && !exists:
				code = kv.ErrKeyNotFound
			}
		case kv.Query:
			switch {
			case op.Revision > m.revision():
				code = kv.ErrFutureRevision
			case op.Revision != 0 && (op.Revision < 0 || op.Revision < m.compacted):
				code = kv.ErrCompacted
			}
		case kv.Txn:
			code = m.refuses(before, op)
		}
		if code != kv.OK {
			return code
		}
	}
	return kv.OK
}

// modelTxn is a transaction under way.
type modelTxn struct {
	*model
	before, state map[string]kv.KV
	changed       bool
}

func (x *modelTxn) now() int64 {
	if x.changed {
		return x.revision() + 1
	}
	return x.revision()
}

func (x *modelTxn) run(t kv.Txn) (r kv.TxnResult) {
	var ops []kv.Op
	r.Succeeded, ops = chosen(x.before, t)
	for _, op := range ops {
		var out kv.OpResult
		switch op := op.(type) {
		case kv.Put:
			x.put(op, &out)
		case kv.Delete:
			for _, k := range within(x.state, op.Key, op.End) {
				if op.Previous {
					out.Before = append(out.Before, x.state[k])
				}
				delete(x.state, k)
				out.Deleted++
				x.changed = true
			}
		case kv.Query:
			at := x.state
			if op.Revision > 0 && op.Revision <= x.revision() {
				at = x.revisions[op.Revision-1]
			}
			page := query(at, op)
			page.Revision = x.now()
			out.Page = &page
		case kv.Txn:
			inner := x.run(op)
			out.Txn = &inner
		}
		out.Revision = x.now()
		r.Ops = append(r.Ops, out)
	}
	return r
}

func (x *modelTxn) put(p kv.Put, out *kv.OpResult) {
	key, exists := x.state[string(p.Key)]
	out.Previous = key.Mod
	if exists && p.Previous {
		out.Before = []kv.KV{key}
	}
	if !exists {
		key = kv.KV{Key: p.Key, Create: x.revision() + 1}
	}
	if !p.KeepValue {
		key.Value = p.Value
	}
	if !p.KeepLease {
		key.Lease = p.Lease
	}
	key.Mod, key.Version = x.revision()+1, key.Version+1
	x.state[string(p.Key)] = key
	x.changed = true
}

// query answers from a whole map.
func query(state map[string]kv.KV, q kv.Query) (page kv.Page) {
	keys := within(state, q.Start, q.End)
	if q.Count || q.CountOnly {
		page.Count = int64(len(keys))
	}
	if q.CountOnly {
		return page
	}
	filtered := q.Create != kv.Between{} || q.Mod != kv.Between{}
	byKey := q.By == 0 || q.By == kv.Key
	if early := q.Order == kv.Unordered || byKey && q.Order == kv.Ascending; early && !filtered && q.Limit > 0 && int64(len(keys)) > q.Limit {
		keys = keys[:q.Limit+1]
	}
	for _, k := range keys {
		key := state[k]
		if q.Create.Min != 0 && key.Create < q.Create.Min || q.Create.Max != 0 && key.Create > q.Create.Max ||
			q.Mod.Min != 0 && key.Mod < q.Mod.Min || q.Mod.Max != 0 && key.Mod > q.Mod.Max {
			continue
		}
		page.KVs = append(page.KVs, key)
	}
	rank := func(key kv.KV) string {
		numbers := map[kv.Target]int64{kv.CreateRevision: key.Create, kv.ModRevision: key.Mod, kv.Version: key.Version}
		switch q.By {
		case 0, kv.Key:
			return string(key.Key)
		case kv.Value:
			return string(key.Value)
		}
		return fmt.Sprintf("%020d", numbers[q.By])
	}
	sort.SliceStable(page.KVs, func(i, j int) bool {
		if q.Order == kv.Descending {
			i, j = j, i
		}
		return rank(page.KVs[i]) < rank(page.KVs[j])
	})
	if q.Limit > 0 && int64(len(page.KVs)) > q.Limit {
		page.KVs, page.More = page.KVs[:q.Limit], true
	}
	if q.KeysOnly {
		page.KVs = slices.Clone(page.KVs)
		for i := range page.KVs {
			page.KVs[i].Value = nil
		}
	}
	return page
}
