package model

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/quorate-db/quorate/server/kv"
)

// txn carries a transaction out as a whole, or refuses it.
func (m *Store) txn(t kv.Txn) (r kv.TxnResult, refusal kv.Code) {
	if refusal = m.refuses(m.now(), t); refusal != kv.OK {
		return r, refusal
	}
	x := m.begin()
	r = x.run(t)
	x.end()
	return r, kv.OK
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
	for k := range state { //order: sorted below
		one, endless := len(end) == 0, string(end) == "\x00"
		if k == string(start) && one || k >= string(start) && (endless || !one && k < string(end)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// refuses is why a transaction cannot be carried out.
func (m *Store) refuses(before map[string]kv.KV, t kv.Txn) (code kv.Code) {
	_, ops := chosen(before, t)
	for _, op := range ops {
		switch op := op.(type) {
		case kv.Put:
			_, exists := before[string(op.Key)]
			_, granted := m.Leases[op.Lease]
			switch {
			case op.Lease != 0 && !granted:
				code = kv.ErrLeaseNotFound
			case (op.KeepValue || op.KeepLease) && !exists:
				code = kv.ErrKeyNotFound
			}
		case kv.Query:
			switch {
			case op.Revision > m.Revision():
				code = kv.ErrFutureRevision
			case op.Revision != 0 && (op.Revision < 0 || op.Revision < m.Compacted):
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

// changing is the next revision, while it comes about.
type changing struct {
	*Store
	before, state map[string]kv.KV
}

func (m *Store) begin() *changing {
	m.Changed = nil
	return &changing{m, m.now(), maps.Clone(m.now())}
}

// end makes it the revision of the store, if it has changed anything.
func (x *changing) end() {
	if len(x.Changed) > 0 {
		x.Revisions = append(x.Revisions, x.state)
	}
}

// now is the revision of the store with what has changed so far.
func (x *changing) now() int64 {
	if len(x.Changed) > 0 {
		return x.Revision() + 1
	}
	return x.Revision()
}

// set gives a key its place in the next revision; one without a version is gone.
func (x *changing) set(is kv.KV) {
	is.Mod = x.Revision() + 1
	was, existed := x.state[string(is.Key)]
	x.space.change(is.Mod, was, existed, is)
	x.Changed = append(x.Changed, is)
	if x.state[string(is.Key)] = is; is.Version == 0 {
		delete(x.state, string(is.Key))
	}
}

func (x *changing) delete(key string) { x.set(kv.KV{Key: []byte(key)}) }

func (x *changing) run(t kv.Txn) (r kv.TxnResult) {
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
				x.delete(k)
				out.Deleted++
			}
		case kv.Query:
			at := x.state
			if op.Revision > 0 && op.Revision <= x.Revision() {
				at = x.Revisions[op.Revision-1]
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

func (x *changing) put(p kv.Put, out *kv.OpResult) {
	key, exists := x.state[string(p.Key)]
	out.Previous = key.Mod
	if exists && p.Previous {
		out.Before = []kv.KV{key}
	}
	if !exists {
		key = kv.KV{Key: p.Key, Create: x.Revision() + 1}
	}
	if !p.KeepValue {
		key.Value = p.Value
	}
	if !p.KeepLease {
		key.Lease = p.Lease
	}
	key.Version++
	x.set(key)
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
