package transport

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// counter is a handler that only counts, and answers at once.
type counter struct{ messages atomic.Int64 }

func (c *counter) Receive(_ raft.NodeID, messages []codec.Envelope) {
	c.messages.Add(int64(len(messages)))
}
func (c *counter) Call(_ raft.NodeID, request []byte, answer func([]byte)) { answer(request) }
func (c *counter) Stream(_ raft.NodeID, _ []byte, body Incoming) error {
	_, err := io.Copy(io.Discard, body)
	return err
}
func (c *counter) Unreachable(raft.NodeID, bool) {}

func benchPair(b *testing.B) (from *Transport, heard *counter) {
	b.Helper()
	heard = new(counter)
	var ends [2]*Transport
	for i := range ends {
		t, err := Listen(Config{Cluster: cluster, Node: raft.NodeID(i + 1), Listen: "127.0.0.1:0", Handler: heard})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { t.Close() })
		ends[i] = t
	}
	ends[0].SetPeer(2, ends[1].Addr().String())
	if _, err := ends[0].Call(b.Context(), 2, nil); err != nil {
		b.Fatal(err)
	}
	return ends[0], heard
}

// BenchmarkSend is a leader that sends batches of 64 commands of 128 bytes for as
// long as there is room.
func BenchmarkSend(b *testing.B) {
	from, heard := benchPair(b)
	e := codec.Envelope{Group: 1, Message: raft.Message{Kind: raft.AppendEntries, From: 1, To: 2, Term: 1}}
	for i := range 64 {
		e.Message.Span.Entries = append(e.Message.Span.Entries,
			raft.Entry{EntryID: raft.EntryID{Term: 1, Index: raft.Index(i + 1)}, Kind: raft.Command, Data: make([]byte, 128)})
	}
	batch := []codec.Envelope{e}
	b.SetBytes(64 * 128)
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		from.Send(batch)
		sent++
		for sent-heard.messages.Load() > 256 { // a window, as Raft has one
			runtime.Gosched()
		}
	}
}

func BenchmarkCall(b *testing.B) {
	from, _ := benchPair(b)
	request := make([]byte, 128)
	b.ReportAllocs()
	b.SetParallelism(128)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := from.Call(b.Context(), 2, request); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	from, _ := benchPair(b)
	s, err := from.OpenStream(b.Context(), 2, nil)
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		if _, err := s.Write(piece); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.CloseAndWait(); err != nil {
		b.Fatal(err)
	}
}
