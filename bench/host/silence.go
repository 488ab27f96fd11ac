package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// mutable is the library's host on three nodes, of which one can fall silent: its
// connections stand, and nothing passes, as if its machine had lost its power.
type mutable struct {
	*ours
	mute  *mute
	heirs *heirs
}

func openMutable(dir string, groups int) (cluster, error) {
	m := &mutable{mute: &mute{}, heirs: &heirs{leaders: map[quorate.GroupID]raft.NodeID{}}}
	c, err := openOursWith(dir, groups, func(node int, cfg *quorate.Config) {
		switch node {
		case 0:
			cfg.Network = m.mute
		case 1:
			cfg.Observer = m.heirs
		}
	})
	if err != nil {
		return nil, err
	}
	m.ours = c
	return m, nil
}

// silence lets the first node fall silent, and returns after how many election
// timeouts all groups that it led have another leader as far as the second one knows.
func (m *mutable) silence() (timeouts float64, groups int, err error) {
	lost := m.heirs.await(m.hosts[0].ID())
	groups = len(lost.of)
	if groups == 0 {
		return 0, 0, errors.New("the first node leads no group")
	}
	begun := time.Now()
	m.mute.on.Store(true)
	select {
	case <-lost.none:
	case <-time.After(patience):
		return 0, groups, fmt.Errorf("of %d groups some have no other leader after %v", groups, patience)
	}
	return time.Since(begun).Seconds() / electionTimeout.Seconds(), groups, nil
}

// electionTimeout is the default of the library.
const electionTimeout = 150 * time.Millisecond

// heirs is told who leads on one host.
type heirs struct {
	mu      sync.Mutex
	leaders map[quorate.GroupID]raft.NodeID
	lost    *lost // nil: nobody waits
}

// lost are the groups that have only the leader that they are about to lose.
type lost struct {
	leader raft.NodeID
	of     map[quorate.GroupID]bool
	none   chan struct{} // closed when there are no more
}

func (h *heirs) await(leader raft.NodeID) *lost {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := &lost{leader: leader, of: map[quorate.GroupID]bool{}, none: make(chan struct{})}
	left := map[quorate.GroupID]bool{}
	for id, now := range h.leaders {
		if now == leader {
			all.of[id], left[id] = true, true
		}
	}
	h.lost = &lost{leader: leader, of: left, none: all.none}
	return all
}

// Decided implements [quorate.Observer].
func (h *heirs) Decided(group quorate.GroupID, core *raft.Raft, _ *raft.Effects) {
	leader, _ := core.Leader()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaders[group] = leader
	if h.lost == nil || leader == 0 || leader == h.lost.leader || !h.lost.of[group] {
		return
	}
	delete(h.lost.of, group)
	if len(h.lost.of) == 0 {
		close(h.lost.none)
		h.lost = nil
	}
}

// The rest of what an observer is told.
func (*heirs) Recovered(quorate.GroupID, *raft.Saved, raft.Index) {}
func (*heirs) Durable([]codec.Record)                             {}
func (*heirs) Applied(quorate.GroupID, []raft.Entry)              {}
func (*heirs) Restored(quorate.GroupID, raft.EntryID)             {}

// mute is the network of a node that can fall silent.
type mute struct{ on atomic.Bool }

func (m *mute) Listen(cfg transport.Config) (quorate.Transport, error) {
	cfg.Handler = deaf{cfg.Handler, m}
	t, err := transport.Listen(cfg)
	if err != nil {
		return nil, err
	}
	return dumb{t, m}, nil
}

type deaf struct {
	transport.Handler
	mute *mute
}

func (d deaf) Receive(from raft.NodeID, messages []codec.Envelope) {
	if !d.mute.on.Load() {
		d.Handler.Receive(from, messages)
	}
}

type dumb struct {
	*transport.Transport
	mute *mute
}

func (d dumb) Send(messages []codec.Envelope) {
	if !d.mute.on.Load() {
		d.Transport.Send(messages)
	}
}

func (d dumb) Addr() string { return d.Transport.Addr().String() }

func (d dumb) OpenStream(ctx context.Context, to raft.NodeID, header []byte) (quorate.Stream, error) {
	s, err := d.Transport.OpenStream(ctx, to, header)
	if err != nil {
		return nil, err
	}
	return s, nil
}
