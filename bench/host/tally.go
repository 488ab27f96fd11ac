package main

import (
	"math/bits"
	"time"
)

// tally counts operations by how long they took, in buckets a thirty-second wide
// of where they begin.
type tally struct {
	counts  [buckets]uint32
	retries int
}

const (
	fine    = 5  // bits of a duration that count
	longest = 36 // and at most so many bits in all: 68 s in nanoseconds
	buckets = (longest - fine + 1) << fine
)

// bucketOf returns where a duration is counted: exactly while it is small, else by
// its highest bits.
func bucketOf(d time.Duration) int {
	n := uint64(min(max(d, 0), 1<<longest-1))
	shift := max(bits.Len64(n)-fine-1, 0)
	return shift<<fine + int(n>>shift)
}

// startOf is the shortest duration of a bucket.
func startOf(bucket int) time.Duration {
	shift := max(bucket>>fine-1, 0)
	return time.Duration(bucket-shift<<fine) << shift
}

func (t *tally) note(d time.Duration) { t.counts[bucketOf(d)]++ }

func (t *tally) done() (n int) {
	for _, count := range t.counts {
		n += int(count)
	}
	return n
}

// quantile returns a duration that the given share of operations did not exceed.
func (t *tally) quantile(share float64) time.Duration {
	left := share * float64(t.done())
	for bucket, count := range t.counts {
		if count > 0 && float64(count) >= left {
			begin, end := startOf(bucket), startOf(bucket+1)
			return begin + time.Duration(left/float64(count)*float64(end-begin))
		}
		left -= float64(count)
	}
	return 0
}

func total(all []tally) (sum tally) {
	for i := range all {
		for bucket, count := range all[i].counts {
			sum.counts[bucket] += count
		}
		sum.retries += all[i].retries
	}
	return sum
}
