package engine_test

import (
	"fmt"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/internal/cputime"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// BenchmarkGroups is what a command costs three nodes that hold so many groups, when
// each group has one under way: no two share a turn of its core. A disk is durable at
// once, and what is committed is applied at once.
func BenchmarkGroups(b *testing.B) {
	for _, groups := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			t := newTrio(b, groups)
			b.ResetTimer()
			spent := cputime.Now()
			for done := 0; done < b.N; done += groups {
				t.proposeEverywhere(b)
				for t.turn(b) {
				}
			}
			b.ReportMetric(float64((cputime.Now()-spent).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// trio is three engines with the same groups, all led by the first.
type trio struct {
	nodes  [3]engine.Engine
	inbox  [3][]codec.Envelope
	batch  engine.Batch
	groups int
}

func newTrio(b *testing.B, groups int) *trio {
	t := &trio{groups: groups}
	var members []membership.Member
	for id := range t.nodes {
		members = append(members, membership.Member{ID: raft.NodeID(id + 1), Role: membership.Voter})
	}
	for g := range groups {
		for id := range t.nodes {
			saved, err := raft.Bootstrap(membership.New(members...))
			if err != nil {
				b.Fatal(err)
			}
			core, err := raft.New(raft.Config{ID: raft.NodeID(id + 1)}, saved)
			if err != nil {
				b.Fatal(err)
			}
			if err := t.nodes[id].Add(raft.GroupID(g+1), core, raft.BootstrapID.Index); err != nil {
				b.Fatal(err)
			}
		}
	}
	t.nodes[0].Each(func(_ raft.GroupID, core *raft.Raft) { core.Campaign() })
	for t.turn(b) {
	}
	return t
}

var command = make([]byte, 128)

func (t *trio) proposeEverywhere(b *testing.B) {
	for g := range t.groups {
		err := t.nodes[0].Do(raft.GroupID(g+1), func(core *raft.Raft) error { _, err := core.Propose(command); return err })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// turn has each node look at what has come and carry it out, and reports whether
// anything had.
func (t *trio) turn(b *testing.B) (more bool) {
	for id := range t.nodes {
		e, in := &t.nodes[id], t.inbox[id]
		t.inbox[id] = nil
		for i := range in {
			if err := e.Step(&in[i]); err != nil {
				b.Fatal(err)
			}
		}
		e.Drain(&t.batch)
		t.post(t.batch.Send)
		t.post(t.batch.After)
		for _, w := range t.batch.Written {
			_ = e.Note(w.Group, func(core *raft.Raft) bool { return core.Persisted(w.ID) })
		}
		for _, a := range t.batch.Apply {
			last := a.Entries[len(a.Entries)-1].Index
			_ = e.Note(a.Group, func(core *raft.Raft) bool {
				core.Applied(last)
				if last%1024 == 0 {
					core.Compact(last - 512)
				}
				return false
			})
		}
		more = more || len(in)+len(t.batch.Send)+len(t.batch.Written) > 0
	}
	return more
}

func (t *trio) post(messages []codec.Envelope) {
	for _, m := range messages {
		to := m.Message.To - 1
		t.inbox[to] = append(t.inbox[to], m)
	}
}
