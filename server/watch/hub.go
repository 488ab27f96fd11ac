package watch

import (
	"sync"

	"github.com/quorate-db/quorate/server/kv"
)

// limits are how much is held, and done at a time. What is said of bytes is beyond
// by at most a revision.
type limits struct {
	queueBytes  int   // between the goroutine that applies and the one that hands out
	streamBytes int   // in a stream, not yet taken by its client
	passBytes   int   // of events that are wanted, in one pass over the history
	passChanges int   // looked at in one pass, wanted or not
	near        int64 // so many revisions are read again by some for others to join them
}

const (
	maxQueueBytes  = 8 << 20
	maxStreamBytes = 1 << 20
)

var usual = limits{queueBytes: maxQueueBytes, streamBytes: maxStreamBytes, passBytes: 512 << 10, passChanges: 10_000, near: 1000}

// Hub is where all streams of a node meet.
type Hub struct {
	limits
	machine *kv.Machine
	queue   *queue
	done    sync.WaitGroup

	mu       sync.Mutex
	revision int64 // up to which those who are not behind have been handed everything
	index    index // the watchers of all streams
	streams  map[*Stream]struct{}
	asking   map[*Stream]struct{} // who wants to know when all its watchers are up to date
}

// New returns a hub that hears of all that the machine applies from now on. It must
// be made before the machine is given commands.
func New(machine *kv.Machine) (*Hub, error) { return newHub(machine, usual) }

func newHub(machine *kv.Machine, l limits) (*Hub, error) {
	state, err := machine.State()
	if err != nil {
		return nil, err
	}
	h := &Hub{
		limits:   l,
		machine:  machine,
		queue:    newQueue(state.Revision, l.queueBytes),
		revision: state.Revision,
		index:    newIndex(),
		streams:  make(map[*Stream]struct{}),
		asking:   make(map[*Stream]struct{}),
	}
	machine.Follow(h.queue.put)
	h.done.Go(h.run)
	return h, nil
}

// Close ends all streams, in that [Stream.Closed] is closed.
func (h *Hub) Close() {
	h.queue.close()
	h.done.Wait()
}

// Counts is how many there are at the moment.
type Counts struct{ Streams, Watchers, Behind int }

// Counts counts; a watcher that has ended and was not cancelled is none.
func (h *Hub) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := Counts{Streams: len(h.streams)}
	for s := range h.streams {
		for _, w := range s.watchers {
			if !w.ended {
				n.Watchers++
			}
			if w.behind {
				n.Behind++
			}
		}
	}
	return n
}

func (h *Hub) run() {
	for {
		select {
		case <-h.queue.wake:
			for _, a := range h.queue.take() {
				h.advance(a)
			}
		case <-h.queue.closed:
			return
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
