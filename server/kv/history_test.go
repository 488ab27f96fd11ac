package kv_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/model"
)

// events reads the history from a revision on, with what was there before each.
func events(t fataler, m *member, from int64) (all []kv.Event, before []*kv.KV) {
	t.Helper()
	h, err := m.History()
	if err != nil {
		t.Fatalf("History: %v", err)
	}
	defer h.Close()
	err = h.Visit(from, func(c kv.Change) (bool, error) {
		e, err := h.Event(c)
		all = append(all, e)
		return true, err
	})
	for i := range all {
		if err == nil {
			var b *kv.KV
			b, err = h.Before(&all[i])
			before = append(before, b)
		}
	}
	if err != nil {
		t.Fatalf("reading the history from %d: %v", from, err)
	}
	return all, before
}

// keys is all that a revision sees.
func keys(t fataler, m *member, revision int64) map[string]kv.KV {
	t.Helper()
	page, err := m.Range(kv.Query{Start: []byte{0}, End: kv.NoEnd, Revision: revision})
	if err != nil {
		t.Fatalf("Range at %d: %v", revision, err)
	}
	all := make(map[string]kv.KV)
	for _, k := range page.KVs {
		all[string(k.Key)] = k
	}
	return all
}

// The history leads from each readable revision to the next, and what a follower
// was told is what the history says.
func TestHistoryLeadsFromRevisionToRevision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := inMemory(t)
		var told []kv.Event
		at := int64(1)
		m.Follow(func(a kv.Advance) {
			if a.From != at || a.To <= a.From || !a.Whole {
				t.Fatalf("told of %d to %d, whole %v; was at %d", a.From, a.To, a.Whole, at)
			}
			at, told = a.To, append(told, a.Events...)
		})
		want := model.New()
		d := drawing{t, want}
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			txn := d.txn(4, 1)
			if err := txn.Check(); err != nil {
				continue
			}
			m.do(t, txn)
			want.Apply(m.index, kv.Command{Do: txn})
		}
		compacted := rapid.Int64Range(0, at).Draw(t, "compacted")
		if compacted > 0 {
			m.do(t, kv.Compact{Revision: compacted}, kv.Sweep{})
		}
		from := max(compacted, 1) + 1
		all, before := events(t, m, from)
		for len(told) > 0 && told[0].Mod < from {
			told = told[1:]
		}
		if fmt.Sprintf("%v", all) != fmt.Sprintf("%v", told) {
			t.Fatalf("the history says %v, but told was %v", all, told)
		}
		seen := keys(t, m, max(compacted, 1))
		for revision := from; revision <= at; revision++ {
			was := keys(t, m, revision-1)
			for len(all) > 0 && all[0].Mod == revision {
				e := all[0]
				if b, had := was[string(e.Key)]; had != (before[0] != nil) || had && !reflect.DeepEqual(b, *before[0]) {
					t.Fatalf("before %+v there was %+v, but %+v is said", e, b, before[0])
				}
				seen[string(e.Key)] = e.KV
				if e.Deleted() {
					delete(seen, string(e.Key))
				}
				all, before = all[1:], before[1:]
			}
			if now := keys(t, m, revision); fmt.Sprintf("%v", seen) != fmt.Sprintf("%v", now) {
				t.Fatalf("the history leads to %v at %d, but there is %v", seen, revision, now)
			}
		}
		if len(all) > 0 {
			t.Fatalf("left over: %v", all)
		}
	})
}

func TestW03HistoryFromTheCompactedRevision(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "1"), put("b", "1")), then(put("a", "2")), then(del("a")), then(put("a", "3")),
			kv.Compact{Revision: 4}, kv.Sweep{})
		all, before := events(t, m, 4)
		if len(all) != 2 || !all[0].Deleted() || string(all[0].Key) != "a" || string(all[1].Value) != "3" {
			t.Errorf("from the compacted revision: %+v", all)
		}
		if before[0] != nil {
			t.Errorf("what was before the compacted revision is said to be %+v", before[0])
		}
		h, err := m.History()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		err = h.Visit(3, func(kv.Change) (bool, error) { return true, nil })
		if !errors.Is(err, kv.ErrCompacted) {
			t.Errorf("from below the compacted revision: %v", err)
		}
	})
}

func TestTheHistoryIsWalkedAsFarAsWanted(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "1"), put("b", "1")), then(put("c", "1")), kv.OpenSession{})
		h, err := m.History()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		m.do(t, then(put("d", "1")))
		visited, failed := 0, errors.New("enough")
		count := func(c kv.Change) (bool, error) { visited++; return visited != 2, nil }
		if err := h.Visit(1, count); err != nil || visited != 2 {
			t.Errorf("visited %d, then %v", visited, err)
		}
		if err := h.Visit(1, count); err != nil || visited != 5 {
			t.Errorf("visited %d in all, then %v: what came after the history was opened is in it", visited, err)
		}
		if err := h.Visit(1, func(kv.Change) (bool, error) { return true, failed }); !errors.Is(err, failed) {
			t.Errorf("an error of the visit became %v", err)
		}
	})
}

// A follower is not handed more than fits into memory, and hears of a snapshot.
func TestAdvanceThatIsNotWhole(t *testing.T) {
	m, copied := inMemory(t), inMemory(t)
	var told []kv.Advance
	m.Follow(func(a kv.Advance) { told = append(told, a) })
	big := strings.Repeat("x", kv.MaxValueBytes)
	m.do(t, then(put("a", "1")), then(put("b", big)), kv.OpenSession{}, then(put("c", "1")))
	copied.do(t, then(put("a", "1")), then(put("a", "2")), then(put("a", "3")), then(put("a", "4")))
	if err := m.Restore(bytes.NewReader(copied.snapshot(t))); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range told {
		got = append(got, fmt.Sprint(a.From, a.To, a.Whole, len(a.Events)))
	}
	want := []string{"1 2 true 1", "2 3 false 0", "3 4 true 1", "4 5 false 0"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// What a follower was told stays as it is when the commands' memory is used again.
func TestEventsOutliveTheirCommands(t *testing.T) {
	m := inMemory(t)
	var told []kv.Event
	m.Follow(func(a kv.Advance) { told = append(told, a.Events...) })
	data := kv.Command{Do: then(put("key", "value"))}.Encode()
	m.raw(t, data)
	clear(data)
	if len(told) != 1 || string(told[0].Key) != "key" || string(told[0].Value) != "value" {
		t.Errorf("told %+v", told)
	}
}
