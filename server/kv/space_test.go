package kv_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
)

func state(t fataler, m *member) kv.State {
	t.Helper()
	s, err := m.State()
	if err != nil {
		t.Fatalf("State: %v", err)
	}
	return s
}

// weighed claims that what was counted is what is there.
func weighed(t fataler, m *member) {
	t.Helper()
	if got, err := kv.Weigh(m.Machine); err != nil || got != state(t, m).Bytes {
		t.Fatalf("the store says %d bytes, it has %d (%v)", state(t, m).Bytes, got, err)
	}
}

// Beyond the quota nothing is taken that makes the store grow, on no node; deletes
// and compaction are, and when they have made room the store takes all again.
func TestQuota(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		const quota = 20_000
		m.do(t, kv.SetQuota{Bytes: quota}, kv.GrantLease{ID: 1, TTL: 5})
		value, n := strings.Repeat("x", 1000), 0
		for ; !state(t, m).Full; n++ {
			if got := m.do(t, then(put(fmt.Sprint("k", n), value))); got.Err() != nil {
				t.Fatalf("put %d: %v at %d bytes", n, got.Err(), state(t, m).Bytes)
			}
		}
		if s := state(t, m); s.Bytes <= quota || s.Bytes > quota+1100 {
			t.Errorf("full at %d bytes", s.Bytes)
		}
		revision := state(t, m).Revision
		for _, do := range []kv.Action{
			then(put("more", "")), kv.GrantLease{ID: 2, TTL: 5},
			kv.Txn{Compares: []kv.Compare{kv.Exists([]byte("nothing"))}, Then: []kv.Op{put("k0", "")}},
			then(kv.Txn{Else: []kv.Op{put("k0", "")}}),
		} {
			if got := m.do(t, do); !errors.Is(got.Err(), kv.ErrNoSpace) || got.Revision != revision {
				t.Errorf("%+v: %v, revision %d", do, got.Err(), got.Revision)
			}
		}
		for _, do := range []kv.Action{
			then(delRange("k", "l")), kv.RevokeLease{ID: 1}, kv.OpenSession{}, kv.Compact{Revision: revision + 1}, kv.Sweep{},
		} {
			if got := m.do(t, do); got.Err() != nil {
				t.Errorf("%+v: %v", do, got.Err())
			}
		}
		weighed(t, m)
		if s := state(t, m); s.Full || s.Bytes > int64(n)*100 {
			t.Errorf("after all was deleted: %+v", s)
		}
		if got := m.do(t, then(put("more", ""))); got.Err() != nil {
			t.Errorf("a put when there is room: %v", got.Err())
		}
	})
}

// The alarm stays until a tenth of the quota is free; by hand, or with a larger quota,
// it ends as soon as the quota is not passed any more.
func TestTheAlarmDoesNotFlap(t *testing.T) {
	m := inMemory(t)
	grow := func(bytes int64) {
		m.do(t, then(put("a", strings.Repeat("x", int(bytes)-1-64))))
	}
	off := kv.SetAlarm{Alarm: kv.Alarm{Kind: kv.NoSpace}}
	steps := []struct {
		do   func()
		full bool
	}{
		{func() { m.do(t, kv.SetQuota{Bytes: 1000}); grow(1000) }, false},
		{func() { grow(100) }, true}, // 1,100, of which 1,000 are history
		{func() { m.do(t, off) }, true},
		{func() { m.do(t, kv.SetQuota{Bytes: 1150}) }, true},
		{func() { m.do(t, off) }, false},
		{func() { m.do(t, kv.SetQuota{Bytes: 1000}) }, true},
		{func() { m.do(t, kv.SetQuota{Bytes: 1223}) }, false}, // nine tenths are 1,101
		{func() { grow(200) }, true},
		{func() { m.do(t, kv.Compact{Revision: 3}, kv.Sweep{}) }, false},
		{func() { m.do(t, kv.Compact{Revision: 4}, kv.Sweep{}) }, false},
		{func() { grow(1100) }, true},
		{func() { m.do(t, kv.SetQuota{}) }, false},
	}
	for i, s := range steps {
		s.do()
		if got := state(t, m); got.Full != s.full {
			t.Fatalf("step %d: full %v with %d of %d bytes", i, got.Full, got.Bytes, got.Quota)
		}
		weighed(t, m)
	}
}

// An alarm of corruption forbids all that has to do with keys, one of space what
// grows; either ends when it is ended, whoever has raised it.
func TestAlarmsByHand(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "1")), kv.GrantLease{ID: 1, TTL: 5})
		space, corrupt := kv.Alarm{Member: 7, Kind: kv.NoSpace}, kv.Alarm{Member: 1 << 63, Kind: kv.Corrupt}
		m.do(t, kv.SetAlarm{Alarm: space, On: true}, kv.SetAlarm{Alarm: space, On: true})
		if got := m.do(t, then(put("a", "2"))); !errors.Is(got.Err(), kv.ErrNoSpace) {
			t.Errorf("a put: %v", got.Err())
		}
		m.do(t, kv.SetAlarm{Alarm: corrupt, On: true})
		if all, err := m.Alarms(); err != nil || fmt.Sprint(all) != fmt.Sprint([]kv.Alarm{space, corrupt}) {
			t.Errorf("alarms %v, %v", all, err)
		}
		for _, do := range []kv.Action{then(del("a")), kv.Compact{Revision: 2}, kv.RevokeLease{ID: 1}, kv.GrantLease{ID: 2, TTL: 5}} {
			if got := m.do(t, do); !errors.Is(got.Err(), kv.ErrCorrupt) {
				t.Errorf("%+v: %v", do, got.Err())
			}
		}
		for i, a := range []kv.Alarm{corrupt, space, space} {
			if got := m.do(t, kv.SetAlarm{Alarm: a}); got.Err() != nil || (got.Dropped == 1) != (i < 2) {
				t.Errorf("ending %v: %+v", a, got)
			}
		}
		if got := m.do(t, then(put("a", "2"))); got.Err() != nil {
			t.Errorf("a put: %v", got.Err())
		}
	})
}

// A client cannot fill the store with alarms.
func TestAlarmsAreBounded(t *testing.T) {
	m := inMemory(t)
	for i := range uint64(kv.MaxAlarms) {
		m.do(t, kv.SetAlarm{Alarm: kv.Alarm{Member: i, Kind: kv.NoSpace}, On: true})
	}
	if got := m.do(t, kv.SetAlarm{Alarm: kv.Alarm{Member: kv.MaxAlarms, Kind: kv.NoSpace}, On: true}); !errors.Is(got.Err(), kv.ErrTooManyAlarms) {
		t.Errorf("one more: %v", got.Err())
	}
	if got := m.do(t, kv.SetAlarm{Alarm: kv.Alarm{Kind: kv.NoSpace}, On: true}); got.Err() != nil {
		t.Errorf("one that there is: %v", got.Err())
	}
}
