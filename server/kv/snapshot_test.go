package kv_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/quorate-db/quorate/server/kv"
)

// newReader gives a snapshot out one byte at a time, as a slow network may.
func newReader(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) }

// lived is a member whose state has something of everything.
func lived(t fataler, m *member) *member {
	t.Helper()
	m.do(t, then(put("a", "1"), put("b\x00", "1")), then(put("a", "2"), put("c", "")), then(del("a")))
	id := m.do(t, kv.OpenSession{}).Session
	m.raw(t, kv.Command{Session: id, Sequence: 7, Millis: 5000, Do: then(put("s", "1"))}.Encode())
	m.do(t, kv.OpenSession{}, kv.Compact{Revision: 3}, kv.SetQuota{Bytes: 1 << 20}, kv.SetAlarm{Alarm: kv.Alarm{Member: 1, Kind: kv.NoSpace}, On: true})
	return m
}

func TestSnapshotRoundTrip(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		from := lived(t, inMemory(t))
		m.do(t, then(put("old", "1"), put("a", "old")))
		if err := m.Restore(newReader(from.snapshot(t))); err != nil {
			t.Fatal(err)
		}
		if got, want := m.hash(t), from.hash(t); got != want {
			t.Errorf("restored %+v, from %+v", got, want)
		}
		if m.Applied() != from.Applied() {
			t.Errorf("applied %d, want %d", m.Applied(), from.Applied())
		}
		// Both go on alike.
		m.index = m.Applied()
		m.do(t, then(put("next", "1")))
		from.do(t, then(put("next", "1")))
		if got, want := m.hash(t), from.hash(t); got != want {
			t.Errorf("restored %+v, from %+v", got, want)
		}
	})
}

func TestSnapshotOfNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		empty := m.snapshot(t)
		lived(t, m)
		if err := m.Restore(newReader(empty)); err != nil {
			t.Fatal(err)
		}
		if got, want := m.hash(t), inMemory(t).hash(t); got != want || m.Applied() != 0 {
			t.Errorf("restored %+v, want %+v", got, want)
		}
	})
}

// A view is written while Apply goes on, and shows nothing of that.
func TestViewStandsStill(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		lived(t, m)
		want := m.snapshot(t)
		view, err := m.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		done := make(chan error, 1)
		var got bytes.Buffer
		go func() {
			_, err := view.WriteTo(&got)
			done <- err
		}()
		for i := range 50 {
			m.do(t, then(put(fmt.Sprint(i), "x")))
		}
		if err := <-done; err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("the view changed, %v", err)
		}
	})
}

// Readers on other goroutines see whole transactions.
func TestReadersSeeWholeBatches(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		m.do(t, then(put("a", "0"), put("b", "0")))
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				page, err := m.Range(kv.Query{End: kv.NoEnd})
				if err == nil && !bytes.Equal(page.KVs[0].Value, page.KVs[1].Value) {
					err = fmt.Errorf("read half a transaction: %q and %q", page.KVs[0].Value, page.KVs[1].Value)
				}
				if err == nil && page.Revision != page.KVs[0].Mod {
					err = fmt.Errorf("revision %d with a key of revision %d", page.Revision, page.KVs[0].Mod)
				}
				select {
				case <-stop:
					done <- err
					return
				default:
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
		for i := range 300 {
			v := fmt.Sprint(i)
			m.do(t, then(put("a", v), put("b", v)))
			if i == 150 { // a restore replaces the store under the readers
				if err := m.Restore(bytes.NewReader(m.snapshot(t))); err != nil {
					t.Fatal(err)
				}
			}
		}
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRestoreRefusesDamage(t *testing.T) {
	good := lived(t, inMemory(t)).snapshot(t)
	m := inMemory(t)
	m.do(t, then(put("mine", "1")))
	before := m.hash(t)
	refuse := func(what string, b []byte) {
		t.Helper()
		err := m.Restore(bytes.NewReader(b))
		if err == nil || !strings.Contains(err.Error(), "old state is unchanged") {
			t.Errorf("%s: %v", what, err)
		}
		if after := m.hash(t); after != before || m.Applied() != before.Applied {
			t.Fatalf("%s: the old state has changed", what)
		}
	}
	for i := range good {
		refuse(fmt.Sprintf("cut at %d", i), good[:i])
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		refuse(fmt.Sprintf("bit flipped at %d", i), bad)
	}
	refuse("a broken connection", nil)
	if err := m.Restore(iotest.ErrReader(io.ErrClosedPipe)); err == nil {
		t.Error("restored from a broken connection")
	}
	if err := m.Restore(bytes.NewReader([]byte("QKV\x09"))); err == nil || !strings.Contains(err.Error(), "another program or version") {
		t.Errorf("another version: %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	good := lived(f, inMemory(f)).snapshot(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("QKV\x04\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := inMemory(t)
		m.do(t, then(put("mine", "1")))
		before := m.hash(t)
		if err := m.Restore(bytes.NewReader(data)); err != nil {
			if after := m.hash(t); after != before {
				t.Fatalf("refused (%v), but the state has changed", err)
			}
			return
		}
		// What was taken can be given on, and comes to the same.
		again := inMemory(t)
		if err := again.Restore(bytes.NewReader(m.snapshot(t))); err != nil || again.hash(t) != m.hash(t) {
			t.Fatalf("taken, but not given on: %v", err)
		}
	})
}

// A store that was restored with a later revision has its keys, and none of its
// history; it goes on from there, on all members alike.
func TestBump(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		lived(t, m)
		calm(t, m)
		before := revision(t, m)
		for _, by := range []int64{0, -1, math.MaxInt64} {
			if err := m.Bump(by); err == nil || revision(t, m) != before {
				t.Errorf("raised by %d: %v, at %d", by, err, revision(t, m))
			}
		}
		if err := m.Bump(1000); err != nil {
			t.Fatal(err)
		}
		if now := revision(t, m); now != before+1000 {
			t.Errorf("revision %d after %d", now, before)
		}
		for _, old := range []int64{1, before, before + 999} {
			if _, err := m.Range(kv.Query{End: kv.NoEnd, Revision: old}); err != kv.ErrCompacted {
				t.Errorf("at %d: %v", old, err)
			}
		}
		if got, _, err := m.Get([]byte("s"), 0); err != nil || string(got.Value) != "1" || got.Mod != before {
			t.Errorf("%+v, %v", got, err)
		}
		if got := m.do(t, then(put("s", "2"))); got.Err() != nil || got.Revision != before+1001 {
			t.Errorf("%+v", got)
		}
		if got := m.do(t, kv.Sweep{}); got.Err() != nil {
			t.Error(got.Err())
		}
		weighed(t, m)
		other := lived(t, inMemory(t))
		calm(t, other)
		if err := other.Bump(1000); err != nil {
			t.Fatal(err)
		}
		other.do(t, then(put("s", "2")), kv.Sweep{})
		if got, want := m.hash(t), other.hash(t); got != want {
			t.Errorf("%+v, another member %+v", got, want)
		}
	})
}

// calm ends the alarm of lived.
func calm(t *testing.T, m *member) {
	t.Helper()
	m.do(t, kv.SetAlarm{Alarm: kv.Alarm{Member: 1, Kind: kv.NoSpace}})
}

// What was staged is seen by nobody until it is adopted, and then it is as if it had been
// restored.
func TestStagedAndAdopted(t *testing.T) {
	everywhere(t, func(t *testing.T, m *member) {
		from := lived(t, inMemory(t))
		m.do(t, then(put("old", "1"), put("a", "old")))
		before := m.hash(t)
		if err := m.Stage(from.Applied(), newReader(from.snapshot(t))); err != nil {
			t.Fatal(err)
		}
		if got := m.hash(t); got != before {
			t.Errorf("it is seen: %+v", got)
		}
		if adopted, err := m.Adopt(from.Applied() + 1); adopted || err != nil {
			t.Errorf("another one was adopted, %v", err)
		}
		if adopted, err := m.Adopt(from.Applied()); !adopted || err != nil {
			t.Fatalf("it was not adopted: %v", err)
		}
		if got, want := m.hash(t), from.hash(t); got != want || m.Applied() != from.Applied() {
			t.Errorf("adopted %+v at %d, from %+v at %d", got, m.Applied(), want, from.Applied())
		}
		m.index = m.Applied()
		m.do(t, then(put("next", "1")))
		from.do(t, then(put("next", "1")))
		if got, want := m.hash(t), from.hash(t); got != want {
			t.Errorf("it went on as %+v, from %+v", got, want)
		}
	})
}

// Nothing is staged of what is damaged, cut short, or goes on behind its end.
func TestStageRefusesDamage(t *testing.T) {
	good := lived(t, inMemory(t)).snapshot(t)
	m := inMemory(t)
	refuse := func(what string, r io.Reader) {
		t.Helper()
		if err := m.Stage(7, r); err == nil {
			t.Errorf("%s: it is staged", what)
		}
		if adopted, err := m.Adopt(7); adopted || err != nil {
			t.Fatalf("%s: it is adopted, %v", what, err)
		}
	}
	for i := range good {
		refuse(fmt.Sprintf("cut at %d", i), bytes.NewReader(good[:i]))
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		refuse(fmt.Sprintf("bit flipped at %d", i), bytes.NewReader(bad))
	}
	refuse("a byte too many", bytes.NewReader(append(bytes.Clone(good), 0)))
	refuse("an end that breaks", io.MultiReader(bytes.NewReader(good), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if err := m.Stage(7, bytes.NewReader(good)); err != nil {
		t.Errorf("a good one: %v", err)
	}
}
