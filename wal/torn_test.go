package wal

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/vfs"
)

// whole counts the batches, from the first of those that write has put into the last
// segment, that are as they were.
func (w *written) whole(data []byte) (n int) {
	for n < len(w.starts)-1 {
		begin, end := w.starts[n], w.starts[n+1]
		if end > len(data) || !bytes.Equal(data[begin:end], w.data[begin:end]) {
			break
		}
		n++
	}
	return n
}

// recovers opens the log with data as its last segment: it holds the batches before
// the first that is not whole, and can be written again.
func (w *written) recovers(t *testing.T, how string, data []byte) {
	t.Helper()
	whole := w.whole(data)
	want, end := w.pictures[len(w.pictures)-len(w.starts)+whole], w.starts[whole]
	disk := w.mem.Crash(vfs.Lost)
	store(t, disk, w.path, data)
	l := open(t, disk, want)
	if got, want := l.Status().Cut, w.torn(data[end:], end); got != want {
		t.Fatalf("%s: %d bytes were cut, want %d", how, got, want)
	}
	if got := load(t, disk, w.path); len(got) != end {
		t.Fatalf("%s: the file has %d bytes, and its last whole batch ends at %d", how, len(got), end)
	}
	must(t, l.Append([]codec.Record{record(9, state(5, 5))}))
	again := open(t, disk.Crash(vfs.Lost), want+"group 9: {Term:5 Vote:5 Commit:0 Injured:false} base 0/0 []\n")
	if got := again.Status().Cut; got != 0 {
		t.Fatalf("%s: the second recovery cut %d bytes", how, got)
	}
}

// torn is how much of a tail is known for a part of the batch that was to be at end:
// what is behind its mark, and not more than its header says.
func (w *written) torn(tail []byte, end int) int64 {
	if end == len(w.data) {
		return 0
	}
	was := w.data[end:]
	length := 0
	switch {
	case bytes.HasPrefix(tail, was[:frameHeader]):
		length = frameHeader + int(binary.LittleEndian.Uint32(was[4:]))
	case bytes.HasPrefix(tail, was[:4]):
		length = frameHeader
	}
	return int64(min(length, len(tail)))
}

// D05: from any byte of the last three batches on everything is gone, zero, anything
// at all, or what the file held in an earlier use: frames that were whole and
// acknowledged, then. What comes before the batch that the byte is in is there.
func TestD05ATailTornAtAnyByteIsCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, segments := range []int{1, 3} {
		w, old := write(t, segments, 3), write(t, segments, 3).data
		for len(old) < 2*len(w.data) {
			old = append(old, old[segmentHeader:]...)
		}
		for size := w.starts[0]; size < len(w.data); size++ {
			garbage := make([]byte, len(w.data)-size+rng.IntN(100))
			for i := range garbage {
				garbage[i] = byte(rng.Uint32())
			}
			rest := len(w.data) - size
			for how, tail := range map[string][]byte{
				"cut": nil, "zeros": make([]byte, rest), "more zeros": make([]byte, rest+100),
				"ones": bytes.Repeat([]byte{0xff}, rest), "garbage": garbage, "earlier use": old[size:],
			} {
				w.recovers(t, how, append(slices.Clone(w.data[:size]), tail...))
			}
		}
	}
}

// D05: of the last batch the end has reached the disk, and the beginning has not.
func TestD05ATailWhoseFirstPartIsLostIsCut(t *testing.T) {
	for _, segments := range []int{1, 3} {
		w := write(t, segments, 3)
		before := w.starts[2]
		for size := before + 1; size < len(w.data); size++ {
			data := slices.Clone(w.data)
			clear(data[before:size])
			w.recovers(t, "first part lost", data)
		}
	}
}
