package progress

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWindowIsAQueue compares the ring with a plain slice.
func TestWindowIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Messages: rapid.IntRange(1, 20).Draw(t, "messages"), Bytes: 200}
		w := Window{limits: limits}
		var naive []sent
		last := Index(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if w.Full() {
					return
				}
				last += Index(rapid.IntRange(1, 5).Draw(t, "entries"))
				s := sent{last, rapid.Uint64Range(0, 50).Draw(t, "bytes")}
				w.Add(s.last, s.bytes)
				naive = append(naive, s)
			},
			"free": func(t *rapid.T) {
				match := Index(rapid.Uint64Range(0, uint64(last)+2).Draw(t, "match"))
				w.FreeTo(match)
				for len(naive) > 0 && naive[0].last <= match {
					naive = naive[1:]
				}
			},
			"free one": func(*rapid.T) {
				if len(naive) > 0 {
					w.FreeOne()
					naive = naive[1:]
				}
			},
			"clear": func(*rapid.T) {
				w.Clear()
				naive = nil
			},
			"": func(t *rapid.T) {
				var bytes uint64
				for _, s := range naive {
					bytes += s.bytes
				}
				full := len(naive) == limits.Messages || len(naive) > 0 && bytes >= limits.Bytes
				if w.Len() != len(naive) || w.bytes != bytes || w.Full() != full {
					t.Fatalf("%d messages of %d bytes, full %t; want %d, %d, %t", w.Len(), w.bytes, w.Full(), len(naive), bytes, full)
				}
				if len(w.ring) > limits.Messages {
					t.Fatalf("room for %d messages, at most %d may be under way", len(w.ring), limits.Messages)
				}
			},
		})
	})
}
