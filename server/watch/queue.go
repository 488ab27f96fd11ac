package watch

import (
	"sync"

	"github.com/quorate-db/quorate/server/kv"
)

// queue holds what was applied and not yet handed out.
type queue struct {
	wake   chan struct{} // there may be something to take
	closed chan struct{}
	most   int // bytes

	mu      sync.Mutex
	applied int64 // the revision that was last told of
	waiting []kv.Advance
	bytes   int
}

func newQueue(revision int64, most int) *queue {
	return &queue{wake: make(chan struct{}, 1), closed: make(chan struct{}), most: most, applied: revision}
}

// put is called by the goroutine that applies. If there is too much, only how far
// things have come is kept; the rest is in the history.
func (q *queue) put(a kv.Advance) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.applied = a.To
	for i := range a.Events {
		q.bytes += a.Events[i].Size()
	}
	q.waiting = append(q.waiting, a)
	if q.bytes > q.most {
		q.waiting = []kv.Advance{{From: q.waiting[0].From, To: a.To}}
		q.bytes = 0
	}
	select {
	case q.wake <- struct{}{}:
	default: // it is known already
	}
}

func (q *queue) take() []kv.Advance {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting, q.bytes = nil, 0
	return all
}

// revision is how far the store has come.
func (q *queue) revision() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.applied
}

func (q *queue) close() { close(q.closed) }
