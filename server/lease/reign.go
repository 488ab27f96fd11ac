package lease

import (
	"container/heap"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// reign is what a leader knows of leases, for one term.
type reign struct {
	term   raft.Term
	seen   raft.Index // leases granted up to here have been taken in
	leases map[kv.LeaseID]*held
	queue  queue   // those that have not run out
	out    []*held // those that have, and are not yet revoked
	notes  notes
}

// held is a lease in a reign. Its Left is what the store says, as far as is known.
type held struct {
	kv.Grant
	deadline time.Duration
	look     time.Duration // when to look at it; what there is to do may be later by then
	at       int           // in the queue; notQueued

	inherited bool // from a leader before, and not renewed since
	short     bool // the store may say that less than the TTL is left
	waits     bool // it was renewed while it was, and is among the notes
	passed    bool // so much has passed of it that it is among the notes
}

const notQueued = -1

func newReign(term raft.Term) *reign {
	return &reign{term: term, leases: make(map[kv.LeaseID]*held)}
}

// inherit takes in the leases that were granted before the reign. For the time
// given more than is left nobody could be asked.
func (r *reign) inherit(granted []kv.Grant, now, more time.Duration) {
	r.takeAll(granted, now+more)
	for _, g := range granted {
		h := r.leases[g.ID]
		h.inherited = true
		h.look = h.noteAt()
		heap.Fix(&r.queue, h.at)
	}
}

// takeAll takes in leases in the order in which they were granted, and passes over
// those that it has.
func (r *reign) takeAll(granted []kv.Grant, from time.Duration) {
	for _, g := range granted {
		r.take(g, from)
		r.seen = max(r.seen, g.Index)
	}
}

// take takes a lease in, which has what is left of it from the given time on.
func (r *reign) take(g kv.Grant, from time.Duration) *held {
	if old := r.leases[g.ID]; old != nil {
		if old.Index >= g.Index {
			return old
		}
		r.drop(old) // it was revoked, and granted anew
	}
	h := &held{Grant: g, deadline: from + time.Duration(g.Left)*time.Second, short: g.Left < g.TTL}
	h.look = h.noteAt()
	r.leases[g.ID] = h
	heap.Push(&r.queue, h)
	return h
}

// renew lets a lease live for its whole TTL from now on. It reports whether the store
// must be told before anybody is.
func (r *reign) renew(h *held, now time.Duration) bool {
	// What a new leader has given it may reach further; the queue relies on it, too.
	h.deadline = max(h.deadline, now+time.Duration(h.TTL)*time.Second)
	h.inherited = false
	if h.short && !h.waits {
		h.waits = true
		r.notes.renewed = append(r.notes.renewed, h)
	}
	return h.waits
}

// drop forgets a lease.
func (r *reign) drop(h *held) {
	if h.at != notQueued {
		heap.Remove(&r.queue, h.at)
	}
	if r.leases[h.ID] == h {
		delete(r.leases, h.ID)
	}
}

// keep forgets all leases but those.
func (r *reign) keep(granted []kv.Grant) {
	living := make(map[kv.LeaseID]raft.Index, len(granted))
	for _, g := range granted {
		living[g.ID] = g.Index
	}
	for id, h := range r.leases { //order: each is dropped or kept for itself
		if living[id] != h.Index {
			r.drop(h)
		}
	}
}

// over reports whether the lease has run out: there is no way back from there.
func (h *held) over() bool { return h.at == notQueued }

// mostAtOnce bounds the leases that a round revokes, mostLooks those that it looks at.
const (
	mostAtOnce = 4096
	mostLooks  = 4 * mostAtOnce
)

// ranOut returns leases that have run out and are not revoked yet. On the way it
// finds those of which is to be noted what they have left.
func (r *reign) ranOut(now time.Duration) []*held {
	left := r.out[:0]
	for _, h := range r.out {
		if r.leases[h.ID] == h {
			left = append(left, h)
		}
	}
	clear(r.out[len(left):])
	r.out = left
	for range mostLooks {
		if len(r.out) >= mostAtOnce || len(r.queue) == 0 || r.queue[0].look > now {
			break
		}
		h := r.queue[0]
		if h.deadline <= now {
			heap.Pop(&r.queue)
			r.out = append(r.out, h)
			continue
		}
		h.look = h.noteAt()
		if h.look <= now {
			h.look = h.deadline // until it has been noted
			if !h.passed {
				h.passed = true
				r.notes.passed = append(r.notes.passed, h)
			}
		}
		heap.Fix(&r.queue, 0)
	}
	return append([]*held(nil), r.out...)
}

// queue has leases in the order in which they are to be looked at. A renewal, the
// most frequent of all that happens to a lease, does not move it.
type queue []*held

// Len implements [heap.Interface].
func (q queue) Len() int { return len(q) }

// Less implements [heap.Interface].
func (q queue) Less(i, j int) bool { return q[i].look < q[j].look }

// Swap implements [heap.Interface].
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push implements [heap.Interface].
func (q *queue) Push(x any) {
	h := x.(*held)
	h.at = len(*q)
	*q = append(*q, h)
}

// Pop implements [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	h.at = notQueued
	return h
}
