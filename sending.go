package quorate

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// How many snapshots a host sends at once, and how many of them to one follower. Who comes
// later is tried again, after a while. A follower that takes what it is sent slowly, or
// whose disk stands still, must leave room for the others.
const (
	maxSending   = 4
	maxSendingTo = maxSending / 2
)

var errManySnapshots = errors.New("quorate: this host sends as many snapshots as it may at once; it is tried again")

// sending is the snapshots that a host sends, of all its groups.
type sending struct {
	mu   sync.Mutex
	open int            // under way
	to   map[NodeID]int // each of them
	kept atomic.Int32   // views of transfers that broke off
	pace pace
}

func (s *sending) begin(to NodeID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxSending || s.to[to] >= maxSendingTo {
		return errManySnapshots
	}
	if s.to == nil {
		s.to = map[NodeID]int{}
	}
	s.open++
	s.to[to]++
	return nil
}

func (s *sending) end(to NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.to[to]--; s.to[to] == 0 {
		delete(s.to, to)
	}
}

// keep reports whether one more view may be kept: no more of them than are sent at once.
func (s *sending) keep() bool {
	kept := s.kept.Add(1) <= maxSending
	if !kept {
		s.kept.Add(-1)
	}
	return kept
}

func (s *sending) letGo() { s.kept.Add(-1) }

// pace spreads bytes over time.
type pace struct {
	mu   sync.Mutex
	next time.Time // when everything that was let pass is paid for
}

// paceSlack is how far ahead bytes may be: shorter waits than that are not made.
const paceSlack = 20 * time.Millisecond

// take lets n bytes pass, at so many a second, and returns how long to wait with them.
func (p *pace) take(now time.Time, n int, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	cost := func(bytes int) time.Duration {
		return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
	}
	// Nobody has come for long; or the clock was set back, by more than all who send
	// at once can owe.
	if wait := p.next.Sub(now); wait < 0 || wait > paceSlack+cost(maxSending*pacedPiece) {
		p.next = now
	}
	p.next = p.next.Add(cost(n))
	if wait := p.next.Sub(now); wait > paceSlack {
		return wait
	}
	return 0
}

// paced writes no faster than the host may send snapshots.
type paced struct {
	to   io.Writer
	pace *pace
	rate int64 // bytes per second; negative: as fast as can be
	env  env.Env
	ctx  context.Context
}

// pacedPiece is how much is written between two looks at the time, in bytes.
const pacedPiece = 256 << 10

func (w *paced) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		n := min(len(p), pacedPiece)
		if w.rate > 0 {
			err = w.await(w.pace.take(w.env.Now(), n, w.rate))
		}
		if err == nil {
			n, err = w.to.Write(p[:n])
			written, p = written+n, p[n:]
		}
	}
	return written, err
}

func (w *paced) await(d time.Duration) error {
	if d == 0 {
		return nil
	}
	timer := w.env.NewTimer(d)
	defer timer.Stop()
	if w.env.Wait(timer, w.ctx.Done(), nil, nil) != 0 {
		return w.ctx.Err()
	}
	return nil
}

// snapshots are the transfers to followers that are under way, or broke off and may go
// on: after which entry the log must go on for who has received it.
type snapshots map[NodeID]*transfer

// pinned is the entry up to which the log may be compacted, so that whoever is being
// sent a snapshot does not need another one when it has arrived. A log that would become
// too long for that, by more than so many entries or bytes, is compacted all the same; and
// then nothing is kept any more for whom it was too long.
func (s snapshots) pinned(core *raft.Raft, upTo raft.Index, count, limit uint64) raft.Index {
	from := upTo
	for _, t := range s { //order: the least is looked for
		if t.at >= core.Base().Index {
			from = min(from, t.at)
		}
	}
	if from >= upTo || uint64(upTo-from) > count {
		return upTo
	}
	if raft.SizeOf(core.Entries(from, upTo, ^uint64(0))) > limit {
		return upTo
	}
	return from
}

// pinnedSnapshots is how much of the log may be pinned, in distances between snapshots.
const pinnedSnapshots = 4
