package load

import (
	"runtime"
	"time"

	"github.com/quorate-db/quorate/internal/cputime"
)

// Cost is what one operation costs.
type Cost struct {
	CPU    float64 // nanoseconds of this process, collecting garbage included
	Bytes  float64 // allocated; of Weigh: kept
	Allocs float64
}

func (c Cost) divided(by float64) Cost {
	return Cost{CPU: c.CPU / by, Bytes: c.Bytes / by, Allocs: c.Allocs / by}
}

// window is how much CPU time a measurement takes at least. Other processes slow
// it down but do not count.
const window = 150 * time.Millisecond

// sustained runs the operation for a window, so many times between two looks at
// the clock, after having run it so many times unmeasured.
func sustained(times int, operation func()) Cost {
	chunk := func() {
		for range times {
			operation()
		}
	}
	chunk()
	return measure(func() int {
		done := 0
		for start := cputime.Now(); cputime.Now()-start < window; {
			chunk()
			done += times
		}
		return done
	})
}

// measure runs the work, which returns how many operations it was.
func measure(work func() int) Cost {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := cputime.Now()
	done := float64(work())
	spent := cputime.Now() - start
	runtime.ReadMemStats(&after)
	return Cost{
		CPU:    float64(spent.Nanoseconds()) / done,
		Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / done,
		Allocs: float64(after.Mallocs-before.Mallocs) / done,
	}
}

// heap is what is in use after a collection, in bytes.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
