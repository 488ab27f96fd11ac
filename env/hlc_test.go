package env

import (
	"testing"
	"time"
)

// wall is a clock that stands where it is put.
type wall struct {
	Clock
	now time.Time
}

func (w *wall) Now() time.Time { return w.now }

func TestHLCFollowsTheWallAndNeverRepeats(t *testing.T) {
	w := &wall{now: time.UnixMilli(1000)}
	h := NewHLC(w)
	first := h.Now()
	if first != 1000<<16 {
		t.Fatalf("first = %v, want the wall clock's 1000 ms", first)
	}
	if second := h.Now(); second != first+1 {
		t.Fatalf("the wall stood still: second = %v, want %v", second, first+1)
	}
	w.now = time.UnixMilli(500)
	if third := h.Now(); third != first+2 {
		t.Fatalf("the wall went back: third = %v, want %v", third, first+2)
	}
	w.now = time.UnixMilli(2000)
	if fourth := h.Now(); fourth != 2000<<16 {
		t.Fatalf("the wall went on: fourth = %v, want its 2000 ms", fourth)
	}
}

func TestHLCCounterCarriesIntoTheMilliseconds(t *testing.T) {
	h := NewHLC(&wall{now: time.UnixMilli(7)})
	var last Timestamp
	for range 1<<16 + 2 {
		now := h.Now()
		if now <= last {
			t.Fatalf("%v came after %v", now, last)
		}
		last = now
	}
	if got := last.Time().UnixMilli(); got != 8 {
		t.Fatalf("after 2^16 readings the clock shows %d ms, want 8", got)
	}
}

// What caused something is earlier than it, although the second node's clock is
// behind the first one's.
func TestHLCOrdersCauseBeforeEffect(t *testing.T) {
	ahead := NewHLC(&wall{now: time.UnixMilli(5000)})
	behind := NewHLC(&wall{now: time.UnixMilli(1000)})
	sent := ahead.Now()
	if !behind.Observe(sent) {
		t.Fatal("a clock four seconds ahead was not believed")
	}
	if got := behind.Now(); got <= sent {
		t.Fatalf("received at %v, although sent at %v", got, sent)
	}
}

func TestHLCDoesNotBelieveAClockFarAhead(t *testing.T) {
	h := NewHLC(&wall{now: time.UnixMilli(1000)})
	limit := Timestamp(1000+MaxAhead.Milliseconds()) << 16
	if h.Observe(limit + 1) {
		t.Fatal("a timestamp beyond MaxAhead was believed")
	}
	if got := h.Now(); got != 1000<<16 {
		t.Fatalf("now = %v: the refused timestamp moved the clock", got)
	}
	if !h.Observe(limit) {
		t.Fatal("a timestamp of exactly MaxAhead was refused")
	}
	if got := h.Now(); got != limit+1 {
		t.Fatalf("now = %v, want just after the observed %v", got, limit)
	}
}

func TestTimestampPrintsBothParts(t *testing.T) {
	if got := Timestamp(1000<<16 + 3).String(); got != "1970-01-01T00:00:01.000Z+3" {
		t.Fatal(got)
	}
}
