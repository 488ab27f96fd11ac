package engine_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// A core learns of ticks late, and nobody may be able to tell: one cluster in which
// every core is told of each tick at once does the same in every step.
func TestTicksKeptBackMakeNoDifference(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			late, prompt := newPair(t, seed), newPair(t, seed)
			rng := rand.New(rand.NewPCG(seed, 2))
			for step := range 1500 {
				what, node, which := rng.IntN(100), rng.IntN(len(late.nodes)), rng.IntN(8)
				if step/150%4 == 3 { // nothing arrives for a while
					which = 0
				}
				late.step(what, node, which, false)
				prompt.step(what, node, which, true)
				if !reflect.DeepEqual(late.seen, prompt.seen) {
					t.Fatalf("step %d (%d on node %d):\nticks kept back: %+v\nticks at once:   %+v", step, what, node+1, late.seen, prompt.seen)
				}
			}
		})
	}
}

// pair is a group on a few engines, each with messages that wait for it.
type pair struct {
	t     *testing.T
	nodes []*engine.Engine
	inbox [][]codec.Envelope
	held  [][]engine.Written // writes that are under way
	batch engine.Batch
	seen  string // what the last step led to
}

func newPair(t *testing.T, seed uint64) *pair {
	rng := rand.New(rand.NewPCG(seed, 1))
	size := 1 + rng.IntN(4)
	p := &pair{t: t, inbox: make([][]codec.Envelope, size), held: make([][]engine.Written, size)}
	var members []membership.Member
	for id := range size {
		m := membership.Member{ID: raft.NodeID(id + 1), Role: membership.Voter, Priority: uint8(rng.IntN(2))}
		members = append(members, m)
	}
	beat := 2 + rng.IntN(5)
	cfg := raft.Config{Seed: seed, HeartbeatTicks: beat, ElectionTicks: 2*beat + rng.IntN(9), SleepTicks: rng.IntN(2) * 7, Lease: rng.IntN(2) == 0}
	for id := range size {
		saved, err := raft.Bootstrap(membership.New(members...))
		if err != nil {
			t.Fatal(err)
		}
		cfg.ID = raft.NodeID(id + 1)
		core, err := raft.New(cfg, saved)
		if err != nil {
			t.Fatal(err)
		}
		e := &engine.Engine{}
		if err := e.Add(1, core, raft.BootstrapID.Index); err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, e)
		p.drain(id)
	}
	return p
}

// step does one thing to one node; prompt: each core is told of a tick at once.
func (p *pair) step(what, node, which int, prompt bool) {
	e := p.nodes[node]
	switch {
	case what < 45:
		tick(e, prompt)
	case what < 75:
		if in := p.inbox[node]; len(in) > 0 {
			p.inbox[node] = in[1:]
			if which > 0 { // otherwise lost
				_ = e.Step(&in[0])
			}
		}
	case what < 88:
		if held := p.held[node]; len(held) > 0 {
			p.held[node] = held[1:]
			_ = e.Note(1, func(core *raft.Raft) bool { return core.Persisted(held[0].ID) })
		}
	default:
		_ = e.Do(1, func(core *raft.Raft) error { return p.ask(core, what, raft.NodeID(1+which%len(p.nodes))) })
		for range which % 3 { // ticks that come before the input's effects are taken
			tick(e, prompt)
		}
	}
	p.drain(node)
}

// tick lets time pass on a node; prompt: its core is told at once.
func tick(e *engine.Engine, prompt bool) {
	e.Tick()
	if prompt {
		e.Each(func(raft.GroupID, *raft.Raft) {})
	}
}

// ask gives a core one of the other inputs.
func (p *pair) ask(core *raft.Raft, what int, other raft.NodeID) (err error) {
	switch {
	case what < 93:
		_, err = core.Propose([]byte{byte(what)})
	case what < 96:
		_, err = core.Read()
	case what < 97:
		err = core.Transfer(other)
	case what < 98:
		core.Silent(other, 10)
	case what < 99:
		core.Alive(other)
	default:
		core.Unreachable(other)
	}
	return err
}

func (p *pair) drain(node int) {
	b := &p.batch
	p.nodes[node].Drain(b)
	p.seen = fmt.Sprintf("%+v %+v %+v %+v %+v %+v %+v", b.Send, b.After, b.Reads, b.Writes, b.Apply, b.Leaders, b.Fenced)
	for _, m := range append(b.Send, b.After...) {
		if to := m.Message.To - 1; len(p.inbox[to]) < 16 {
			p.inbox[to] = append(p.inbox[to], m)
		}
	}
	p.held[node] = append(p.held[node], b.Written...)
	for _, a := range b.Apply {
		last := a.Entries[len(a.Entries)-1].Index
		_ = p.nodes[node].Note(1, func(core *raft.Raft) bool { return core.Applied(last) })
	}
}
