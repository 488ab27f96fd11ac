package wal

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// BenchmarkAppend makes batches of entries of 256 bytes durable on the real disk, 4 KiB
// with 16 groups; all is compacted once in a while, as in a log that has run for long.
func BenchmarkAppend(b *testing.B) {
	for _, groups := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			l, _, err := Open(vfs.OS{}, b.TempDir(), Options{SegmentBytes: 1 << 20})
			must(b, err)
			batch := make([]codec.Record, groups)
			prev := raft.EntryID{}
			var took []time.Duration
			b.SetBytes(int64(groups * 256))
			b.ReportAllocs()
			for b.Loop() {
				w := entries(prev, 1, 1, 256)
				if prev.Index%64 == 63 {
					w.Base = base(1, prev.Index).Base
				}
				for g := range batch {
					batch[g] = record(raft.GroupID(g+1), w)
				}
				began := time.Now()
				must(b, l.Append(batch))
				took = append(took, time.Since(began))
				prev = w.Append.Last()
			}
			must(b, l.Close())
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}

// BenchmarkOpen reads a log of one segment, with entries of 256 bytes in batches
// of one: the number of batches, not of bytes, is what recovery pays for.
func BenchmarkOpen(b *testing.B) {
	const batches = 40000
	dir := b.TempDir()
	s := newSegment(nil, &counting{})
	data, prev := s.appendHeader(nil), raft.EntryID{}
	for range batches {
		w := entries(prev, 1, 1, 256)
		start := len(data)
		data = appendBatch(data, []codec.Record{record(1, w)})
		s.seal.close(data[start:], int64(start))
		prev = w.Append.Last()
	}
	store(b, vfs.OS{}, segmentPath(dir, 1), data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		l, saved, err := Open(vfs.OS{}, dir, Options{})
		must(b, err)
		if n := len(saved[1].Entries); n != batches {
			b.Fatalf("%d entries", n)
		}
		must(b, l.Close())
	}
}
