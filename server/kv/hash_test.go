package kv_test

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/server/kv"
)

func hashKeys(t *testing.T, m *member, revision int64) uint32 {
	t.Helper()
	h, err := m.HashKeys(revision)
	if err != nil || revision != 0 && h.Revision != revision {
		t.Fatalf("at %d: %+v, %v", revision, h, err)
	}
	return h.Sum
}

// The hash at a revision stays what it was while more is written, tells one history
// from another, and does not care how far compacted history has been cleared away.
func TestHashKeys(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "1"), put("gone", "1")), then(put("a", "2"), del("gone")), then(put("b", "1")))
		seen := map[uint32]int64{}
		for revision := int64(1); revision <= 4; revision++ {
			sum := hashKeys(t, m, revision)
			if other, same := seen[sum]; same {
				t.Errorf("%d and %d have the same hash", revision, other)
			}
			seen[sum] = revision
		}
		if hashKeys(t, m, 0) != hashKeys(t, m, 4) {
			t.Error("the latest revision is not 4")
		}
		at4 := hashKeys(t, m, 4)
		m.do(t, then(put("c", "1")))
		if hashKeys(t, m, 4) != at4 || hashKeys(t, m, 0) == at4 {
			t.Error("a later write changes an earlier hash, or not the latest")
		}
		// Another one clears away at once, this one with the commands to come.
		other := inMemory(t)
		if err := other.Restore(newReader(m.snapshot(t))); err != nil {
			t.Fatal(err)
		}
		other.index = other.Applied()
		for range 100 {
			m.do(t, then(put("d", "x")))
			other.do(t, then(put("d", "x")))
		}
		m.do(t, kv.Compact{Revision: 100})
		other.do(t, kv.Compact{Revision: 100}, kv.Sweep{})
		if hashKeys(t, m, 0) != hashKeys(t, other, 0) || hashKeys(t, m, 100) != hashKeys(t, other, 100) {
			t.Error("clearing away changes the hash")
		}
		for revision, want := range map[int64]error{99: kv.ErrCompacted, 106: kv.ErrFutureRevision} {
			if _, err := m.HashKeys(revision); !errors.Is(err, want) {
				t.Errorf("at %d: %v", revision, err)
			}
		}
	})
}
