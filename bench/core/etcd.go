package main

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-db/quorate/bench/core/load"
)

// etcd is a replica on etcd's core, driven as its documentation says.
// ../raft36/etcd.go is the same for an earlier version, whose messages are values.
type etcd struct {
	core    *raft.RawNode
	storage *raft.MemoryStorage
	id      uint64
	index   uint64
	applied int
}

func newEtcd(electionTicks int) *load.Cluster[*raftpb.Message] {
	return load.NewCluster(func(id uint64) load.Node[*raftpb.Message] {
		storage := raft.NewMemoryStorage()
		check(storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2, 3}},
		}}))
		core := must(raft.NewRawNode(&raft.Config{
			ID: id, Storage: storage, Applied: 1, Logger: silent{&raft.DefaultLogger{}},
			ElectionTick: electionTicks, HeartbeatTick: 1, PreVote: true, CheckQuorum: true,
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 512, // of etcd's own server
		}))
		return &etcd{core: core, storage: storage, id: id, index: 1}
	})
}

func (n *etcd) Tick()                   { n.core.Tick() }
func (n *etcd) Campaign()               { check(n.core.Campaign()) }
func (n *etcd) Step(m **raftpb.Message) { check(n.core.Step(*m)) }
func (n *etcd) Propose(command []byte)  { check(n.core.Propose(command)) }
func (n *etcd) Applied() int            { return n.applied }
func (n *etcd) Leads() bool             { return n.core.BasicStatus().RaftState == raft.StateLeader }

func (n *etcd) Drain(net *load.Net[*raftpb.Message]) bool {
	if !n.core.HasReady() {
		return false
	}
	rd := n.core.Ready()
	if !raft.IsEmptyHardState(rd.HardState) {
		check(n.storage.SetHardState(rd.HardState))
	}
	check(n.storage.Append(rd.Entries))
	for i, m := range rd.Messages {
		net.Send(m.GetTo(), &rd.Messages[i])
	}
	for _, e := range rd.CommittedEntries {
		if e.GetType() == raftpb.EntryNormal && len(e.Data) > 0 {
			n.applied++
		}
		n.index = e.GetIndex()
	}
	n.core.Advance(rd)
	return true
}

func (n *etcd) Compact(keep int) {
	if n.index > uint64(keep) {
		check(n.storage.Compact(n.index - uint64(keep)))
	}
}

// silent keeps what a core tells about elections from being written, or even
// formatted; it would cost more than they do.
type silent struct{ raft.Logger }

func (silent) Debug(...any)            {}
func (silent) Debugf(string, ...any)   {}
func (silent) Info(...any)             {}
func (silent) Infof(string, ...any)    {}
func (silent) Warning(...any)          {}
func (silent) Warningf(string, ...any) {}
