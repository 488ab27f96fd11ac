package watch

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/server/kv"
)

// pointerBytes is what one more watcher of a stream adds to an event it shares.
const pointerBytes = 16

// Everyone is the ID in a Delivery about all watchers of a stream.
const Everyone int64 = -1

// The refusals of [Stream.Watch].
var (
	ErrEmptyRange  = errors.New("watch: the range ends before it begins; swap key and end")
	ErrDuplicateID = errors.New("watch: a watcher of this stream has the ID already; choose another or none")
)

// Stream is the watchers of one client. Its methods are for one goroutine.
type Stream struct {
	hub  *Hub
	wake chan struct{}

	// The rest is guarded by the hub's lock.
	watchers map[int64]*watcher
	nextID   int64

	ready []*watcher // have something pending, the longest waiting first
	late  []*watcher // are behind and have nothing pending
	lost  []*watcher // ended, and were not told yet
	due   []*watcher // are to be told how far they have come
	asked bool       // so is the client, once all are up to date

	bytes int    // of all that is pending
	last  *Event // was counted
	read  bool   // the last Next read the history
}

// Delivery is what a client is to be told next.
type Delivery struct {
	ID        int64    // of the watcher, or Everyone
	Events    []*Event // whole revisions, in order; none if all there is to tell is how far it has come
	Before    bool     // the watcher wants to know what was before each
	Revision  int64    // all events of the watcher up to here are delivered, these included
	Compacted int64    // not zero: the watcher has ended, because what came before this revision is gone
}

// Stream opens a stream. It must be closed.
func (h *Hub) Stream() *Stream {
	s := &Stream{hub: h, wake: make(chan struct{}, 1), watchers: make(map[int64]*watcher)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams[s] = struct{}{}
	return s
}

// Close ends all watchers.
func (s *Stream) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, w := range s.watchers {
		s.hub.index.remove(w)
	}
	delete(s.hub.streams, s)
	delete(s.hub.asking, s)
}

// Wake receives when it is worth to call Next.
func (s *Stream) Wake() <-chan struct{} { return s.wake }

// Closed is closed with the hub: nothing more will come.
func (s *Stream) Closed() <-chan struct{} { return s.hub.queue.closed }

// Revision is how far the store has come.
func (s *Stream) Revision() int64 { return s.hub.queue.revision() }

func (s *Stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is known already
	}
}

// Watch adds a watcher and returns its ID, and the revision of the store at which
// it was added. One without a From is told of all that comes after that.
func (s *Stream) Watch(spec Spec) (id, revision int64, err error) {
	if len(spec.End) > 0 && !bytes.Equal(spec.End, kv.NoEnd) && bytes.Compare(spec.Key, spec.End) >= 0 {
		return 0, s.Revision(), ErrEmptyRange
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	revision = s.Revision()
	if spec.ID == 0 {
		spec.ID = s.freeID()
	} else if s.watchers[spec.ID] != nil {
		return 0, revision, ErrDuplicateID
	}
	w := &watcher{Spec: spec, stream: s, next: spec.From, idle: true}
	if spec.From == 0 {
		w.next = revision + 1
	}
	s.watchers[spec.ID] = w
	s.hub.index.add(w)
	if w.next <= revision {
		w.fallBehind(w.next)
	}
	return spec.ID, revision, nil
}

func (s *Stream) freeID() int64 {
	for s.watchers[s.nextID] != nil {
		s.nextID++
	}
	s.nextID++
	return s.nextID - 1
}

// Cancel removes a watcher: nothing more is delivered to it. It reports whether
// there was one.
func (s *Stream) Cancel(id int64) bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	w := s.watchers[id]
	if w == nil {
		return false
	}
	delete(s.watchers, id)
	s.hub.index.remove(w)
	for _, list := range []*[]*watcher{&s.ready, &s.late, &s.lost, &s.due} {
		*list = without(*list, w)
	}
	s.bytes -= w.bytes
	s.signal() // all that are left may be up to date
	return true
}

// Tick has every watcher told how far it has come that wants to know, is up to date
// and was told nothing since the last Tick.
func (s *Stream) Tick() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.due = nil
	for _, id := range slices.Sorted(maps.Keys(s.watchers)) {
		w := s.watchers[id]
		if w.Progress && w.idle && w.upToDate() {
			s.due = append(s.due, w)
		}
		w.idle = true
	}
	s.signal()
}

// Ask has the client told how far it has come, as soon as all its watchers are up
// to date. If there are none, nothing is told.
func (s *Stream) Ask() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.asked = true
	s.hub.asking[s] = struct{}{}
	s.signal()
}

// Next returns what is to be told next, if anything is; it reads the history if
// need be, but does not wait. If it returns something, or has read without finding
// anything, Wake receives again. The error is the store's.
func (s *Stream) Next() (d Delivery, ok bool, err error) {
	if s.mustRead() {
		if err := s.pass(); err != nil {
			return d, false, err
		}
	}
	d, ok = s.take()
	if d.Before {
		err = s.lookUp(d.Events)
	}
	return d, ok, err
}

// mustRead reports whether to read the history now: if there is nothing else to be
// told, or every other time, lest those that are behind wait for those that are not.
func (s *Stream) mustRead() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.read = len(s.late) > 0 && (len(s.ready) == 0 || !s.read && s.bytes < s.hub.StreamBytes)
	return s.read
}

// take takes what is to be told.
func (s *Stream) take() (d Delivery, ok bool) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if len(s.late) > 0 {
		s.signal()
	}
	switch {
	case len(s.lost) > 0:
		w := s.lost[0]
		s.lost = s.lost[1:]
		d.ID, d.Compacted = w.ID, w.next
	case len(s.ready) > 0:
		w := s.ready[0]
		s.ready = s.ready[1:]
		d = w.deliver()
	default:
		if d, ok = s.progress(); !ok {
			return d, false
		}
	}
	s.signal()
	return d, true
}

// deliver takes what is pending.
func (w *watcher) deliver() Delivery {
	d := Delivery{ID: w.ID, Events: w.pending, Before: w.Before, Revision: w.informed()}
	w.stream.hub.told.count(&d)
	w.stream.bytes -= w.bytes
	w.pending, w.bytes, w.idle = nil, 0, false
	if w.behind {
		w.stream.late = append(w.stream.late, w)
		w.stream.signal()
	}
	return d
}

// progress is what is to be told of how far things have come.
func (s *Stream) progress() (d Delivery, ok bool) {
	for len(s.due) > 0 {
		w := s.due[0]
		s.due = s.due[1:]
		if w.upToDate() {
			return Delivery{ID: w.ID, Revision: s.hub.revision}, true
		}
	}
	if !s.asked {
		return d, false
	}
	some := false
	for _, w := range s.watchers {
		if !w.ended && !w.upToDate() {
			return d, false
		}
		some = some || !w.ended
	}
	s.asked = false
	delete(s.hub.asking, s)
	return Delivery{ID: Everyone, Revision: s.hub.revision}, some
}

// lookUp reads what was before events, where nobody has yet.
func (s *Stream) lookUp(events []*Event) error {
	var h *kv.History
	for _, e := range events {
		if e.before.Load() != nil {
			continue
		}
		if e.Replaced == 0 {
			e.before.Store(nothing)
			continue
		}
		if h == nil {
			var err error
			if h, err = s.hub.machine.History(); err != nil {
				return err
			}
			defer h.Close()
		}
		was, err := h.Before(&e.Event)
		if err != nil {
			return err
		}
		if was == nil {
			was = nothing
		}
		e.before.Store(was)
	}
	return nil
}
