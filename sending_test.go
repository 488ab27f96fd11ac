package quorate

import (
	"testing"
	"time"
)

// Whatever pieces come, over a while no more passes than the rate; and what comes after a
// pause does not make up for it.
func TestThePaceIsKept(t *testing.T) {
	const rate, piece = 1 << 20, 64 << 10
	now := time.Unix(1000, 0)
	began := now
	var p pace
	send := func(pieces int) (took time.Duration) {
		before := now
		for range pieces {
			now = now.Add(p.take(now, piece, rate))
		}
		return now.Sub(before)
	}
	if took := send(160); took < 9900*time.Millisecond || took > 10*time.Second {
		t.Errorf("10 MiB took %v at 1 MiB a second", took)
	}
	now = now.Add(time.Minute)
	if took := send(32); took < 1900*time.Millisecond {
		t.Errorf("2 MiB after a pause took %v at 1 MiB a second", took)
	}
	now = began.Add(-30 * time.Second) // the clock was set
	if took := send(16); took > time.Second {
		t.Errorf("1 MiB took %v after the clock was set back", took)
	}
}

// No more snapshots than that are under way at once, and each that ends lets another begin.
func TestSoManySnapshotsAreSentAtOnce(t *testing.T) {
	var s sending
	for range maxSending {
		if err := s.begin(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if s.begin() == nil {
			t.Fatal("one more was sent")
		}
	}
	s.end()
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
}
