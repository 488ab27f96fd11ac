package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// tick is the unit of time of the bare cores.
const tick = 10 * time.Millisecond

// cores are a group without anything around it: what a core writes is durable at
// once, and messages arrive at the next tick, but for one in twenty that is lost.
type cores struct {
	rng     *rand.Rand
	nodes   []*raft.Raft
	flying  []raft.Message
	arrived []raft.Message
}

// bare lets so many cores run for a while and returns how many entries they have
// committed.
func bare(n int, span time.Duration) (raft.Index, error) {
	c := &cores{rng: rand.New(rand.NewPCG(1, 2))}
	var members []membership.Member
	for id := raft.NodeID(1); id <= raft.NodeID(n); id++ {
		members = append(members, membership.Member{ID: id, Role: membership.Voter})
	}
	first, err := raft.Bootstrap(membership.New(members...))
	if err != nil {
		return 0, err
	}
	for id := raft.NodeID(1); id <= raft.NodeID(n); id++ {
		core, err := raft.New(raft.Config{ID: id, Seed: uint64(id), HeartbeatTicks: 5, ElectionTicks: 15}, first)
		if err != nil {
			return 0, err
		}
		c.nodes = append(c.nodes, core)
	}
	for at := range int(span / tick) {
		if err := c.step(at); err != nil {
			return 0, err
		}
	}
	return c.nodes[0].Brief().Commit, nil
}

// step lets one tick pass.
func (c *cores) step(at int) error {
	c.arrived, c.flying = c.flying, c.arrived[:0]
	for i := range c.arrived {
		m := c.arrived[i]
		lost := c.rng.IntN(20) == 0
		if m.Kind == raft.InstallSnapshot { // who carries snapshots says what became of them
			c.nodes[m.From-1].SnapshotSent(m.To, map[bool]raft.Index{false: m.Snapshot.ID.Index}[lost])
		}
		if lost {
			continue
		}
		if err := c.nodes[m.To-1].Step(m); err != nil {
			return fmt.Errorf("a core refused a message: %w", err)
		}
	}
	for i, core := range c.nodes {
		core.Tick()
		if at%2 == 0 && core.Brief().Role == raft.Leader {
			if _, err := core.Propose([]byte("sixteen bytes...")); err != nil && !errors.Is(err, raft.ErrBusy) && !errors.Is(err, raft.ErrTransferring) {
				return err
			}
		}
		c.take(core)
		if (at+i)%1000 == 0 {
			if err := core.Compact(core.Status().Applied); err != nil && !errors.Is(err, raft.ErrCompacted) {
				return err
			}
		}
	}
	return nil
}

// take carries out what a core wants until it wants nothing more.
func (c *cores) take(core *raft.Raft) {
	for {
		fx := core.Take()
		c.flying = append(c.flying, fx.Send...)
		c.flying = append(c.flying, fx.SendAfter...)
		if fx.Commit > 0 {
			core.Applied(fx.Commit)
		}
		if fx.Write.Empty() {
			return
		}
		core.Persisted(fx.WriteID)
	}
}
