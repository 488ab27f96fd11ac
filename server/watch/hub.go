package watch

import (
	"sync"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/server/kv"
)

// Limits are how much is held, and done at a time. What is said of bytes is beyond
// by at most a revision.
type Limits struct {
	QueueBytes  int   // between the goroutine that applies and the one that hands out
	StreamBytes int   // in a stream, not yet taken by its client
	PassBytes   int   // of events that are wanted, in one pass over the history
	PassChanges int   // looked at in one pass, wanted or not
	Near        int64 // so many revisions are read again by some for others to join them
}

const (
	maxQueueBytes  = 8 << 20
	maxStreamBytes = 1 << 20
)

// Usual are the limits of a server. Smaller ones are for tests, in which few events
// are to meet them.
var Usual = Limits{QueueBytes: maxQueueBytes, StreamBytes: maxStreamBytes, PassBytes: 512 << 10, PassChanges: 10_000, Near: 1000}

// Hub is where all streams of a node meet.
type Hub struct {
	Limits
	machine *kv.Machine
	runner  env.Runner
	queue   *queue
	done    chan struct{} // closed when nothing more is handed out

	mu       sync.Mutex
	revision int64 // up to which those who are not behind have been handed everything
	index    index // the watchers of all streams
	streams  map[*Stream]struct{}
	asking   map[*Stream]struct{} // who wants to know when all its watchers are up to date
	told     Counts               // what adds up in them
}

// New returns a hub that hears of all that the machine applies from now on, and
// hands it out in a goroutine of the runner. It must be made before the machine is
// given commands. The error is the store's.
func New(machine *kv.Machine, runner env.Runner, l Limits) (*Hub, error) {
	state, err := machine.State()
	if err != nil {
		return nil, err
	}
	h := &Hub{
		Limits:   l,
		machine:  machine,
		runner:   runner,
		queue:    newQueue(state.Revision, l.QueueBytes),
		done:     make(chan struct{}),
		revision: state.Revision,
		index:    newIndex(),
		streams:  make(map[*Stream]struct{}),
		asking:   make(map[*Stream]struct{}),
	}
	machine.Follow(h.queue.put)
	runner.Go(h.run)
	return h, nil
}

// Close ends all streams, in that [Stream.Closed] is closed.
func (h *Hub) Close() {
	h.queue.close()
	h.runner.Wait(nil, h.done, nil, nil)
}

// Counts is how many there are at the moment, and have been told.
type Counts struct {
	Streams, Watchers, Behind int

	Pending int    // events that wait for watchers
	Events  uint64 // that watchers were told of
	Lookups uint64 // of what was there before them
}

// count counts a delivery. As in etcd what was there before an event is looked up for each
// watcher, unless the event has created the key.
func (c *Counts) count(d *Delivery) {
	c.Events += uint64(len(d.Events))
	if !d.Before {
		return
	}
	for _, e := range d.Events {
		if e.Deleted() || e.Create != e.Mod {
			c.Lookups++
		}
	}
}

// Counts counts; a watcher that has ended and was not cancelled is none.
func (h *Hub) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.told
	n.Streams = len(h.streams)
	for s := range h.streams {
		for _, w := range s.watchers {
			if !w.ended {
				n.Watchers++
			}
			if w.behind {
				n.Behind++
			}
			n.Pending += len(w.pending)
		}
	}
	return n
}

func (h *Hub) run() {
	defer close(h.done)
	for h.runner.Wait(nil, h.queue.wake, h.queue.closed, nil) == 1 {
		for _, a := range h.queue.take() {
			h.advance(a)
		}
	}
}

// advance hands out what has happened.
func (h *Hub) advance(a kv.Advance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !a.Whole {
		for s := range h.streams {
			for _, w := range s.watchers {
				w.fallBehind(h.revision + 1)
			}
		}
	}
	for i := range a.Events {
		h.hand(&a.Events[i])
	}
	h.revision = a.To
	for s := range h.asking {
		s.signal()
	}
}

func (h *Hub) hand(e *kv.Event) {
	var shared *Event // made for the first who wants it
	h.index.match(e.Key, func(w *watcher) {
		if w.behind || !w.wants(e.Mod, e.Deleted()) {
			return
		}
		if shared == nil {
			shared = &Event{Event: *e}
		}
		w.hand(shared)
	})
}
