package kv_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
)

func putIn(lease kv.LeaseID, key string) kv.Op {
	return kv.Put{Key: []byte(key), Value: []byte("x"), Lease: lease}
}

// keysOf are the keys of a lease as text, or why there are none.
func keysOf(t *testing.T, m *member, id kv.LeaseID) string {
	t.Helper()
	keys, err := m.LeaseKeys(id)
	if err != nil {
		t.Fatal(err)
	}
	lease, err := m.Lease(id)
	if err != nil {
		t.Fatal(err)
	}
	if lease == nil && len(keys) == 0 {
		return "gone"
	}
	return fmt.Sprintf("%q", keys)
}

// A key is attached by a put with a lease, and is not any more after one without,
// after a delete, and while it is attached to another.
func TestAttachAndDetach(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, kv.GrantLease{ID: 1, TTL: 5}, kv.GrantLease{ID: -2, TTL: 5})
		steps := []struct {
			do        kv.Action
			one, two  string
			unchanged bool
		}{
			{then(putIn(1, "b"), putIn(1, "a"), putIn(-2, "c")), `["a" "b"]`, `["c"]`, false},
			{then(putIn(-2, "b")), `["a"]`, `["b" "c"]`, false},
			{then(kv.Put{Key: []byte("b"), KeepLease: true}), `["a"]`, `["b" "c"]`, false},
			{then(put("b", "detached")), `["a"]`, `["c"]`, false},
			{then(putIn(1, "b"), del("c")), `["a" "b"]`, `[]`, false},
			{then(delRange("a", "z")), `[]`, `[]`, false},
			{kv.RevokeLease{ID: 1}, `gone`, `[]`, true},
		}
		for i, s := range steps {
			before := revision(t, m)
			got := m.do(t, s.do)
			if one, two := keysOf(t, m, 1), keysOf(t, m, -2); got.Err() != nil || one != s.one || two != s.two {
				t.Errorf("step %d: %v; 1 has %s, -2 has %s; want %s and %s", i, got.Err(), one, two, s.one, s.two)
			}
			if (got.Revision == before) != s.unchanged {
				t.Errorf("step %d: revision %d after %d", i, got.Revision, before)
			}
		}
	})
}

// Scenario W13: with its lease a key goes, all of them in one revision and in their
// order, however old they are; the history remembers them.
func TestW13RevokeDeletesTheKeysInOneRevision(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, kv.GrantLease{ID: 1, TTL: 5}, then(putIn(1, "c")), then(putIn(1, "a"), put("stays", "x")), then(putIn(1, "b")))
		if got := m.do(t, kv.RevokeLease{ID: 1}); got.Err() != nil || got.Revision != 5 {
			t.Fatalf("%+v", got)
		}
		page, err := m.Range(kv.Query{End: kv.NoEnd})
		if err != nil || len(page.KVs) != 1 || string(page.KVs[0].Key) != "stays" {
			t.Errorf("left: %s, %v", model.KeysText(page.KVs), err)
		}
		before, err := m.Range(kv.Query{End: kv.NoEnd, Revision: 4})
		if want := `{"a" "x" 3 3 1 1}{"b" "x" 4 4 1 1}{"c" "x" 2 2 1 1}{"stays" "x" 3 3 1 0}`; err != nil || model.KeysText(before.KVs) != want {
			t.Errorf("before: %s, %v; want %s", model.KeysText(before.KVs), err, want)
		}
		for _, again := range []kv.Action{kv.RevokeLease{ID: 1}, then(putIn(1, "a"))} {
			if got := m.do(t, again); !errors.Is(got.Err(), kv.ErrLeaseNotFound) || got.Revision != 5 {
				t.Errorf("%+v: %v at %d", again, got.Err(), got.Revision)
			}
		}
	})
}

// A revocation that was decided for one grant does not hit another of the same ID.
func TestRevokeNamesTheGrant(t *testing.T) {
	m := inMemory(t)
	m.do(t, kv.GrantLease{ID: 1, TTL: 5})
	old, err := m.Lease(1)
	if err != nil {
		t.Fatal(err)
	}
	m.do(t, kv.RevokeLease{ID: 1}, kv.GrantLease{ID: 1, TTL: 9}, then(putIn(1, "a")))
	if got := m.do(t, kv.RevokeLease{ID: 1, Grant: old.Index}); !errors.Is(got.Err(), kv.ErrLeaseNotFound) {
		t.Errorf("the old grant: %v", got.Err())
	}
	if got := keysOf(t, m, 1); got != `["a"]` {
		t.Errorf("the new lease has %s", got)
	}
	now, err := m.Lease(1)
	if err != nil || now.TTL != 9 || now.Index <= old.Index {
		t.Fatalf("%+v, %v", now, err)
	}
	if got := m.do(t, kv.RevokeLease{ID: 1, Grant: now.Index}); got.Err() != nil {
		t.Errorf("the new grant: %v", got.Err())
	}
}

// What a lease has left is noted for one grant, and of two notes that know the same
// only one counts, whichever comes first.
func TestNoteRemaining(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, kv.GrantLease{ID: 1, TTL: 9}, kv.GrantLease{ID: 2, TTL: 9}, kv.RevokeLease{ID: 2}, kv.GrantLease{ID: 2, TTL: 8})
		left := func(want ...int64) {
			t.Helper()
			for i, w := range want {
				if g, err := m.Lease(kv.LeaseID(i + 1)); err != nil || g.Left != w {
					t.Errorf("lease %d: %+v, %v; want %d s left", i+1, g, err, w)
				}
			}
		}
		left(9, 8)
		first := kv.NoteRemaining{Of: []kv.Remaining{{Grant: 1, Seconds: 4}, {Grant: 2, Seconds: 3}}}
		if got := m.do(t, first); got.Err() != nil || got.Revision != 1 {
			t.Errorf("%+v", got)
		}
		left(4, 8) // the grant at 2 is no more
		noted, err := m.Noted()
		if err != nil || noted != 5 {
			t.Errorf("noted at %d, %v", noted, err)
		}
		renewed := kv.NoteRemaining{After: noted, Of: []kv.Remaining{{Grant: 1, Seconds: kv.MaxLeaseTTL}}}
		late := kv.NoteRemaining{After: noted, Of: []kv.Remaining{{Grant: 1, Seconds: 1}, {Grant: 4, Seconds: 1}}}
		m.do(t, renewed)
		if got := m.do(t, late); !errors.Is(got.Err(), kv.ErrOvertaken) {
			t.Errorf("a note that was late: %v", got.Err())
		}
		left(9, 8)
		if got := m.do(t, kv.NoteRemaining{After: 6, Of: make([]kv.Remaining, kv.MaxOps+1)}); !errors.Is(got.Err(), kv.ErrTooManyOps) {
			t.Errorf("too many: %v", got.Err())
		}
	})
}

// Scenario K04: an ID is not granted twice, and there is a limit to how many are.
func TestK04LeasesThatMakeNoSense(t *testing.T) {
	m := inMemory(t)
	m.do(t, kv.GrantLease{ID: 1, TTL: 5})
	if got := m.do(t, kv.GrantLease{ID: 1, TTL: 7}); !errors.Is(got.Err(), kv.ErrLeaseExists) {
		t.Errorf("twice: %v", got.Err())
	}
	if lease, err := m.Lease(1); err != nil || lease.TTL != 5 {
		t.Errorf("%+v, %v", lease, err)
	}
	commands := make([][]byte, kv.MaxLeases)
	for i := range commands {
		commands[i] = kv.Command{Do: kv.GrantLease{ID: kv.LeaseID(i + 1), TTL: 5}}.Encode()
	}
	m.raw(t, commands...)
	if state, err := m.State(); err != nil || state.Leases != kv.MaxLeases {
		t.Fatalf("%+v, %v", state, err)
	}
	over := kv.GrantLease{ID: -1, TTL: 5}
	if got := m.do(t, over); !errors.Is(got.Err(), kv.ErrTooManyLeases) {
		t.Errorf("one too many: %v", got.Err())
	}
	m.do(t, kv.RevokeLease{ID: 1})
	if got := m.do(t, over); got.Err() != nil {
		t.Errorf("once there is room: %v", got.Err())
	}
}
