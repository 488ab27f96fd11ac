package quorate

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
)

// reads are a group's linearizable reads until it is known how far the state
// machine must have come for them. All that wait at the same time share one
// question to the core.
type reads struct {
	fresh []*readRequest // for whom nothing has been asked yet
	asked []question     // oldest first
}

type readRequest struct {
	index raft.Index
	gone  atomic.Bool // nobody waits any more

	done chan struct{} // closed once there is an answer
	err  error
}

func (r *readRequest) finish(err error) {
	r.err = err
	close(r.done)
}

// question is a read that the core was asked for, and who waits for the answer.
type question struct {
	token uint64
	tick  uint64 // when it was asked
	who   []*readRequest
}

// add takes a read in; its core is asked in this turn of the loop.
func (r *reads) add(g *Group, read *readRequest) {
	r.again(g, []*readRequest{read})
}

// askReads asks the cores on behalf of everybody who came since the last turn.
func (h *Host) askReads() {
	asking := h.loop.asking
	h.loop.asking = nil
	for _, g := range asking {
		r := &g.reads
		err := h.loop.engine.Do(g.id, func(core *raft.Raft) error {
			token, err := core.Read()
			if err == nil {
				r.asked = append(r.asked, question{token, h.loop.ticks, r.fresh})
				r.fresh = nil
			}
			return err
		})
		if err == nil || errors.Is(err, raft.ErrNoLeader) || errors.Is(err, raft.ErrBusy) {
			continue // those that are still fresh are asked for again at the next tick
		}
		for _, read := range r.fresh {
			read.finish(asRefusal(err))
		}
		r.fresh = nil
	}
}

// answer passes on what the core says about one question.
func (r *reads) answer(g *Group, a raft.Read) {
	for i, q := range r.asked {
		if q.token != a.Token {
			continue
		}
		r.asked = append(r.asked[:i:i], r.asked[i+1:]...)
		if a.Index == 0 {
			r.again(g, q.who)
			return
		}
		for _, read := range q.who {
			if !read.gone.Load() {
				read.index = a.Index
				g.waiting.await(read)
			}
		}
		return
	}
}

// again puts readers back whose question has come to nothing. Those that have
// gone are forgotten, so that there are no more than callers.
func (r *reads) again(g *Group, who []*readRequest) {
	if len(r.fresh)+len(who) > maxWaiting {
		r.fresh = slices.DeleteFunc(r.fresh, func(read *readRequest) bool { return read.gone.Load() })
	}
	if len(r.fresh) == 0 {
		g.host.loop.asking = append(g.host.loop.asking, g)
		g.mindMe()
	}
	r.fresh = append(r.fresh, who...)
}

// open reports whether anybody waits for an answer of the core.
func (r *reads) open() bool { return len(r.fresh)+len(r.asked) > 0 }

// expire asks again where an answer is overdue: a message may be lost.
func (r *reads) expire(h *Host, g *Group) {
	patience := uint64(h.cfg.electionTicks())
	for len(r.asked) > 0 && h.loop.ticks-r.asked[0].tick > patience {
		who := r.asked[0].who
		r.asked = r.asked[1:]
		r.again(g, who)
	}
	if len(r.fresh) > 0 {
		h.loop.asking = append(h.loop.asking, g)
	}
}
