package watch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/quorate-db/quorate/server/kv"
)

func TestPastPresentAndFuture(t *testing.T) {
	w := begin(t)
	w.do(then(put("a", "1")), then(put("a", "2"), put("b", "1")))
	s := w.hub.Stream()
	defer s.Close()
	now := w.watch(s, prefix("a"))
	past, future := prefix(""), prefix("a")
	past.From, past.Before, future.From = 2, true, 5
	p, f := w.watch(s, past), w.watch(s, future)
	if now != 0 || p != 1 || f != 2 {
		t.Fatalf("the IDs are %d, %d and %d", now, p, f)
	}
	w.expect(s, "1 at 3: a=1@2 a=2@3(1) b=1@3")
	w.do(then(put("a", "3")))
	w.expect(s, "0 at 4: a=3@4", "1 at 4: a=3@4(2)")
	w.do(then(del("a")))
	w.expect(s, "0 at 5: -a@5", "1 at 5: -a@5(3)", "2 at 5: -a@5")
	w.quiet(s, 5)
}

func TestRangesAndFilters(t *testing.T) {
	cases := []struct {
		spec Spec
		want string
	}{
		{Spec{Key: []byte("b")}, "b=1@2 b=2@3 -b@4"},
		{Spec{Key: []byte("b"), End: []byte("c")}, "b=1@2 bb=1@2 b=2@3 -b@4"},
		{Spec{Key: []byte("bb"), End: kv.NoEnd}, "bb=1@2 c=1@2"},
		{Spec{Key: []byte{0}, End: kv.NoEnd}, "a=1@2 b=1@2 bb=1@2 c=1@2 b=2@3 -b@4"},
		{Spec{Key: []byte("b"), NoDeletes: true}, "b=1@2 b=2@3"},
		{Spec{Key: []byte("b"), NoPuts: true}, "-b@4"},
		{Spec{Key: []byte("b"), NoPuts: true, NoDeletes: true}, ""},
		{Spec{Key: []byte("bbb")}, ""},
	}
	for _, past := range []bool{false, true} {
		for i, c := range cases {
			t.Run(fmt.Sprint(i, past), func(t *testing.T) {
				w := begin(t)
				s := w.hub.Stream()
				defer s.Close()
				c.spec.From = 1
				if past {
					w.do(then(put("a", "1"), put("b", "1"), put("bb", "1"), put("c", "1")), then(put("b", "2")), then(del("b")))
					w.watch(s, c.spec)
				} else {
					w.watch(s, c.spec)
					w.quiet(s, 1)
					w.do(then(put("a", "1"), put("b", "1"), put("bb", "1"), put("c", "1")), then(put("b", "2")), then(del("b")))
				}
				var got []string
				for s.Ask(); ; {
					d := w.next(s)
					if d.ID == Everyone && d.Revision == 4 {
						break
					} else if d.ID == Everyone {
						s.Ask()
					}
					for _, e := range d.Events {
						got = append(got, sayEvent(&e.Event))
					}
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		}
	}
}

func TestCompacted(t *testing.T) {
	w := begin(t)
	w.do(then(put("a", "1")), then(put("a", "2")), then(put("a", "3")), kv.Compact{Revision: 3})
	s := w.hub.Stream()
	defer s.Close()
	w.watch(s, Spec{ID: 7, Key: []byte("a"), From: 2})
	w.watch(s, Spec{ID: 8, Key: []byte("a"), From: 3, Before: true})
	w.expect(s, "7 compacted 3", "8 at 4: a=2@3 a=3@4(2)")
	w.quiet(s, 4)
	if _, _, err := s.Watch(Spec{ID: 7, Key: []byte("a")}); !errors.Is(err, ErrDuplicateID) {
		t.Errorf("the ID of one that has ended was given again: %v", err)
	}
	if n := w.hub.Counts(); n != (Counts{Streams: 1, Watchers: 1, Events: 2, Lookups: 2}) {
		t.Errorf("there are %+v", n)
	}
	if !s.Cancel(7) || s.Cancel(7) {
		t.Error("one that has ended can be cancelled once")
	}
}

func TestRefusals(t *testing.T) {
	w := begin(t)
	s, other := w.hub.Stream(), w.hub.Stream()
	defer s.Close()
	defer other.Close()
	w.watch(s, Spec{ID: 1, Key: []byte("a")})
	w.watch(other, Spec{ID: 1, Key: []byte("a")})
	for _, c := range []struct {
		spec Spec
		err  error
	}{
		{Spec{ID: 1, Key: []byte("b")}, ErrDuplicateID},
		{Spec{Key: []byte("b"), End: []byte("b")}, ErrEmptyRange},
		{Spec{Key: []byte("b"), End: []byte("a")}, ErrEmptyRange},
	} {
		if _, _, err := s.Watch(c.spec); !errors.Is(err, c.err) {
			t.Errorf("%+v: %v", c.spec, err)
		}
	}
	// The stream's own choice passes over what the client has chosen.
	if a, b := w.watch(s, prefix("a")), w.watch(s, prefix("a")); a != 0 || b != 2 {
		t.Errorf("chosen were %d and %d", a, b)
	}
}

func TestCancelledIsToldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		s := w.hub.Stream()
		defer s.Close()
		gone, stays := w.watch(s, prefix("a")), w.watch(s, prefix("a"))
		w.do(then(put("a", "1")))
		synctest.Wait() // both have it pending
		if !s.Cancel(gone) {
			t.Error("it is not known")
		}
		w.expect(s, fmt.Sprintf("%d at 2: a=1@2", stays))
		w.quiet(s, 2)
		if s.bytes != 0 || len(s.ready) != 0 {
			t.Errorf("the stream still holds %d bytes", s.bytes)
		}
	})
}

// A Tick tells how far things have come, but not who was told of events since the
// last, nor who is not up to date.
func TestW05Progress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		s := w.hub.Stream()
		defer s.Close()
		a, b, future := prefix("a"), prefix("b"), prefix("a")
		a.Progress, b.Progress, future.Progress, future.From = true, true, true, 100
		w.watch(s, a)
		w.watch(s, b)
		w.watch(s, future)
		w.watch(s, prefix("a"))
		s.Tick()
		w.expect(s, "0 at 1:", "1 at 1:")
		w.do(then(put("a", "1")), then(put("c", "1")))
		synctest.Wait()
		s.Tick() // a has something pending
		w.expect(s, "0 at 3: a=1@2", "3 at 3: a=1@2", "1 at 3:")
		s.Tick()
		w.expect(s, "1 at 3:")
		s.Tick()
		w.expect(s, "0 at 3:", "1 at 3:")
		if d, ok, err := s.Next(); ok || err != nil {
			t.Errorf("then came %s, %v", say(d), err)
		}
		// Nobody can be told for all while one waits for the future.
		s.Ask()
		if d, ok, err := s.Next(); ok || err != nil {
			t.Errorf("asked, %s came, %v", say(d), err)
		}
		s.Cancel(2)
		w.expect(s, "-1 at 3:")
	})
}

func TestNoWatchersNoProgress(t *testing.T) {
	w := begin(t)
	s := w.hub.Stream()
	defer s.Close()
	s.Ask()
	if d, ok, err := s.Next(); ok || err != nil {
		t.Errorf("came %s, %v", say(d), err)
	}
	w.watch(s, prefix("a"))
	if d, ok, err := s.Next(); ok || err != nil {
		t.Errorf("asked before there was a watcher; came %s, %v", say(d), err)
	}
}

// A client that takes nothing costs a bounded amount of memory and holds up nobody;
// when it takes again it misses nothing.
func TestW02SlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t)
		slow, quick := w.hub.Stream(), w.hub.Stream()
		defer slow.Close()
		defer quick.Close()
		w.watch(slow, prefix(""))
		w.watch(quick, prefix(""))
		value := strings.Repeat("v", 10_000)
		var last int64
		for i := range 400 {
			last = w.do(then(put(fmt.Sprint("key", i), value)))
			synctest.Wait()
			w.expect(quick, fmt.Sprintf("0 at %d: key%d=vvvvvvvvvv@%d", last, i, last))
			if slow.bytes > Usual.StreamBytes+20_000 {
				t.Fatalf("the slow one holds %d bytes", slow.bytes)
			}
		}
		if n := w.hub.Counts(); n.Pending < 100 || n != (Counts{Streams: 2, Watchers: 2, Behind: 1, Pending: n.Pending, Events: 400}) {
			t.Errorf("there are %+v", n)
		}
		told, deliveries := 0, 0
		for told < 400 {
			d := w.next(slow)
			deliveries++
			for _, e := range d.Events {
				told++
				if want := fmt.Sprint("key", told-1); string(e.Key) != want {
					t.Fatalf("told of %q, not of %q", e.Key, want)
				}
			}
		}
		if deliveries < 4 {
			t.Errorf("4 MB came in %d deliveries", deliveries)
		}
		w.quiet(slow, last)
	})
}

func TestMoreThanFitsIsReadFromTheHistory(t *testing.T) {
	w := begin(t)
	s := w.hub.Stream()
	defer s.Close()
	w.watch(s, prefix(""))
	big := strings.Repeat("b", kv.MaxValueBytes)
	w.do(then(put("a", "1")), then(put("b", big)), then(put("c", "1")))
	var got []string
	for len(got) < 3 {
		for _, e := range w.next(s).Events {
			got = append(got, sayEvent(&e.Event))
		}
	}
	if want := "[a=1@2 b=bbbbbbbbbb@3 c=1@4]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestW01SnapshotInstalled(t *testing.T) {
	w := begin(t)
	s := w.hub.Stream()
	defer s.Close()
	w.do(then(put("a", "1")))
	w.watch(s, prefix(""))
	w.watch(s, Spec{Key: []byte("b")})
	w.lead(then(put("a", "2")), then(put("b", "1"), put("a", "3")))
	w.install()
	w.expect(s, "0 at 4: a=2@3 b=1@4 a=3@4", "1 at 4: b=1@4")
	w.lead(then(put("a", "4")), then(put("a", "5")), kv.Compact{Revision: 6})
	w.install()
	w.expect(s, "0 compacted 6", "1 compacted 6")
}

// Who waits for the future, perhaps because the member it comes from was ahead, is
// told from there on, whatever else happens in between.
func TestW07TheFutureAcrossASnapshot(t *testing.T) {
	w := begin(t)
	s := w.hub.Stream()
	defer s.Close()
	for from := int64(2); from <= 7; from++ {
		w.watch(s, Spec{ID: from, Key: []byte("a"), From: from})
	}
	w.lead(then(put("a", "2")), then(put("a", "3")), then(put("a", "4")))
	w.install()
	w.expect(s, "2 at 4: a=2@2 a=3@3 a=4@4", "3 at 4: a=3@3 a=4@4", "4 at 4: a=4@4")
	w.do(then(put("a", "5")))
	w.expect(s, "2 at 5: a=5@5", "3 at 5: a=5@5", "4 at 5: a=5@5", "5 at 5: a=5@5")
	w.do(then(put("a", "6")))
	w.expect(s, "2 at 6: a=6@6", "3 at 6: a=6@6", "4 at 6: a=6@6", "5 at 6: a=6@6", "6 at 6: a=6@6")
}

func TestCloseEndsStreams(t *testing.T) {
	w := newWorld(t, Usual)
	s := w.hub.Stream()
	defer s.Close()
	w.watch(s, prefix(""))
	w.hub.Close()
	<-s.Closed()
	w.do(then(put("a", "1"))) // whoever applies is not held up
}

// What many share is looked up and encoded once.
func TestEventsAreShared(t *testing.T) {
	w := begin(t)
	w.do(then(put("a", "1")))
	encoded := 0
	encode := func(e *Event, before bool) []byte {
		encoded++
		return []byte(fmt.Sprint(sayEvent(&e.Event), before))
	}
	for range 3 {
		s := w.hub.Stream()
		defer s.Close()
		spec := prefix("a")
		spec.Before = true
		w.watch(s, spec)
		defer func() {
			e := w.next(s).Events[0]
			if got := string(e.Encoded(true, encode)); got != "a=2@3true" || encoded != 1 {
				t.Errorf("got %q, the %dth", got, encoded)
			}
		}()
	}
	w.do(then(put("a", "2")))
}
