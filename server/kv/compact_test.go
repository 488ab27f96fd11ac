package kv_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
)

func TestCompact(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "2"), put("gone", "2")), then(put("a", "3"), del("gone")), then(put("a", "4")))
		if r := m.do(t, kv.Compact{Revision: 5}); !errors.Is(r.Err(), kv.ErrFutureRevision) {
			t.Errorf("compact at 5: %+v", r)
		}
		if r := m.do(t, kv.Compact{Revision: 3}); r.Err() != nil || r.Revision != 4 {
			t.Errorf("compact at 3: %+v", r)
		}
		if r := m.do(t, kv.Compact{Revision: 3}); !errors.Is(r.Err(), kv.ErrCompacted) {
			t.Errorf("compact at 3 again: %+v", r)
		}
		for revision, want := range map[int64]string{2: kv.ErrCompacted.Error(), 3: "3 2 3 2", 4: "4 2 4 3", 0: "4 2 4 3"} {
			if got := get(t, m, "a", revision); got != want {
				t.Errorf("at %d: %q, want %q", revision, got, want)
			}
		}
		if got := get(t, m, "gone", 3); got != "absent" {
			t.Errorf("gone: %q", got)
		}
	})
}

// Space comes back: in the end a compacted store is as large as one in which the
// last state was written at once, but for the last change.
func TestCompactFreesSpace(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		const keys, rounds = 20, 20
		for range rounds {
			for k := range keys {
				m.do(t, then(put(fmt.Sprint("key", k), "value")))
			}
		}
		for k := range keys / 2 {
			m.do(t, then(del(fmt.Sprint("key", k))))
		}
		before := len(m.snapshot(t))
		m.do(t, kv.Compact{Revision: 1 + keys*rounds + keys/2})
		for range keys * rounds / 64 {
			m.do(t, then())
		}
		// Ten keys of about 50 bytes, the last tombstone and its change, and the rest.
		if after := len(m.snapshot(t)); after > 10*50+80+40 {
			t.Errorf("%d bytes, before %d", after, before)
		}
		for k := keys / 2; k < keys; k++ {
			want := fmt.Sprintf("value %d %d %d", 2+k, 2+keys*(rounds-1)+k, rounds)
			if got := get(t, m, fmt.Sprint("key", k), 0); got != want {
				t.Errorf("key%d: %q, want %q", k, got, want)
			}
		}
	})
}
