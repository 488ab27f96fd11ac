package watch

import (
	"sync/atomic"

	"github.com/quorate-db/quorate/server/kv"
)

// Spec is what a watcher wants.
type Spec struct {
	ID       int64  // zero: the stream chooses one
	Key, End []byte // a range as in [kv.Query]
	From     int64  // the first revision; zero: the next one

	Before            bool // what was there before each event is wanted too
	NoPuts, NoDeletes bool // events that are not wanted
	Progress          bool // it wants to know at each Tick how far it has come
}

// Event is an event as all who are told of it share it.
type Event struct {
	kv.Event
	before  atomic.Pointer[kv.KV]     // looked up by the first who wants it
	encoded [2]atomic.Pointer[[]byte] // without and with what was before
}

// nothing is what was before an event that created its key.
var nothing = &kv.KV{}

// Before is the key as it was before the event; nil if it did not exist or that is
// compacted. It is known in a [Delivery] that says Before.
func (e *Event) Before() *kv.KV {
	if b := e.before.Load(); b != nothing {
		return b
	}
	return nil
}

// Encoded returns what encode makes of the event, with or without what was before,
// so that it is made once for all. A hub is asked by one kind of door only.
func (e *Event) Encoded(before bool, encode func(e *Event, before bool) []byte) []byte {
	at := &e.encoded[0]
	if before {
		at = &e.encoded[1]
	}
	if b := at.Load(); b != nil {
		return *b
	}
	b := encode(e, before)
	at.Store(&b)
	return b
}

// watcher is guarded by its hub's lock, but for the Spec, which does not change.
type watcher struct {
	Spec
	stream *Stream

	// next is the first revision of which it may not have been handed the events;
	// one that is not behind has all up to the hub's revision too.
	next   int64
	behind bool // it is handed nothing; it reads the history, from next on
	ended  bool // by compaction; only its ID is still in use
	idle   bool // it was told nothing since the last Tick

	pending []*Event // whole revisions, handed to it and not yet delivered
	bytes   int      // that the pending count for in the stream
}

// wants reports whether an event within its range is for this watcher.
func (w *watcher) wants(revision int64, deleted bool) bool {
	return revision >= w.next && !(deleted && w.NoDeletes) && !(!deleted && w.NoPuts)
}

// hand gives an event to a watcher that is not behind. If the stream holds too much
// already, the watcher falls behind; but not in the middle of a revision.
func (w *watcher) hand(e *Event) {
	s := w.stream
	begun := len(w.pending) > 0 && w.pending[len(w.pending)-1].Mod == e.Mod
	if !begun && s.bytes >= s.hub.StreamBytes {
		w.fallBehind(e.Mod)
		return
	}
	size := pointerBytes
	if s.last != e {
		size += e.Size()
		s.last = e
	}
	w.hold(append(w.pending, e), size)
}

// hold makes the events those that are pending; they count for so many bytes more.
func (w *watcher) hold(pending []*Event, bytes int) {
	if len(w.pending) == 0 {
		w.stream.ready = append(w.stream.ready, w)
		w.stream.signal()
	}
	w.pending = pending
	w.bytes += bytes
	w.stream.bytes += bytes
}

// fallBehind leaves it to the watcher to read the events of a revision, unless it
// wants none that early, and of those after it.
func (w *watcher) fallBehind(revision int64) {
	if w.behind || w.ended {
		return
	}
	w.behind = true
	w.next = max(w.next, revision)
	if len(w.pending) == 0 {
		w.stream.late = append(w.stream.late, w)
		w.stream.signal()
	}
}

// informed is the revision up to which it will have been told everything, once
// what is pending is delivered.
func (w *watcher) informed() int64 {
	if w.behind {
		return w.next - 1
	}
	return max(w.next-1, w.stream.hub.revision)
}

// upToDate reports whether it has been told all up to the hub's revision, and
// nothing beyond it.
func (w *watcher) upToDate() bool {
	return !w.behind && !w.ended && len(w.pending) == 0 && w.next-1 <= w.stream.hub.revision
}
