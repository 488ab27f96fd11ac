package engine

import (
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Batch is what a driver must do for all groups, in the order of the fields. It
// may start on the next batch while this one is being written, so long as
// batches reach the disk in the order in which they were drained.
type Batch struct {
	Send   []codec.Envelope // may leave at once
	Apply  []Apply          // hand to the state machines: durable here and committed
	Reads  []Read           // may be served once their index is applied
	Writes []codec.Record   // make durable, together

	// Once Writes are durable, and those of all batches before:
	After   []codec.Envelope // send
	Written []Written        // report with Persisted
	Install []Install        // load into the state machines

	Leaders []Leader  // of groups in which the term or the leader has changed
	Members []Members // of groups in which they have changed
	Fenced  []Fenced  // groups that were shut off
}

// Apply is committed entries of a group, each entry once and in order.
type Apply struct {
	Group   raft.GroupID
	Entries []raft.Entry
}

// Read is an answer to Raft.Read.
type Read struct {
	Group raft.GroupID
	raft.Read
}

// Written is a write to be reported with Raft.Persisted.
type Written struct {
	Group raft.GroupID
	ID    uint64
}

// Install is a snapshot that takes the place of a group's state.
type Install struct {
	Group    raft.GroupID
	Snapshot raft.Snapshot
}

// Leader is who leads a group in a term; zero while that is unknown.
type Leader struct {
	Group raft.GroupID
	Node  raft.NodeID
	Term  raft.Term
}

// Members is the membership that is in force in a group from now on.
type Members struct {
	Group  raft.GroupID
	Config membership.Config
}

// Fenced is a group that was shut off, and the invariant that was broken.
type Fenced struct {
	Group raft.GroupID
	Err   error
}

// Promises reports whether the batch has anything that involves the disk.
func (b *Batch) Promises() bool { return len(b.Writes)+len(b.After)+len(b.Install) > 0 }

// reset empties the batch and keeps its memory.
func (b *Batch) reset() {
	clear0(&b.Send)
	clear0(&b.Apply)
	clear0(&b.Reads)
	clear0(&b.Writes)
	clear0(&b.After)
	clear0(&b.Written)
	clear0(&b.Install)
	clear0(&b.Leaders)
	clear0(&b.Members)
	clear0(&b.Fenced)
}

// clear0 drops what the elements refer to, so that a reused batch keeps nothing
// alive. Most are empty already.
func clear0[T any](s *[]T) {
	if len(*s) > 0 {
		clear(*s)
		*s = (*s)[:0]
	}
}

// Drain puts into the batch what all inputs since the last call have made
// necessary, and nothing else.
func (e *Engine) Drain(b *Batch) {
	b.reset()
	for _, g := range e.active {
		e.pass(g) // an input may have come before a tick
		g.active = false
		var fx raft.Effects
		var entries []raft.Entry
		if g.fenced == nil {
			_ = g.run(func(core *raft.Raft) error { // what it returns is kept in g.fenced
				fx = core.Take()
				if fx.Install != nil {
					g.taken = fx.Install.ID.Index
				}
				entries = core.Entries(g.taken, fx.Commit, maxApply)
				return nil
			})
		}
		if g.fenced != nil {
			b.Fenced = append(b.Fenced, Fenced{g.id, g.fenced})
		} else {
			if e.Observe != nil {
				e.seen = fx
				e.Observe(g.id, g.core, &e.seen)
				e.seen = raft.Effects{}
			}
			g.collect(fx, entries, b)
		}
		e.schedule(g)
	}
	clear0(&e.active)
}

// collect adds one group's effects to the batch.
func (g *group) collect(fx raft.Effects, entries []raft.Entry, b *Batch) {
	b.Send = envelopes(b.Send, g.id, fx.Send)
	b.After = envelopes(b.After, g.id, fx.SendAfter)
	if !fx.Write.Empty() {
		b.Writes = append(b.Writes, codec.Record{Group: g.id, Write: fx.Write})
		b.Written = append(b.Written, Written{g.id, fx.WriteID})
	}
	if fx.Install != nil {
		b.Install = append(b.Install, Install{g.id, *fx.Install})
	}
	if len(entries) > 0 {
		b.Apply = append(b.Apply, Apply{g.id, entries})
		g.taken = entries[len(entries)-1].Index
	}
	for _, read := range fx.Reads {
		b.Reads = append(b.Reads, Read{g.id, read})
	}
	node, term := g.core.Leader()
	if leader := (Leader{g.id, node, term}); leader != g.leader {
		g.leader = leader
		b.Leaders = append(b.Leaders, leader)
	}
	if config, at := g.core.Members(); at != g.config {
		g.config = at
		b.Members = append(b.Members, Members{g.id, config})
	}
}

// maxApply is unbounded: entries are handed out as slices of the log, so that
// many cost no more than few.
const maxApply = ^uint64(0)

func envelopes(dst []codec.Envelope, id raft.GroupID, messages []raft.Message) []codec.Envelope {
	dst = slices.Grow(dst, len(messages))
	for i := range messages {
		dst = append(dst, codec.Envelope{Group: id, Message: messages[i]})
	}
	return dst
}
