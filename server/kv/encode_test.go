package kv_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/server/kv"
)

func TestEncodeThenDecode(t *testing.T) {
	key := []byte("key")
	cases := []kv.Command{
		{Do: kv.OpenSession{}, Millis: math.MaxInt64},
		{Do: kv.CloseSession{Session: math.MaxUint64}},
		{Do: kv.ExpireSessions{Before: 1_700_000_000_000}},
		{Do: kv.Compact{Revision: math.MaxInt64}},
		{Do: kv.Sweep{}},
		{Do: kv.GrantLease{ID: math.MinInt64, TTL: kv.MaxLeaseTTL}},
		{Do: kv.RevokeLease{ID: -1, Grant: math.MaxUint64}},
		{Do: kv.NoteRemaining{After: math.MaxUint64, Of: []kv.Remaining{{Grant: 1, Seconds: kv.MaxLeaseTTL}, {Grant: math.MaxUint64}}}},
		{Do: kv.SetQuota{Bytes: math.MaxInt64}},
		{Do: kv.SetAlarm{Alarm: kv.Alarm{Member: math.MaxUint64, Kind: kv.Corrupt}, On: true}},
		{
			Session: math.MaxUint64, Sequence: math.MaxUint64, Millis: 1,
			Do: kv.Txn{
				Compares: []kv.Compare{kv.Absent(key), kv.Exists(key), kv.ModifiedAt(key, math.MaxInt64)},
				Then:     []kv.Op{put("a", "value"), del("b"), delRange("c", "d")},
				Else:     []kv.Op{delRange("c", "\x00")},
			},
		},
	}
	for _, c := range cases {
		got, err := kv.Decode(c.Encode())
		if err != nil || !bytes.Equal(got.Encode(), c.Encode()) || reflect.TypeOf(got.Do) != reflect.TypeOf(c.Do) {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
	}
}

// The bytes are in logs: they must not change.
func TestCommandBytes(t *testing.T) {
	c := kv.Command{Session: 300, Sequence: 2, By: kv.Caller{Name: "me", Revision: 5}, Millis: 1, Do: kv.Txn{
		Compares: []kv.Compare{
			kv.ModifiedAt([]byte("k"), 5),
			{Key: []byte("k"), End: []byte("l"), Target: kv.Value, Relation: kv.Less, Bytes: []byte("v")},
		},
		Then: []kv.Op{kv.Put{Key: []byte("k"), Value: []byte("v"), Lease: 7, Previous: true, KeepValue: true}},
		Else: []kv.Op{
			kv.Delete{Key: []byte("a"), End: []byte("b"), Previous: true},
			kv.Txn{Then: []kv.Op{kv.Query{
				Start: []byte("a"), End: kv.NoEnd, Limit: 5, Revision: -1, Count: true, By: kv.Version, Order: kv.Descending,
				Mod: kv.Between{Min: 1, Max: 2}, Create: kv.Between{Min: 3, Max: 4},
			}}},
		},
	}}
	want := "\x03\x01\xac\x02\x02\x02\x05\x02me\x01" + // format, clock, session, sequence, by, Txn
		"\x02" + "\x02\x01\x01k\x00\x0a" + "\x04\x04\x01k\x01l\x01v" +
		"\x01" + "\x01\x03\x01k\x01v\x07" +
		"\x02" + "\x02\x01\x01a\x01b" + "\x04" + "\x00\x01\x03\x20\x01a\x01\x00\x03\x02\x05\x00\x01\x02\x04\x06\x08" + "\x00"
	if got := c.Encode(); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEveryCutIsRefused(t *testing.T) {
	whole := kv.Command{Millis: 1000, Do: kv.Txn{
		Compares: []kv.Compare{kv.ModifiedAt([]byte("key"), 500)},
		Then:     []kv.Op{put("key", "value")},
	}}.Encode()
	for n := range whole {
		if _, err := kv.Decode(whole[:n]); !errors.Is(err, kv.ErrMalformed) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(kv.Command{Session: 1, Sequence: 2, Millis: 3, Do: then(put("a", "b"), del("c"))}.Encode())
	f.Add(kv.Command{Do: kv.Txn{Compares: []kv.Compare{kv.Absent([]byte("a"))}}}.Encode())
	f.Add(kv.Command{Do: kv.GrantLease{ID: 1, TTL: 2}}.Encode())
	f.Add(kv.Command{Do: kv.ExpireSessions{Before: 9}}.Encode())
	f.Add(kv.Command{Do: kv.NoteRemaining{Of: []kv.Remaining{{Grant: 1, Seconds: 9}}}}.Encode())
	f.Add([]byte{1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := kv.Decode(data)
		var code kv.Code
		switch {
		case err == nil:
			again, err := kv.Decode(c.Encode())
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		case !errors.As(err, &code) || code == kv.OK:
			t.Fatalf("refused without a code: %v", err)
		}
		// Whatever it is, applying it twice on two machines comes to the same.
		one, two := inMemory(t), inMemory(t)
		one.raw(t, data, data)
		two.raw(t, data)
		two.raw(t, data)
		if one.hash(t) != two.hash(t) {
			t.Fatal("two machines disagree")
		}
	})
}

func TestAnyTxnSurvivesTheWire(t *testing.T) {
	ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kv.Op {
		key := rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "key")
		if rapid.Bool().Draw(t, "put") {
			return kv.Put{Key: key, Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value")}
		}
		return kv.Delete{Key: key, End: rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "end")}
	}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		c := kv.Command{Millis: rapid.Int64Min(0).Draw(t, "millis"), Do: kv.Txn{Then: ops.Draw(t, "then"), Else: ops.Draw(t, "else")}}
		got, err := kv.Decode(c.Encode())
		if want := c.Check(); !errors.Is(err, want) {
			t.Fatalf("Check says %v, Decode %v", want, err)
		}
		if err == nil && !bytes.Equal(got.Encode(), c.Encode()) {
			t.Fatalf("%+v became %+v", c, got)
		}
	})
}
