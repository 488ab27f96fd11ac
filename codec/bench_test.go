package codec

import (
	"testing"

	"github.com/quorate-db/quorate/raft"
)

// appendOf is an AppendEntries with n commands of the given size in bytes.
func appendOf(n, size int) Envelope {
	e := exampleAppend
	e.Message.Span.Entries = make([]raft.Entry, n)
	for i := range e.Message.Span.Entries {
		e.Message.Span.Entries[i] = raft.Entry{
			EntryID: raft.EntryID{Term: 2, Index: raft.Index(301 + i)}, Kind: raft.Command, Data: make([]byte, size),
		}
	}
	return e
}

func BenchmarkMessage(b *testing.B) {
	for _, c := range []struct {
		name string
		e    Envelope
	}{
		{"heartbeat", Envelope{Group: 7, Message: raft.Message{Kind: raft.Heartbeat, From: 1, To: 2, Term: 3, Commit: 299, Round: 1000}}},
		{"append-64x128", appendOf(64, 128)},
	} {
		src := AppendMessage(nil, &c.e)
		b.Run("encode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			dst := make([]byte, 0, len(src))
			for b.Loop() {
				dst = AppendMessage(dst[:0], &c.e)
			}
		})
		b.Run("decode/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				if _, err := DecodeMessage(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Encoding into a buffer with room allocates nothing; decoding allocates what the
// result consists of: here the slice of entries, and nothing for a heartbeat.
func TestAllocations(t *testing.T) {
	batch, beat := appendOf(64, 128), Envelope{Message: raft.Message{Kind: raft.Heartbeat}}
	dst := make([]byte, 0, 1<<16)
	src, short := AppendMessage(nil, &batch), AppendMessage(nil, &beat)
	for _, c := range []struct {
		name string
		want float64
		do   func()
	}{
		{"encode 64 entries", 0, func() { AppendMessage(dst, &batch) }},
		{"decode 64 entries", 1, func() { DecodeMessage(src) }},
		{"decode a heartbeat", 0, func() { DecodeMessage(short) }},
	} {
		if got := testing.AllocsPerRun(100, c.do); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}
