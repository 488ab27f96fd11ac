package kv_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
)

func (m *member) inSession(t fataler, id kv.SessionID, sequence uint64, millis int64, ops ...kv.Op) *kv.Result {
	t.Helper()
	return m.raw(t, kv.Command{Session: id, Sequence: sequence, Millis: millis, Do: then(ops...)}.Encode())[0]
}

// CL1: a repeated command is answered as the first time and changes nothing, also
// when others have written since, and after a snapshot.
func TestRepeatedCommandCountsOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		id := m.do(t, kv.OpenSession{}).Session
		first := m.inSession(t, id, 1, 0, put("a", "mine"))
		m.do(t, then(put("a", "theirs")))
		for _, at := range []*member{m, restored(t, m)} {
			again := at.inSession(t, id, 1, 0, put("a", "mine"))
			want := *first
			want.Repeated = true
			if !reflect.DeepEqual(*again, want) {
				t.Errorf("got %+v, want %+v", *again, want)
			}
			if got := get(t, at, "a", 0); got != "theirs 2 3 2" {
				t.Errorf("a is %q", got)
			}
		}
	})
}

func restored(t fataler, m *member) *member {
	t.Helper()
	other := inMemory(t)
	if err := other.Restore(newReader(m.snapshot(t))); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	other.index = other.Applied()
	return other
}

// A failed guard is an answer too: repeated, it is not tried again.
func TestRepeatedRefusalStays(t *testing.T) {
	m := inMemory(t)
	id := m.do(t, kv.OpenSession{}).Session
	guarded := kv.Command{Session: id, Sequence: 1, Do: kv.Txn{
		Compares: []kv.Compare{kv.Absent([]byte("a"))},
		Then:     []kv.Op{put("a", "mine")},
	}}.Encode()
	m.do(t, then(put("a", "theirs")))
	first := m.raw(t, guarded)[0]
	m.do(t, then(del("a")))
	again := m.raw(t, guarded)[0]
	if first.Succeeded || again.Succeeded || !again.Repeated || again.Revision != 2 {
		t.Errorf("first %+v, again %+v", first, again)
	}
}

// Up to 32 commands may be under way, and arrive in any order.
func TestSessionWindow(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		id := m.do(t, kv.OpenSession{}).Session
		write := func(sequence uint64) *kv.Result { return m.inSession(t, id, sequence, 0, put("a", "x")) }
		write(40)
		for sequence := uint64(9); sequence < 40; sequence++ {
			if r := write(sequence); r.Err() != nil || r.Repeated {
				t.Errorf("late %d: %+v", sequence, r)
			}
		}
		for sequence := uint64(9); sequence <= 40; sequence++ {
			if r := write(sequence); r.Err() != nil || !r.Repeated {
				t.Errorf("repeated %d: %+v", sequence, r)
			}
		}
		before := get(t, m, "a", 0)
		if r := write(8); !errors.Is(r.Err(), kv.ErrSequenceTooOld) {
			t.Errorf("8: %+v", r)
		}
		write(41)
		if r := write(9); !errors.Is(r.Err(), kv.ErrSequenceTooOld) {
			t.Errorf("9: %+v", r)
		}
		write(1000)
		if r := write(968); !errors.Is(r.Err(), kv.ErrSequenceTooOld) {
			t.Errorf("968: %+v", r)
		}
		if r := write(969); r.Err() != nil || r.Repeated {
			t.Errorf("969: %+v", r)
		}
		if before != "x 2 33 32" || get(t, m, "a", 0) != "x 2 36 35" {
			t.Errorf("a was %q, is %q", before, get(t, m, "a", 0))
		}
	})
}

func TestSessionEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		empty := m.hash(t)
		gone := func(id kv.SessionID) {
			t.Helper()
			r := m.inSession(t, id, 1, 0, put("a", "x"))
			if !errors.Is(r.Err(), kv.ErrSessionExpired) || r.Revision != 1 {
				t.Errorf("session %d: %+v", id, r)
			}
		}
		gone(17)
		one := m.raw(t, kv.Command{Millis: 10_000, Do: kv.OpenSession{}}.Encode())[0].Session
		two := m.raw(t, kv.Command{Millis: 20_000, Do: kv.OpenSession{}}.Encode())[0].Session
		if one == two || one == 0 {
			t.Fatalf("sessions %d and %d", one, two)
		}
		// A clock that runs behind does not make a session older.
		if r := m.inSession(t, one, 1, 5_000); r.Err() != nil {
			t.Fatalf("%+v", r)
		}
		if r := m.do(t, kv.ExpireSessions{Before: 20_000}); r.Dropped != 0 {
			t.Errorf("dropped %+v", r)
		}
		m.inSession(t, two, 1, 30_000)
		if r := m.do(t, kv.ExpireSessions{Before: 30_000}); r.Dropped != 1 {
			t.Errorf("dropped %+v", r)
		}
		gone(one)
		if r := m.do(t, kv.CloseSession{Session: two}); r.Err() != nil || r.Dropped != 1 {
			t.Errorf("close: %+v", r)
		}
		gone(two)
		if r := m.do(t, kv.CloseSession{Session: two}); !errors.Is(r.Err(), kv.ErrSessionExpired) {
			t.Errorf("close again: %+v", r)
		}
		if now := m.hash(t); now.Sessions != 0 || now.Revision != empty.Revision {
			t.Errorf("left behind: %+v", now)
		}
		// Nothing but the place in the log is left: a snapshot has one pair.
		if got := m.snapshot(t); len(got) > 40 {
			t.Errorf("left behind: %q", got)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	m := inMemory(t)
	open := kv.Command{Do: kv.OpenSession{}}.Encode()
	first := m.raw(t, open)[0].Session
	second := m.raw(t, open)[0].Session
	m.inSession(t, first, 1, 5_000) // used since: the second is now the oldest
	for range kv.MaxSessions - 2 {
		m.raw(t, open)
	}
	m.raw(t, open)
	if s, err := m.State(); err != nil || s.Sessions != kv.MaxSessions {
		t.Errorf("%+v, %v", s, err)
	}
	if r := m.inSession(t, second, 1, 0); !errors.Is(r.Err(), kv.ErrSessionExpired) {
		t.Errorf("the oldest: %+v", r)
	}
	if r := m.inSession(t, first, 1, 0); r.Err() != nil || !r.Repeated {
		t.Errorf("one in use: %+v", r)
	}
}
