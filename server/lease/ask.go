package lease

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
)

// A question is what is asked (1 byte) and the leases (8 bytes each, big endian). The
// answer is a varint for each: seconds, below zero if the lease is gone.
const (
	askRenew byte = iota + 1
	askRemaining
)

const gone = -1

// Asker puts a question to the leader's [Lessor]; a *quorate.Group.
type Asker interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
}

// MostRenewed is how many leases may be renewed together.
const MostRenewed = 256

// Renew lets leases, at most MostRenewed, live for their whole TTL from now on, all
// with one round to a majority. It returns the TTLs in seconds, zero for a lease that
// is not known or has run out. Errors are those of Ask; there may have been renewals
// all the same.
func Renew(ctx context.Context, group Asker, ids ...kv.LeaseID) ([]int64, error) {
	return ask(ctx, group, askRenew, ids)
}

// Remaining returns for how many whole seconds a lease still lives, unless it is
// renewed. The error is [kv.ErrLeaseNotFound] if the lease is not known or has run
// out; others are those of Ask.
func Remaining(ctx context.Context, group Asker, id kv.LeaseID) (int64, error) {
	left, err := ask(ctx, group, askRemaining, []kv.LeaseID{id})
	switch {
	case err != nil:
		return 0, err
	case left[0] < 0:
		return 0, kv.ErrLeaseNotFound
	}
	return left[0], nil
}

func ask(ctx context.Context, group Asker, what byte, ids []kv.LeaseID) ([]int64, error) {
	question := append(make([]byte, 0, 1+8*len(ids)), what)
	for _, id := range ids {
		question = binary.BigEndian.AppendUint64(question, uint64(id))
	}
	answer, err := group.Ask(ctx, question)
	if err != nil {
		return nil, err
	}
	seconds, rest := make([]int64, len(ids)), answer
	for i := range seconds {
		n := 0
		if seconds[i], n = binary.Varint(rest); n <= 0 {
			return nil, fmt.Errorf("lease: the leader's answer %x cannot be read; it may run another version", answer)
		}
		rest = rest[n:]
		if what == askRenew {
			seconds[i] = max(0, seconds[i])
		}
	}
	return seconds, nil
}

// Answer implements [quorate.Answerer].
func (l *Lessor) Answer(ctx context.Context, question []byte) ([]byte, error) {
	n := len(question) / 8
	if n < 1 || n > MostRenewed || len(question) != 1+8*n || question[0] != askRenew && question[0] != askRemaining {
		return nil, errors.New("lease: the question cannot be read; it may come from another version")
	}
	l.mu.Lock()
	group := l.group
	l.mu.Unlock()
	if group == nil {
		return nil, raft.ErrNotLeader // not yet
	}
	node, term := group.Leader()
	if node != l.node {
		return nil, raft.ErrNotLeader
	}
	if err := l.confirm(ctx, term); err != nil {
		return nil, err
	}
	grants := make([]*kv.Grant, n)
	for i := range grants {
		var err error
		if grants[i], err = l.Machine.Lease(kv.LeaseID(binary.BigEndian.Uint64(question[1+8*i:]))); err != nil {
			return nil, err
		}
	}
	return l.attend(ctx, term, grants, question[0] == askRenew)
}

// attend renews leases that the store has, or looks at them.
func (l *Lessor) attend(ctx context.Context, term raft.Term, grants []*kv.Grant, renew bool) ([]byte, error) {
	l.mu.Lock()
	r := l.reign
	if r == nil || r.term != term {
		l.mu.Unlock()
		l.wake() // who asks comes again, and should not have to wait long
		return nil, raft.ErrNotLeader
	}
	all, waiting := make([]*held, len(grants)), []*held(nil)
	for i, g := range grants {
		h := r.find(g, l.clock())
		if all[i] = h; h != nil && renew && !h.over() && r.renew(h, l.clock()) {
			waiting = append(waiting, h)
		}
	}
	l.mu.Unlock()
	if err := l.noted(ctx, r, waiting); err != nil {
		return nil, err
	}
	var answer []byte
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range all {
		seconds := int64(gone)
		switch {
		case h == nil, renew && h.over():
		case renew:
			seconds = h.TTL
			l.done.Renewed++
			if !h.short {
				r.renew(h, l.clock()) // its client counts from the answer on
			}
		default:
			seconds = int64(max(0, h.deadline-l.clock()) / time.Second)
		}
		answer = binary.AppendVarint(answer, seconds)
	}
	return answer, nil
}

// find finds the lease of a grant, nil if that is no more.
func (r *reign) find(g *kv.Grant, now time.Duration) *held {
	if g == nil {
		return nil
	}
	h := r.leases[g.ID]
	switch {
	case h == nil || h.Index < g.Index:
		return r.take(*g, now) // granted since the last round
	case h.Index > g.Index:
		return nil
	}
	return h
}
