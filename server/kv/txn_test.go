package kv_test

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
)

func key(k string) []byte { return []byte(k) }

// Which changes of one key a transaction may hold: never two that can both be
// carried out, however deep they are nested.
func TestOneChangeOfAKeyPerRevision(t *testing.T) {
	nested := func(then, otherwise []kv.Op) kv.Op { return kv.Txn{Then: then, Else: otherwise} }
	one := func(ops ...kv.Op) []kv.Op { return ops }
	cases := []struct {
		name string
		ops  []kv.Op
		want error
	}{
		{"two deletes", one(del("k"), delRange("a", "z")), nil},
		{"a put beside a range", one(put("z", ""), delRange("a", "z")), nil},
		{"a put in an endless range", one(delRange("a", "\x00"), put("z", "")), kv.ErrDuplicateKey},
		{"both branches", one(nested(one(put("k", "")), one(put("k", "")))), nil},
		{"a branch and the level above", one(put("k", ""), nested(nil, one(put("k", "")))), kv.ErrDuplicateKey},
		{"two nested", one(nested(one(put("k", "")), nil), nested(one(put("k", "")), nil)), kv.ErrDuplicateKey},
		{"nested, put then delete", one(nested(one(put("k", "")), nil), nested(one(del("k")), nil)), kv.ErrDuplicateKey},
		{"nested, delete then put", one(nested(one(del("k")), nil), nested(nil, one(put("k", "")))), kv.ErrDuplicateKey},
		{"deeper", one(nested(one(nested(nil, one(put("k", "")))), nil), del("k")), kv.ErrDuplicateKey},
		{"reading twice", one(put("k", ""), kv.Query{Start: key("k")}, kv.Query{Start: key("k")}), nil},
	}
	for _, c := range cases {
		if got := (kv.Txn{Else: c.ops}).Check(); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Nesting does not get around the limit, neither before a transaction is proposed
// nor when one is read.
func TestNestedOperationsCount(t *testing.T) {
	txn := kv.Txn{}
	for range kv.MaxOps {
		txn = kv.Txn{Then: []kv.Op{txn}}
	}
	if err := txn.Check(); err != nil {
		t.Errorf("%d operations: %v", kv.MaxOps, err)
	}
	if _, err := kv.Decode(kv.Command{Do: txn}.Encode()); err != nil {
		t.Errorf("%d operations read: %v", kv.MaxOps, err)
	}
	txn = kv.Txn{Else: []kv.Op{txn}}
	if err := txn.Check(); !errors.Is(err, kv.ErrTooManyOps) {
		t.Errorf("one more: %v", err)
	}
	if _, err := kv.Decode(kv.Command{Do: txn}.Encode()); !errors.Is(err, kv.ErrTooManyOps) {
		t.Errorf("one more read: %v", err)
	}
}

// A refused transaction has changed nothing, though operations before the refused
// one could have been carried out.
func TestARefusedTransactionChangesNothing(t *testing.T) {
	refused := map[kv.Code]kv.Op{
		kv.ErrLeaseNotFound:  kv.Put{Key: key("b"), Lease: 1},
		kv.ErrKeyNotFound:    kv.Put{Key: key("b"), KeepValue: true},
		kv.ErrFutureRevision: kv.Query{Start: key("b"), Revision: 9},
		kv.ErrCompacted:      kv.Query{Start: key("b"), Revision: 2},
	}
	for want, op := range refused {
		m := inMemory(t)
		m.do(t, then(put("a", "1")), then(put("a", "2")), kv.Compact{Revision: 3})
		before := m.hash(t)
		got := m.do(t, then(put("a", "3"), kv.Txn{Then: []kv.Op{op}}))
		after := m.hash(t)
		before.Applied, before.Sum, after.Applied, after.Sum = 0, 0, 0, 0
		if got.Code != want || len(got.Ops) != 0 || get(t, m, "a", 0) != "2 2 3 2" || after != before {
			t.Errorf("%v: %+v, a is %q, state %+v, was %+v", want, got, get(t, m, "a", 0), after, before)
		}
	}
}

// The compares of nested transactions look at the keys before the outermost one,
// their queries at what was done so far.
func TestNestedTransactionsReadWhatWasDone(t *testing.T) {
	m := inMemory(t)
	got := m.do(t, then(
		put("a", "1"),
		kv.Txn{
			Compares: []kv.Compare{kv.Absent(key("a"))},
			Then:     []kv.Op{kv.Query{Start: key("a")}, kv.Query{Start: key("a"), Revision: 1}},
		},
	))
	inner := got.Ops[1].Txn
	if !inner.Succeeded || len(inner.Ops[0].Page.KVs) != 1 || inner.Ops[0].Page.Revision != 2 || len(inner.Ops[1].Page.KVs) != 0 {
		t.Errorf("%+v: %+v", got, inner)
	}
}

func TestReadRefusesToWrite(t *testing.T) {
	m := inMemory(t)
	for _, txn := range []kv.Txn{then(put("a", "1")), {Else: []kv.Op{kv.Txn{Then: []kv.Op{del("a")}}}}} {
		if _, err := m.Read(txn); !errors.Is(err, kv.ErrMalformed) {
			t.Errorf("%+v: %v", txn, err)
		}
	}
}

// A session remembers what became of a transaction, but not what it read.
func TestRepeatedReadsAreNotRemembered(t *testing.T) {
	m := inMemory(t)
	id := m.do(t, kv.OpenSession{}).Session
	ops := []kv.Op{
		kv.Put{Key: key("a"), Value: key("1"), Previous: true},
		kv.Txn{Then: []kv.Op{kv.Query{Start: key("a"), Count: true}, kv.Delete{Key: key("b"), Previous: true}}},
	}
	first := m.inSession(t, id, 1, 0, ops...)
	want := model.Remembered(*first)
	want.Repeated = true
	if page := first.Ops[1].Txn.Ops[0].Page; len(page.KVs) != 1 {
		t.Fatalf("first: %+v", page)
	}
	equal(t, "again", m.inSession(t, id, 1, 0, ops...), &want)
}

// Sweep clears away in a few commands what the commands after a Compact would
// need many for.
func TestSweep(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		const writes = 5000
		for range writes {
			m.do(t, then(put("a", "value")))
		}
		m.do(t, kv.Compact{Revision: 1 + writes}, kv.Sweep{}, kv.Sweep{})
		state, err := m.State()
		if err != nil || state.Swept != state.Compacted || len(m.snapshot(t)) > 200 {
			t.Errorf("%+v, %v, %d bytes", state, err, len(m.snapshot(t)))
		}
	})
}
