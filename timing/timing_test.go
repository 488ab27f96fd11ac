package timing

import (
	"testing"
	"time"
)

func TestABucketHoldsWhatItSays(t *testing.T) {
	for d, bucket := range map[time.Duration]int{
		-time.Second: 0, 0: 0, time.Microsecond: 0, time.Microsecond + 1: 1, 2 * time.Microsecond: 1, 3 * time.Microsecond: 2,
		4 * time.Microsecond: 2, 4*time.Microsecond + 1: 3, time.Millisecond: 10, time.Second: 20, time.Hour: 23,
	} {
		var l Live
		l.Add(d)
		if now := l.Now(); now.Counts[bucket] != 1 || now.Sum != d {
			t.Errorf("%v is in %v, and not in bucket %d", d, now.Counts, bucket)
		}
	}
}
