package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/timing"
)

// seen is what a node has seen since it started.
type seen struct {
	leaders atomic.Uint64 // changes of the leader
	learner atomic.Bool   // this member is a learner

	proposals, reads atomic.Uint64 // that failed
	slow             atomic.Uint64 // batches that took long to be applied
	commits          timing.Live   // of the store
	tally            tally
}

// report is what of it is shown to who watches nodes.
func (n *node) report() httpapi.Seen {
	return httpapi.Seen{
		LeaderChanges: n.seen.leaders.Load(), FailedProposals: n.seen.proposals.Load(), FailedReads: n.seen.reads.Load(),
		SlowBatches: n.seen.slow.Load(), Commits: n.seen.commits.Now(), DiskBytes: n.store.Size(), Watching: n.hub.Counts(),
		Done: n.seen.tally.now(), Leases: n.lessor.Counts(),
	}
}

// seenGroup is the group, seen by those who ask it for something on behalf of clients.
type seenGroup struct {
	*quorate.Group
	seen *seen
}

func noted(failures *atomic.Uint64, err error) error {
	if err != nil {
		failures.Add(1)
	}
	return err
}

// Propose is [quorate.Group.Propose].
func (g seenGroup) Propose(ctx context.Context, command []byte) (any, error) {
	result, err := g.Group.Propose(ctx, command)
	if r, is := result.(*kv.Result); is && r != nil {
		g.seen.tally.answered(r.Answered())
	}
	return result, noted(&g.seen.proposals, err)
}

// ProposeIn is [quorate.Group.ProposeIn].
func (g seenGroup) ProposeIn(ctx context.Context, term raft.Term, command []byte) (any, error) {
	result, err := g.Group.ProposeIn(ctx, term, command)
	return result, noted(&g.seen.proposals, err)
}

// Read is [quorate.Group.Read].
func (g seenGroup) Read(ctx context.Context) (raft.Index, error) {
	index, err := g.Group.Read(ctx)
	return index, noted(&g.seen.reads, err)
}

// slowBatch is how long commands that are applied together may take before they count as
// slow. It is etcd's for one.
const slowBatch = 100 * time.Millisecond

// seenMachine is the state machine, timed.
type seenMachine struct {
	lease.Machine
	seen *seen
}

// Apply is [kv.Machine.Apply].
func (m seenMachine) Apply(batch []quorate.Command) error {
	began := time.Now()
	err := m.Machine.Apply(batch)
	if time.Since(began) > slowBatch {
		m.seen.slow.Add(1)
	}
	return err
}

// seenStore is the store, whose commits are timed.
type seenStore struct {
	kv.Store
	seen *seen
}

// Batch is [kv.Store.Batch].
func (s seenStore) Batch() kv.Batch { return &seenBatch{s.Store.Batch(), s.seen} }

type seenBatch struct {
	kv.Batch
	seen *seen
}

// Commit is [kv.Batch.Commit].
func (b *seenBatch) Commit() error {
	began := time.Now()
	err := b.Batch.Commit()
	b.seen.commits.Add(time.Since(began))
	return err
}
