package kv_test

import (
	"reflect"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
)

// What a machine has done is counted as etcd does; make conformance compares it with a
// real one. What is refused, and what a session remembers, has not been done.
func TestWhatIsDoneIsCounted(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		put := kv.Put{Key: []byte("k"), Value: []byte("vv")}
		before := kv.Put{Key: []byte("k"), Previous: true}
		delete := kv.Delete{Key: []byte("k"), Previous: true}
		query := kv.Query{Start: []byte("k")}
		missing := kv.Put{Key: []byte("none"), KeepValue: true}
		compare := kv.Compare{Key: []byte("none"), Target: kv.Version, Relation: kv.Equal}
		session := m.do(t, kv.OpenSession{}).Session
		once := kv.Command{Session: session, Sequence: 1, Do: then(put)}.Encode()
		for _, c := range []struct {
			about string
			do    func()
			want  kv.Tally
		}{
			{"a put", func() { m.do(t, then(put)) }, kv.Tally{Puts: 1, PutBytes: 3}},
			{"a put that asks", func() { m.do(t, then(before)) }, kv.Tally{Puts: 1, PutBytes: 1, Ranges: 1, Txns: 1}},
			{"a put that is refused", func() { m.do(t, then(missing)) }, kv.Tally{Ranges: 1}},
			{"a put that is repeated", func() { m.raw(t, once, once) }, kv.Tally{Puts: 1, PutBytes: 3}},
			{"a delete that asks", func() { m.do(t, then(delete)) }, kv.Tally{Deletes: 1, Ranges: 1, Txns: 1}},
			{"a transaction", func() { m.do(t, kv.Txn{Compares: []kv.Compare{compare, compare}, Then: []kv.Op{put}}) }, kv.Tally{Puts: 1, PutBytes: 3, Ranges: 2, Txns: 1}},
			{"a transaction with a query", func() { m.do(t, then(put, query)) }, kv.Tally{Puts: 1, PutBytes: 3}},
			{"a read", func() { get(t, m, "k", 0) }, kv.Tally{Ranges: 1}},
			{"a lease", func() { m.do(t, kv.GrantLease{ID: 1, TTL: 9}, kv.RevokeLease{ID: 1}) },
				kv.Tally{Granted: []int64{9}, Revoked: 1}},
		} {
			got := kv.Tally{}
			m.Count(func(more kv.Tally) { got = sum(got, more) })
			c.do()
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v, not %+v", c.about, got, c.want)
			}
		}
	})
}

// Where the client of a transaction is, its queries count, too, and the transaction if
// only they make it one.
func TestWhatCountsWhereTheClientIs(t *testing.T) {
	put, query := kv.Put{Key: []byte("k")}, kv.Query{Start: []byte("k")}
	m := inMemory(t)
	for _, c := range []struct {
		ops  []kv.Op
		want kv.Answered
	}{
		{[]kv.Op{put}, kv.Answered{}},
		{[]kv.Op{put, query}, kv.Answered{Ranges: 1, Txns: 1}},
		{[]kv.Op{put, kv.Delete{Key: []byte("d")}, query, query}, kv.Answered{Ranges: 2}},
		{[]kv.Op{kv.Txn{Then: []kv.Op{query}}}, kv.Answered{Ranges: 1}},
	} {
		if got := m.do(t, then(c.ops...)).Answered(); got != c.want {
			t.Errorf("%v: %+v, not %+v", c.ops, got, c.want)
		}
	}
}

func sum(a, b kv.Tally) kv.Tally {
	a.Puts += b.Puts
	a.Deletes += b.Deletes
	a.Ranges += b.Ranges
	a.Txns += b.Txns
	a.PutBytes += b.PutBytes
	a.Revoked += b.Revoked
	a.Granted = append(a.Granted, b.Granted...)
	return a
}
