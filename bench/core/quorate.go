package main

import (
	"fmt"

	"github.com/quorate-db/quorate/bench/core/load"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// ours is a replica on quorate's core.
type ours struct {
	core    *raft.Raft
	id      raft.NodeID
	busy    bool // there were inputs since the last Drain
	index   raft.Index
	applied int
}

func newOurs(electionTicks int) *load.Cluster[raft.Message] {
	saved := must(raft.Bootstrap(membership.New(
		membership.Member{ID: 1, Role: membership.Voter},
		membership.Member{ID: 2, Role: membership.Voter},
		membership.Member{ID: 3, Role: membership.Voter},
	)))
	return load.NewCluster(func(id uint64) load.Node[raft.Message] {
		core := must(raft.New(raft.Config{ID: raft.NodeID(id), Seed: id, ElectionTicks: electionTicks}, saved))
		return &ours{core: core, id: raft.NodeID(id), index: raft.BootstrapID.Index}
	})
}

func (n *ours) Tick()     { n.core.Tick(); n.busy = true }
func (n *ours) Campaign() { n.core.Campaign(); n.busy = true }

func (n *ours) Step(m *raft.Message) {
	check(n.core.Step(*m))
	n.busy = true
}

func (n *ours) Propose(command []byte) {
	must(n.core.Propose(command))
	n.busy = true
}

func (n *ours) Drain(net *load.Net[raft.Message]) bool {
	if !n.busy {
		return false
	}
	fx := n.core.Take()
	send(net, fx.Send)
	send(net, fx.SendAfter) // the log is the storage: what was taken is durable
	n.apply(n.core.Entries(n.index, fx.Commit, ^uint64(0)))
	if n.busy = !fx.Write.Empty(); n.busy {
		n.core.Persisted(fx.WriteID)
	}
	return true
}

func send(net *load.Net[raft.Message], messages []raft.Message) {
	for i := range messages {
		net.Send(uint64(messages[i].To), &messages[i])
	}
}

func (n *ours) apply(entries []raft.Entry) {
	if len(entries) == 0 {
		return
	}
	for i := range entries {
		if entries[i].Kind == raft.Command {
			n.applied++
		}
	}
	n.index = entries[len(entries)-1].Index
	n.core.Applied(n.index)
}

func (n *ours) Leads() bool {
	leader, _ := n.core.Leader()
	return leader == n.id
}

func (n *ours) Applied() int { return n.applied }

func (n *ours) Compact(keep int) {
	if n.index <= raft.Index(keep) {
		return
	}
	check(n.core.Compact(n.index - raft.Index(keep)))
	n.busy = true
}

// A core that refuses what this program asks of it is not what we came to measure.
func check(err error) {
	if err != nil {
		panic(fmt.Errorf("bench: %w", err))
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}
