package progress

import "github.com/quorate-db/quorate/raft/archive"

// Limits bound what may be under way to one follower. Whichever is reached first
// counts; one message may always go.
type Limits struct {
	Messages int
	Bytes    uint64
}

// Window is the messages sent and not yet answered, oldest first: for each the
// index of its last entry and its bytes. It grows when first used, to at most
// Limits.Messages.
type Window struct {
	limits Limits
	ring   []sent
	start  int
	count  int
	bytes  uint64
}

type sent struct {
	last  Index
	bytes uint64
}

// Full reports whether nothing more may be sent.
func (w *Window) Full() bool {
	return w.count >= w.limits.Messages || w.count > 0 && w.bytes >= w.limits.Bytes
}

// Len is the number of messages under way.
func (w *Window) Len() int { return w.count }

// Add notes a message. The window must not be full.
func (w *Window) Add(last Index, bytes uint64) {
	if w.count == len(w.ring) {
		w.grow()
	}
	w.ring[(w.start+w.count)%len(w.ring)] = sent{last, bytes}
	w.count++
	w.bytes += bytes
}

// FreeTo forgets the messages whose entries all lie at or before match.
func (w *Window) FreeTo(match Index) {
	for w.count > 0 && w.ring[w.start].last <= match {
		w.FreeOne()
	}
}

// FreeOne forgets the oldest message.
func (w *Window) FreeOne() {
	w.bytes -= w.ring[w.start].bytes
	w.start = (w.start + 1) % len(w.ring)
	w.count--
}

// Clear forgets all messages.
func (w *Window) Clear() { w.start, w.count, w.bytes = 0, 0, 0 }

func (w *Window) archive(a *archive.Archive) {
	archive.Number(a, &w.limits.Messages)
	archive.Number(a, &w.limits.Bytes)
	var under []sent
	for i := range w.count {
		under = append(under, w.ring[(w.start+i)%len(w.ring)])
	}
	archive.List(a, &under, func(a *archive.Archive, s *sent) {
		archive.Number(a, &s.last)
		archive.Number(a, &s.bytes)
	})
	if a.Reading() {
		w.ring, w.start, w.count, w.bytes = under, 0, len(under), 0
		for _, s := range under {
			w.bytes += s.bytes
		}
	}
}

func (w *Window) grow() {
	ring := make([]sent, min(max(2, 2*len(w.ring)), w.limits.Messages))
	for i := range w.count {
		ring[i] = w.ring[(w.start+i)%len(w.ring)]
	}
	w.ring, w.start = ring, 0
}
