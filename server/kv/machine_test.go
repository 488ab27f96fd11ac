package kv_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/kv"
)

// get is a key as text: value, create, mod, version.
func get(t fataler, m *member, key string, revision int64) string {
	t.Helper()
	got, _, err := m.Get([]byte(key), revision)
	switch {
	case err != nil:
		return err.(kv.Code).Error()
	case got == nil:
		return "absent"
	}
	return fmt.Sprintf("%s %d %d %d", got.Value, got.Create, got.Mod, got.Version)
}

func TestRevisions(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		steps := []struct {
			do       kv.Action
			revision int64
			a, b     string
		}{
			{then(), 1, "absent", "absent"},
			{then(del("a")), 1, "absent", "absent"},
			{then(put("a", "1")), 2, "1 2 2 1", "absent"},
			{then(put("a", "2"), put("b", "x")), 3, "2 2 3 2", "x 3 3 1"},
			{then(del("a"), del("nothing")), 4, "absent", "x 3 3 1"},
			{then(put("a", "")), 5, " 5 5 1", "x 3 3 1"},
			{then(delRange("a", "c")), 6, "absent", "absent"},
		}
		for i, s := range steps {
			if got := m.do(t, s.do); got.Err() != nil || got.Revision != s.revision {
				t.Errorf("step %d: %+v, want revision %d", i, got, s.revision)
			}
		}
		// The whole history can still be read.
		for i, s := range steps {
			if a, b := get(t, m, "a", s.revision), get(t, m, "b", s.revision); a != s.a || b != s.b {
				t.Errorf("step %d: a %q, b %q; want %q, %q", i, a, b, s.a, s.b)
			}
		}
		if got := get(t, m, "a", 7); got != kv.ErrFutureRevision.Error() {
			t.Errorf("at 7: %q", got)
		}
	})
}

func TestOpResults(t *testing.T) {
	m := inMemory(t)
	m.do(t, then(put("a", "1"), put("b", "1")), then(put("b", "2")))
	got := m.do(t, then(put("a", "2"), put("new", "1"), delRange("b", "c"), del("nothing")))
	want := []kv.OpResult{{Revision: 4, Previous: 2}, {Revision: 4}, {Revision: 4, Deleted: 1}, {Revision: 4}}
	if !reflect.DeepEqual(got.Ops, want) {
		t.Errorf("got %+v, want %+v", got.Ops, want)
	}
}

func TestGuards(t *testing.T) {
	absent, once, twice := []byte("absent"), []byte("once"), []byte("twice") // created at 2; twice changed at 3
	cases := []struct {
		name  string
		guard kv.Compare
		holds bool
	}{
		{"absent, of none", kv.Absent(absent), true},
		{"absent, of one", kv.Absent(once), false},
		{"exists, of none", kv.Exists(absent), false},
		{"exists, of one", kv.Exists(once), true},
		{"modified at its revision", kv.ModifiedAt(twice, 3), true},
		{"modified at an earlier revision", kv.ModifiedAt(twice, 2), false},
		{"modified at a later revision", kv.ModifiedAt(twice, 4), false},
		{"modified, of none", kv.ModifiedAt(absent, 3), false},
		{"created at", kv.Compare{Key: twice, Target: kv.CreateRevision, Relation: kv.Equal, Number: 2}, true},
		{"created not at", kv.Compare{Key: twice, Target: kv.CreateRevision, Relation: kv.NotEqual, Number: 2}, false},
		{"version greater", kv.Compare{Key: twice, Target: kv.Version, Relation: kv.Greater, Number: 1}, true},
		{"version not greater", kv.Compare{Key: twice, Target: kv.Version, Relation: kv.Greater, Number: 2}, false},
		{"version less", kv.Compare{Key: twice, Target: kv.Version, Relation: kv.Less, Number: 3}, true},
		{"version not less", kv.Compare{Key: twice, Target: kv.Version, Relation: kv.Less, Number: 2}, false},
		{"mod less, of none", kv.Compare{Key: absent, Target: kv.ModRevision, Relation: kv.Less, Number: 1}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := inMemory(t)
			m.do(t, then(put("once", "1"), put("twice", "1")), then(put("twice", "2")))
			got := m.do(t, kv.Txn{
				Compares: []kv.Compare{kv.Exists(once), c.guard},
				Then:     []kv.Op{put("out", "then")},
				Else:     []kv.Op{put("out", "else")},
			})
			want := "else 4 4 1"
			if c.holds {
				want = "then 4 4 1"
			}
			if out := get(t, m, "out", 0); got.Succeeded != c.holds || out != want {
				t.Errorf("succeeded %v, out %q; want %q", got.Succeeded, out, want)
			}
		})
	}
}

func TestFailedGuardChangesNothing(t *testing.T) {
	m := inMemory(t)
	got := m.do(t, kv.Txn{Compares: []kv.Compare{kv.Exists([]byte("a"))}, Then: []kv.Op{put("a", "1")}})
	if got.Err() != nil || got.Succeeded || got.Revision != 1 || len(got.Ops) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestRange(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		zero := "a\x00"
		m.do(t, then(put("a", "1"), put(zero, "1"), put("a\x00\xff", "1"), put("a\x01", "1"), put("b", "1"), put("\xff", "1")))
		for range 20 {
			m.do(t, then(put("b", "again")))
		}
		m.do(t, then(del("a\x01")))
		cases := []struct {
			name       string
			start, end string
			limit      int64
			revision   int64
			want       []string
			more       bool
		}{
			{"one key", "a", "", 0, 0, []string{"a"}, false},
			{"all", "", "\x00", 0, 0, []string{"a", zero, "a\x00\xff", "b", "\xff"}, false},
			{"all, before the delete", "", "\x00", 0, 5, []string{"a", zero, "a\x00\xff", "a\x01", "b", "\xff"}, false},
			{"before the first write", "", "\x00", 0, 1, nil, false},
			{"prefix", "a", string(kv.PrefixEnd([]byte("a"))), 0, 0, []string{"a", zero, "a\x00\xff"}, false},
			{"from a zero", zero, "b", 0, 0, []string{zero, "a\x00\xff"}, false},
			{"limited", "a", "\x00", 2, 0, []string{"a", zero}, true},
			{"limit just enough", "a", "b", 3, 0, []string{"a", zero, "a\x00\xff"}, false},
			{"empty", "c", "d", 0, 0, nil, false},
			{"the wrong way round", "b", "a", 0, 0, nil, false},
		}
		for _, c := range cases {
			page, err := m.Range(kv.Query{Start: []byte(c.start), End: []byte(c.end), Limit: c.limit, Revision: c.revision})
			var keys []string
			for _, found := range page.KVs {
				keys = append(keys, string(found.Key))
			}
			if err != nil || !reflect.DeepEqual(keys, c.want) || page.More != c.more || page.Revision != 23 {
				t.Errorf("%s: %q more %v revision %d, %v; want %q", c.name, keys, page.More, page.Revision, err, c.want)
			}
		}
	})
}

// A range ends with the key that reaches the bound on bytes, so that it always
// gets ahead.
func TestRangeIsCutByBytes(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "123"), put("b", "123"), put("c", "123")))
		for bytes, keys := range map[int64]int{0: 3, 1: 1, 4: 1, 5: 2, 8: 2, 9: 3, 100: 3} {
			page, err := m.Range(kv.Query{End: kv.NoEnd, Bytes: bytes})
			if err != nil || len(page.KVs) != keys || page.More != (keys < 3) {
				t.Errorf("%d bytes: %d keys, more %v, %v; want %d keys", bytes, len(page.KVs), page.More, err, keys)
			}
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\xffb": "a\xffc", "\xff\xff": "\x00", "": "\x00"} {
		if got := string(kv.PrefixEnd([]byte(prefix))); got != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}

// K05: a command that cannot be carried out is the same answer on every node and
// changes nothing; the machine goes on.
func TestK02K05Refusals(t *testing.T) {
	key := []byte("k")
	many := make([]kv.Op, kv.MaxOps+1)
	for i := range many {
		many[i] = put(fmt.Sprint(i), "")
	}
	cases := []struct {
		name string
		data []byte
		want kv.Code
	}{
		{"nothing", nil, kv.ErrMalformed},
		{"garbage", []byte("garbage"), kv.ErrMalformed},
		{"another format", append([]byte{1}, kv.Command{Do: then(put("k", "v"))}.Encode()[1:]...), kv.ErrMalformed},
		{"unknown action", []byte{2, 0, 0, 0, 99}, kv.ErrMalformed},
		{"no action", kv.Command{}.Encode(), kv.ErrMalformed},
		{"something more", append(kv.Command{Do: then(put("k", "v"))}.Encode(), 0), kv.ErrMalformed},
		{"a negative time", kv.Command{Millis: -1, Do: then()}.Encode(), kv.ErrMalformed},
		{"a negative revision", kv.Command{Do: kv.Compact{Revision: math.MinInt64}}.Encode(), kv.ErrMalformed},
		{"session without sequence", kv.Command{Session: 1, Do: then()}.Encode(), kv.ErrMalformed},
		{"sequence of no transaction", kv.Command{Session: 1, Sequence: 1, Do: kv.OpenSession{}}.Encode(), kv.ErrMalformed},
		{"no lease", kv.Command{Do: kv.GrantLease{TTL: 1}}.Encode(), kv.ErrMalformed},
		{"a lease of no time", kv.Command{Do: kv.GrantLease{ID: 1}}.Encode(), kv.ErrMalformed},
		{"a lease for ever", kv.Command{Do: kv.GrantLease{ID: 1, TTL: kv.MaxLeaseTTL + 1}}.Encode(), kv.ErrMalformed},
		{"unknown operation", kv.Command{Do: then(kv.Query{Start: key, By: 9})}.Encode(), kv.ErrMalformed},
		{"unknown relation", kv.Command{Do: kv.Txn{Compares: []kv.Compare{{Key: key, Target: kv.Version}}}}.Encode(), kv.ErrMalformed},
		{"empty key", kv.Command{Do: then(put("", "v"))}.Encode(), kv.ErrEmptyKey},
		{"large key", kv.Command{Do: then(kv.Delete{Key: make([]byte, kv.MaxKeyBytes+1)})}.Encode(), kv.ErrTooLarge},
		{"large end", kv.Command{Do: then(kv.Delete{Key: key, End: make([]byte, kv.MaxKeyBytes+1)})}.Encode(), kv.ErrTooLarge},
		{"large value", kv.Command{Do: then(kv.Put{Key: key, Value: make([]byte, kv.MaxValueBytes+1)})}.Encode(), kv.ErrTooLarge},
		{"too many operations", kv.Command{Do: then(many...)}.Encode(), kv.ErrTooManyOps},
		{"too many compares", kv.Command{Do: kv.Txn{Compares: make([]kv.Compare, kv.MaxOps+1)}}.Encode(), kv.ErrTooManyOps},
		{"a key put twice", kv.Command{Do: then(put("k", "1"), put("k", "2"))}.Encode(), kv.ErrDuplicateKey},
		{"a key put and deleted", kv.Command{Do: kv.Txn{Else: []kv.Op{put("k", "1"), delRange("a", "\x00")}}}.Encode(), kv.ErrDuplicateKey},
		{"a key deleted and put", kv.Command{Do: then(del("k"), put("k", "1"))}.Encode(), kv.ErrDuplicateKey},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := inMemory(t)
			m.do(t, then(put("k", "before")))
			results := m.raw(t, c.data, kv.Command{Do: then(put("after", "x"))}.Encode())
			if got := results[0]; !errors.Is(got.Err(), c.want) || got.Revision != 2 {
				t.Errorf("got %v at %d, want %v", got.Err(), got.Revision, c.want)
			}
			if k, after := get(t, m, "k", 0), get(t, m, "after", 0); k != "before 2 2 1" || after != "x 3 3 1" {
				t.Errorf("k %q, after %q", k, after)
			}
		})
	}
}

func TestTheLargestFits(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		key, value := make([]byte, kv.MaxKeyBytes), make([]byte, kv.MaxValueBytes)
		m.do(t, then(kv.Put{Key: key, Value: value}))
		got, _, err := m.Get(key, 0)
		if err != nil || got == nil || len(got.Value) != len(value) {
			t.Fatalf("Get: %v, %v", got != nil, err)
		}
		other := inMemory(t)
		if err := other.Restore(newReader(m.snapshot(t))); err != nil {
			t.Fatalf("Restore: %v", err)
		}
	})
}

func TestReplayHasNoEffect(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		command := kv.Command{Do: then(put("a", "1"))}.Encode()
		m.raw(t, command, command)
		before := m.hash(t)
		batch := []quorate.Command{{Index: 1, Data: command}, {Index: 2, Data: command}}
		if err := m.Apply(batch); err != nil {
			t.Fatal(err)
		}
		if after := m.hash(t); after != before || batch[0].Result != nil || m.Applied() != 2 {
			t.Errorf("after %+v, before %+v, result %v", after, before, batch[0].Result)
		}
	})
}

func TestGetRefusesTheEmptyKey(t *testing.T) {
	if _, _, err := inMemory(t).Get(nil, 0); !errors.Is(err, kv.ErrEmptyKey) {
		t.Errorf("got %v", err)
	}
}

func TestEveryCodeHasASentence(t *testing.T) {
	seen := map[string]bool{}
	for c := kv.OK; c <= kv.ErrTooManyAlarms; c++ {
		if c.Error() == "" || seen[c.Error()] {
			t.Errorf("code %d says %q", c, c.Error())
		}
		seen[c.Error()] = true
	}
	if got := kv.Code(200).Error(); got == "" {
		t.Error("an unknown code says nothing")
	}
}
