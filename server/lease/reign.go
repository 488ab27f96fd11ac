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
}

// held is a lease in a reign.
type held struct {
	kv.Grant
	deadline time.Duration
	look     time.Duration // when to look whether it has run out; the deadline may have moved on
	at       int           // in the queue; notQueued
}

const notQueued = -1

func newReign(term raft.Term) *reign {
	return &reign{term: term, leases: make(map[kv.LeaseID]*held)}
}

// takeAll takes in leases in the order in which they were granted, and passes over
// those that it has.
func (r *reign) takeAll(granted []kv.Grant, from time.Duration) {
	for _, g := range granted {
		r.take(g, from)
		r.seen = max(r.seen, g.Index)
	}
}

// take takes a lease in, which has its TTL from the given time on.
func (r *reign) take(g kv.Grant, from time.Duration) *held {
	if old := r.leases[g.ID]; old != nil {
		if old.Index >= g.Index {
			return old
		}
		r.drop(old) // it was revoked, and granted anew
	}
	deadline := from + time.Duration(g.TTL)*time.Second
	h := &held{Grant: g, deadline: deadline, look: deadline}
	r.leases[g.ID] = h
	heap.Push(&r.queue, h)
	return h
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

// mostAtOnce bounds the leases that a round revokes.
const mostAtOnce = 4096

// ranOut returns leases that have run out and are not revoked yet.
func (r *reign) ranOut(now time.Duration) []*held {
	left := r.out[:0]
	for _, h := range r.out {
		if r.leases[h.ID] == h {
			left = append(left, h)
		}
	}
	clear(r.out[len(left):])
	r.out = left
	for len(r.out) < mostAtOnce && len(r.queue) > 0 && r.queue[0].look <= now {
		h := r.queue[0]
		if h.deadline > now {
			h.look = h.deadline
			heap.Fix(&r.queue, 0)
			continue
		}
		heap.Pop(&r.queue)
		r.out = append(r.out, h)
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
