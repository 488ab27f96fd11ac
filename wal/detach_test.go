package wal

import (
	"runtime"
	"testing"

	"github.com/quorate-db/quorate/vfs"
)

// A few bytes that a quiet group needs do not keep a segment in memory that is full of
// what a busy one has compacted.
func TestOpenKeepsWhatIsNeeded(t *testing.T) {
	const segment = 8 << 20
	mem := vfs.NewMem()
	log, _, err := Open(mem, dir, Options{SegmentBytes: segment})
	must(t, err)
	b := &busy{t: t, log: log, want: model{}}
	b.put(record(2, entries(id(0, 0), 1, 3, 100)))
	for range 12 {
		b.entry(segment / 16)
	}
	b.put(record(1, base(1, b.last)))
	must(t, log.Close())

	before := heap()
	log, saved, err := Open(mem, dir, Options{SegmentBytes: segment})
	must(t, err)
	if kept := heap() - before; kept > segment/8 {
		t.Errorf("%d bytes of memory are kept for 300 that are needed", kept)
	}
	if got := model(saved).picture(); got != b.want.picture() {
		t.Errorf("got %s, want %s", got, b.want.picture())
	}
	must(t, log.Close())
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
