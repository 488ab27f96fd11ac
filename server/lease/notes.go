package lease

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"github.com/quorate-db/quorate/server/kv"
)

// mostNoted bounds the leases of one note, and so what a quarter of a second may add
// to the log: some five kilobytes.
const mostNoted = 512

// notes are what the store is to be told of leases, each in its turn.
type notes struct {
	renewed []*held // have their whole TTL again; somebody waits to hear so
	passed  []*held // have less left than the store says
}

// noteAt is when it is to be noted what a lease has left: at its end, never. It is
// never earlier than a look that was right before a renewal.
func (h *held) noteAt() time.Duration {
	// A client that keeps its lease alive does so three times in a TTL, so that nothing
	// is noted of it. How often that was before this reign is not known.
	left := h.TTL / 2
	if h.inherited || h.short {
		left = h.Left - max(1, h.Left/32)
	}
	return h.deadline - time.Duration(left)*time.Second
}

// compose takes up to mostNoted leases from the notes, with what the store is to be
// told of each. From here on the store may say so.
func (r *reign) compose(now time.Duration) (of []*held, left []kv.Remaining) {
	n := &r.notes
	for ; len(n.renewed) > 0 && len(of) < mostNoted; n.renewed = n.renewed[1:] {
		h := n.renewed[0]
		of, left = append(of, h), append(left, kv.Remaining{Grant: h.Index, Seconds: h.TTL})
	}
	for ; len(n.passed) > 0 && len(of) < mostNoted; n.passed = n.passed[1:] {
		h := n.passed[0]
		h.passed = false
		if h.waits || h.over() || h.noteAt() > now {
			r.lookAgain(h) // it was renewed meanwhile, or is no more
			continue
		}
		h.short = true
		of, left = append(of, h), append(left, kv.Remaining{Grant: h.Index, Seconds: int64((h.deadline - now + time.Second - 1) / time.Second)})
	}
	return of, left
}

// settle takes in what a note came to. A renewal that was not noted must be: what the
// store says of it is not known.
func (r *reign) settle(of []*held, left []kv.Remaining, err error) {
	for i, h := range of {
		switch renewed := left[i].Seconds == h.TTL; {
		case err == nil && renewed:
			h.Left, h.short, h.waits = h.TTL, false, false
		case err == nil:
			h.Left = left[i].Seconds
		case renewed:
			r.notes.renewed = append(r.notes.renewed, h)
		}
		r.lookAgain(h)
	}
}

// lookAgain has a lease looked at as soon as there is something to note.
func (r *reign) lookAgain(h *held) {
	if !h.over() {
		h.look = h.noteAt()
		heap.Fix(&r.queue, h.at)
	}
}

// note tells the store, in one command, what is to be noted. Notes come one after
// another, and each names the one before: one whose outcome was not learnt cannot
// follow a later one.
func (l *Lessor) note(ctx context.Context, r *reign) error {
	if l.Env.Wait(nil, l.turn, ctx.Done(), nil) != 1 {
		return context.Cause(ctx)
	}
	defer func() { l.turn <- struct{}{} }()
	l.mu.Lock()
	of, left := r.compose(l.clock())
	l.mu.Unlock()
	if len(of) == 0 {
		return nil
	}
	err := l.propose(ctx, r, left)
	l.mu.Lock()
	r.settle(of, left, err)
	l.mu.Unlock()
	if errors.Is(err, kv.ErrOvertaken) {
		return nil // by one of ours that was late; what is left to do still is
	}
	return err
}

func (l *Lessor) propose(ctx context.Context, r *reign, left []kv.Remaining) error {
	after, err := l.Machine.Noted()
	if err != nil {
		return err
	}
	command := kv.Command{By: kv.ThisNode, Do: kv.NoteRemaining{After: after, Of: left}}
	result, err := l.group.ProposeIn(ctx, r.term, command.Encode())
	if err != nil {
		return err
	}
	return result.(*kv.Result).Err()
}

// noted waits until the store knows of the renewals of leases.
func (l *Lessor) noted(ctx context.Context, r *reign, renewed []*held) error {
	for {
		l.mu.Lock()
		for len(renewed) > 0 && !renewed[0].waits {
			renewed = renewed[1:]
		}
		l.mu.Unlock()
		if len(renewed) == 0 {
			return nil
		}
		if err := l.note(ctx, r); err != nil {
			return err
		}
	}
}
