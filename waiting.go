package quorate

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
)

// waiting is everybody who waits for a group's state machine: proposals, by the
// ticket that their command carries through the log, and reads, by index.
//
// A proposal is made to the leader of one term. When an entry of a later term is
// applied, and the command has not come by, it never will: terms in a log never
// fall. Only where a snapshot took the place of entries can nobody tell.
type waiting struct {
	mu        sync.Mutex
	proposals map[uint64]*waiter // that were made; those that were not yet are nobody's but their callers'
	readers   []*readRequest     // by rising index
	applied   raft.EntryID       // up to here the state machine has come

	ended atomic.Pointer[error] // why nobody is served any more; changed under the lock
}

// waiter is one proposal.
type waiter struct {
	ticket  uint64
	term    raft.Term    // of the leader that it was made to; zero while with none
	entry   raft.EntryID // a membership change's, which carries no ticket
	settled bool         // there is an outcome, or nobody waits for it any more

	done   chan struct{} // closed once there is an outcome
	result any
	err    error
}

// over reports whether there is an outcome.
func (p *waiter) over() bool { return isClosed(p.done) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// open begins a proposal that has not yet been made to anybody. It takes no lock: many
// callers do it at the same time.
func (w *waiting) open(ticket uint64) (*waiter, error) {
	if err := w.why(); err != nil {
		return nil, err
	}
	return &waiter{ticket: ticket, done: make(chan struct{})}, nil
}

// why nobody is served any more; nil while somebody may be.
func (w *waiting) why() error {
	if ended := w.ended.Load(); ended != nil {
		return *ended
	}
	return nil
}

// maxWaiting bounds the proposals, and as many reads, that wait in one group.
const maxWaiting = 1 << 16

// made notes the term of the leader that the proposal is about to be made to. An error
// says why it must not be made, nil that it may.
func (w *waiting) made(p *waiter, term raft.Term) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.make(p, term)
}

func (w *waiting) make(p *waiter, term raft.Term) error {
	switch ended := w.why(); {
	case ended != nil:
		return ended
	case p.settled, term == 0, term < w.applied.Term: // nobody waits for it, or it could never come
		return errNotMade
	case len(w.proposals) >= maxWaiting:
		return ErrBusy
	}
	w.enter(p, term)
	return nil
}

func (w *waiting) enter(p *waiter, term raft.Term) {
	if w.proposals == nil {
		w.proposals = map[uint64]*waiter{}
	}
	w.proposals[p.ticket], p.term = p, term
}

// offered is made for proposals of this node to itself, which it marks with the
// term; with none if they must not be made, or not in it.
func (w *waiting) offered(some []proposal, term raft.Term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range some {
		p := &some[i]
		if p.entry == nil || p.only != 0 && p.only != term {
			continue
		}
		if err := w.make(p.entry, term); err != nil {
			w.finish(p.entry, nil, err)
		} else {
			p.term = term
		}
	}
}

// appended notes which entry a change of the membership is.
func (w *waiting) appended(p *waiter, id raft.EntryID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.entry, p.term = id, id.Term // it is made, also if nobody will be told of it
	if ended := w.why(); ended != nil {
		w.finish(p, nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ended))
	} else {
		w.enter(p, id.Term)
	}
}

// cancel forgets the proposal and reports whether it may have been made.
func (w *waiting) cancel(p *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.settled = true
	delete(w.proposals, p.ticket)
	return p.term != 0
}

// finish ends the proposal, if it still waits.
func (w *waiting) finish(p *waiter, result any, err error) {
	if !p.settled {
		delete(w.proposals, p.ticket)
		p.settled, p.result, p.err = true, result, err
		close(p.done)
	}
}

// refuse ends a proposal that was certainly not made.
func (w *waiting) refuse(p *waiter, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finish(p, nil, err)
}

// await serves a reader once its index is applied.
func (w *waiting) await(r *readRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ended := w.why(); {
	case ended != nil:
		r.finish(ended)
	case r.index <= w.applied.Index:
		r.finish(nil)
	default:
		at, _ := slices.BinarySearchFunc(w.readers, r.index+1, func(r *readRequest, index raft.Index) int { return cmp.Compare(r.index, index) })
		w.readers = slices.Insert(w.readers, at, r)
	}
}

// leave forgets a reader that has gone.
func (w *waiting) leave(r *readRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := slices.Index(w.readers, r); at >= 0 {
		w.readers = slices.Delete(w.readers, at, at+1)
	}
}

// onApplied answers those whom these entries concern. Commands are the entries
// that went through the state machine, with their tickets.
func (w *waiting) onApplied(entries []raft.Entry, commands []Command, tickets []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.proposals) > 0 {
		for i := range commands {
			if p := w.proposals[tickets[i]]; p != nil {
				w.finish(p, commands[i].Result, nil)
			}
		}
		for i := range entries {
			w.onEntry(&entries[i])
		}
	}
	w.applied = entries[len(entries)-1].EntryID
	w.serveReaders()
}

// onEntry looks at what an entry that is no command says of proposals.
func (w *waiting) onEntry(e *raft.Entry) {
	if e.Kind == raft.Command {
		return
	}
	for _, p := range w.proposals { //order: each is told for itself
		switch {
		case p.entry == e.EntryID:
			w.finish(p, nil, nil)
		case p.term != 0 && p.term < e.Term:
			w.finish(p, nil, errPassedOver)
		}
	}
}

// onSnapshot notes that a snapshot took the place of entries: what was proposed up
// to its term may or may not be among them.
func (w *waiting) onSnapshot(id raft.EntryID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.proposals { //order: each is told for itself
		if p.term != 0 && p.term <= id.Term {
			w.finish(p, nil, ErrUnknownOutcome)
		}
	}
	w.applied = id
	w.serveReaders()
}

// rest gives memory back while nobody waits: most of many groups sleep.
func (w *waiting) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.proposals) == 0 {
		w.proposals = nil
	}
}

func (w *waiting) serveReaders() {
	n := 0
	for ; n < len(w.readers) && w.readers[n].index <= w.applied.Index; n++ {
		w.readers[n].finish(nil)
	}
	w.readers = slices.Delete(w.readers, 0, n)
}

// end answers everybody: proposals that were made with one error, the others and
// all who come later with the other.
func (w *waiting) end(made, others error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why() != nil {
		return
	}
	w.ended.Store(&others)
	for _, p := range w.proposals { //order: each is told for itself
		if p.term != 0 {
			w.finish(p, nil, made)
		} else {
			w.finish(p, nil, others)
		}
	}
	for _, r := range w.readers {
		r.finish(others)
	}
	w.readers = nil
}
