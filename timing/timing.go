// Package timing counts how long things take, in few numbers and without a lock, so that
// what is timed does not become slower by it. It reads no clock: who calls has read it.
package timing

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// buckets is how many there are: the last but one is for up to four seconds.
const buckets = 24

// Histogram counts durations: Counts[0] those of at most a microsecond, Counts[i] those
// of at most 2^i microseconds that no bucket before holds, the last all others.
type Histogram struct {
	Counts [buckets]uint64
	Sum    time.Duration // of all of them
}

// Live is a histogram that is being counted, by any number of goroutines. Its zero value
// is empty; it must not be copied.
type Live struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Add counts one duration.
func (l *Live) Add(d time.Duration) {
	micros := uint64(max(0, d+time.Microsecond-1) / time.Microsecond) // rounded up
	bucket := bits.Len64(max(1, micros) - 1)
	l.counts[min(bucket, len(l.counts)-1)].Add(1)
	l.sum.Add(int64(d))
}

// Now is what was counted so far. What is counted meanwhile may be in one number and not
// yet in another.
func (l *Live) Now() (h Histogram) {
	for i := range l.counts {
		h.Counts[i] = l.counts[i].Load()
	}
	h.Sum = time.Duration(l.sum.Load())
	return h
}
