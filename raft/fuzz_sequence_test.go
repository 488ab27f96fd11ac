package raft_test

import (
	"math/rand/v2"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// FuzzSchedule lets the fuzzer choose what happens to a group of honest nodes: the
// schedules of TestRandomSchedules, guided by what code they reach. No lie is told,
// so that no invariant may break.
func FuzzSchedule(f *testing.F) {
	for seed := range uint64(20) {
		rng, choices := rand.New(rand.NewPCG(seed, 3)), make([]byte, 600)
		for i := range choices {
			choices[i] = byte(rng.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		choices := chosen{in: data, rest: rand.NewPCG(1, 4)}
		w := worldOf(t, 1, rand.New(&choices))
		for len(choices.in) > 0 {
			w.step()
			w.checkProperties()
		}
	})
}

// chosen is a source of randomness that says what the fuzzer wants, while that
// lasts: of every number, each byte.
type chosen struct {
	in   input
	rest rand.Source
}

func (c *chosen) Uint64() uint64 {
	if len(c.in) == 0 {
		return c.rest.Uint64()
	}
	return uint64(c.in.byte()) * 0x0101010101010101
}

// FuzzSequence gives one core, beside lies from anybody, everything that its own host
// may tell and ask, in any order, while its disk is slow and it crashes. Only what
// a liar can bring about may stop it; and it must start again from its disk.
func FuzzSequence(f *testing.F) {
	for first := range byte(len(hostOps) + 4) {
		data := []byte{first, 16, 15, 0, 16}
		for kind := raft.PreVote; kind <= raft.TimeoutNow; kind++ {
			data = append(append(data, first+byte(kind)), seedMessage(kind, first%6)...)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input(data)
		l := lonely(t, raft.Config{Lease: in.flag(), MaxInFlight: 2, MaxMessageBytes: 200})
		for len(in) > 0 && l.Node(1).Core != nil {
			l.act(&in)
		}
		if l.Node(1).Core != nil {
			l.Crash(1)
		}
		l.Start(1)
	})
}

// alone is a node among liars: the others of its group are down.
type alone struct {
	*rafttest.Cluster
	t *testing.T
}

func lonely(t *testing.T, cfg raft.Config) alone {
	l := alone{rafttest.New(3, 1, cfg), t}
	l.Crash(2)
	l.Crash(3)
	return l
}

// act does one thing: in one of two cases a lie, or else what a host does.
func (l alone) act(in *input) {
	defer l.stopped()
	core := l.Node(1).Core
	if what := int(in.byte()); what < 2*len(hostOps) && what%2 == 1 {
		hostOps[what/2](l, core, in)
	} else {
		m := in.message()
		if in.flag() { // near enough to be looked at
			m.Term = core.Status().Term + m.Term%3 - 1
		}
		_ = core.Step(m) // refused, or not
	}
	if in.flag() {
		l.Drain(1)
	}
	l.Wire = nil
}

func (l alone) stopped() {
	switch v := recover().(type) {
	case nil:
	case raft.Violation:
		if !provable.MatchString(v.Reason) {
			l.t.Fatal(v)
		}
		l.Crash(1)
	default:
		panic(v)
	}
}

// hostOps are what a host tells its core and asks of it.
var hostOps = []func(alone, *raft.Raft, *input){
	func(_ alone, core *raft.Raft, in *input) {
		for range in.byte() % 32 {
			core.Tick()
		}
	},
	func(l alone, _ *raft.Raft, in *input) { l.Node(1).Synced = in.flag() },
	func(l alone, _ *raft.Raft, _ *input) { l.Sync(1) },
	func(_ alone, core *raft.Raft, in *input) { _, _ = core.ProposeIn(raft.Term(in.number()), []byte("x")) },
	func(_ alone, core *raft.Raft, _ *input) { _, _ = core.Propose([]byte("y")) },
	func(_ alone, core *raft.Raft, _ *input) { _, _ = core.Read() },
	func(_ alone, core *raft.Raft, in *input) {
		wish := raft.Reconfiguration{Joint: in.flag(), Stay: in.flag(), Expect: raft.Index(in.number() % 3)}
		for range 1 + in.byte()%3 {
			m := membership.Member{ID: raft.NodeID(in.number()), Priority: in.byte() % 3}
			wish.Changes = append(wish.Changes, membership.Change{Kind: membership.ChangeKind(in.byte() % 7), Member: m})
		}
		_, _ = core.Reconfigure(wish)
	},
	func(_ alone, core *raft.Raft, _ *input) { _, _ = core.Leave() },
	func(_ alone, core *raft.Raft, in *input) { _ = core.Transfer(raft.NodeID(in.number())) },
	func(_ alone, core *raft.Raft, _ *input) { core.Resign() },
	func(_ alone, core *raft.Raft, _ *input) { core.Campaign() },
	func(_ alone, core *raft.Raft, in *input) { core.Forget(raft.NodeID(in.number())) },
	func(l alone, _ *raft.Raft, _ *input) { _ = l.Compact(1) },
	func(_ alone, core *raft.Raft, in *input) { _ = core.Compact(raft.Index(in.number())) },
	func(_ alone, core *raft.Raft, in *input) { core.Unreachable(raft.NodeID(in.number())) },
	func(_ alone, core *raft.Raft, in *input) {
		core.SnapshotSent(raft.NodeID(in.number()), raft.Index(in.number()))
	},
	func(l alone, _ *raft.Raft, _ *input) {
		l.Crash(1)
		l.Start(1)
	},
}
