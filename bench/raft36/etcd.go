package main

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/quorate-db/quorate/bench/core/load"
)

// etcd is a replica on etcd's core, driven as its documentation says.
// ../core/etcd.go is the same for the version after, whose messages are pointers.
type etcd struct {
	core    *raft.RawNode
	storage *raft.MemoryStorage
	id      uint64
	index   uint64
	applied int
}

func newEtcd(electionTicks int) *load.Cluster[raftpb.Message] {
	return load.NewCluster(func(id uint64) load.Node[raftpb.Message] {
		storage := raft.NewMemoryStorage()
		check(storage.ApplySnapshot(raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{
			Index: 1, Term: 1, ConfState: raftpb.ConfState{Voters: []uint64{1, 2, 3}},
		}}))
		core, err := raft.NewRawNode(&raft.Config{
			ID: id, Storage: storage, Applied: 1, Logger: silent{&raft.DefaultLogger{}},
			ElectionTick: electionTicks, HeartbeatTick: 1, PreVote: true, CheckQuorum: true,
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 512, // of etcd's own server
		})
		check(err)
		return &etcd{core: core, storage: storage, id: id, index: 1}
	})
}

func (n *etcd) Tick()                  { n.core.Tick() }
func (n *etcd) Campaign()              { check(n.core.Campaign()) }
func (n *etcd) Step(m *raftpb.Message) { check(n.core.Step(*m)) }
func (n *etcd) Propose(command []byte) { check(n.core.Propose(command)) }
func (n *etcd) Applied() int           { return n.applied }
func (n *etcd) Leads() bool            { return n.core.BasicStatus().RaftState == raft.StateLeader }

func (n *etcd) Drain(net *load.Net[raftpb.Message]) bool {
	if !n.core.HasReady() {
		return false
	}
	rd := n.core.Ready()
	if !raft.IsEmptyHardState(rd.HardState) {
		check(n.storage.SetHardState(rd.HardState))
	}
	check(n.storage.Append(rd.Entries))
	for i := range rd.Messages {
		net.Send(rd.Messages[i].To, &rd.Messages[i])
	}
	for i := range rd.CommittedEntries {
		e := &rd.CommittedEntries[i]
		if e.Type == raftpb.EntryNormal && len(e.Data) > 0 {
			n.applied++
		}
		n.index = e.Index
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

// A core that refuses what this program asks of it is not what we came to measure.
func check(err error) {
	if err != nil {
		panic(fmt.Errorf("raft36: %w", err))
	}
}
