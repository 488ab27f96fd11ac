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

// A question is what is asked (1 byte) and the lease (8 bytes, big endian). The
// answer is a varint: seconds, below zero if the lease is gone.
const (
	askRenew byte = iota + 1
	askRemaining
)

const gone = -1

// Asker puts a question to the leader's [Lessor]; a *quorate.Group.
type Asker interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
}

// Renew lets a lease live for its whole TTL from now on, and returns that, in
// seconds. The error is [kv.ErrLeaseNotFound] if the lease is not known or has run
// out; others are those of Ask.
func Renew(ctx context.Context, group Asker, id kv.LeaseID) (int64, error) {
	return ask(ctx, group, askRenew, id)
}

// Remaining returns for how many whole seconds a lease still lives, unless it is
// renewed. Its errors are those of Renew.
func Remaining(ctx context.Context, group Asker, id kv.LeaseID) (int64, error) {
	return ask(ctx, group, askRemaining, id)
}

func ask(ctx context.Context, group Asker, what byte, id kv.LeaseID) (int64, error) {
	answer, err := group.Ask(ctx, binary.BigEndian.AppendUint64([]byte{what}, uint64(id)))
	if err != nil {
		return 0, err
	}
	seconds, n := binary.Varint(answer)
	switch {
	case n != len(answer) || n <= 0:
		return 0, fmt.Errorf("lease: the leader's answer %x cannot be read; it may run another version", answer)
	case seconds < 0:
		return 0, kv.ErrLeaseNotFound
	}
	return seconds, nil
}

// Answer implements [quorate.Answerer].
func (l *Lessor) Answer(ctx context.Context, question []byte) ([]byte, error) {
	if len(question) != 9 || question[0] != askRenew && question[0] != askRemaining {
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
	g, err := l.Machine.Lease(kv.LeaseID(binary.BigEndian.Uint64(question[1:])))
	if err != nil {
		return nil, err
	}
	seconds := int64(gone)
	if g != nil {
		seconds, err = l.attend(term, *g, question[0] == askRenew)
	}
	return binary.AppendVarint(nil, seconds), err
}

// attend renews a lease that the store has, or looks at it.
func (l *Lessor) attend(term raft.Term, g kv.Grant, renew bool) (seconds int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reign == nil || l.reign.term != term {
		l.wake() // who asks comes again, and should not have to wait long
		return 0, raft.ErrNotLeader
	}
	h := l.reign.leases[g.ID]
	switch {
	case h == nil || h.Index < g.Index:
		h = l.reign.take(g, l.clock()) // granted since the last round
	case h.Index > g.Index:
		return gone, nil
	}
	if !renew {
		return int64(max(0, h.deadline-l.clock()) / time.Second), nil
	}
	if h.over() {
		return gone, nil
	}
	// What a new leader has given it may reach further; the queue relies on it, too.
	h.deadline = max(h.deadline, l.clock()+time.Duration(g.TTL)*time.Second)
	return g.TTL, nil
}
