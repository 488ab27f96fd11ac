package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/client"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"

	"github.com/quorate-db/quorate/internal/freeport"
)

// dragon is three NodeHosts of dragonboat.
type dragon struct {
	hosts    [replicas]*dragonboat.NodeHost
	members  map[uint64]dragonboat.Target
	sessions []*client.Session       // of each group
	done     [replicas]atomic.Uint64 // entries that the nodes' state machines have seen
}

func openDragonboat(dir string, groups int) (cluster, error) {
	addresses, err := freeport.Addresses(replicas)
	if err != nil {
		return nil, err
	}
	c, err := openDragonboatAt(dir, groups, addresses)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func openDragonboatAt(dir string, groups int, addresses []string) (*dragon, error) {
	for _, name := range []string{"config", "dragonboat", "logdb", "pebblekv", "raft", "raftpb", "registry", "rsm", "server", "settings", "tan", "transport"} {
		logger.GetLogger(name).SetLevel(logger.CRITICAL)
	}
	c := &dragon{members: map[uint64]dragonboat.Target{}, sessions: make([]*client.Session, groups)}
	for i, address := range addresses {
		c.members[uint64(i+1)] = address
		host, err := dragonboat.NewNodeHost(config.NodeHostConfig{
			NodeHostDir: filepath.Join(dir, fmt.Sprint(i)), RaftAddress: address,
			RTTMillisecond: 50, Expert: expert(groups),
		})
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.hosts[i] = host
	}
	return c, nil
}

// expert is the best that was found for so many groups: all in one shard, so that
// their writes share a sync, and the store whose log is quickest. That is tan for
// few groups; it gives each group a file of its own, which many pay for.
func expert(groups int) config.ExpertConfig {
	e := config.ExpertConfig{Engine: config.GetDefaultEngineConfig(), LogDB: config.GetDefaultLogDBConfig()}
	e.Engine.ExecShards, e.LogDB.Shards = 1, 1
	if groups <= fewGroups {
		e.LogDBFactory = tan.Factory
	}
	return e
}

const fewGroups = 4

func (c *dragon) start(group, node int) error {
	shard, want := uint64(group+1), uint64(node+1)
	for i, h := range c.hosts {
		err := h.StartReplica(c.members, false, c.machine, config.Config{
			ShardID: shard, ReplicaID: uint64(i + 1),
			ElectionRTT: 10, HeartbeatRTT: 1, CheckQuorum: true, PreVote: true, Quiesce: true,
		})
		if err != nil {
			return err
		}
	}
	c.sessions[group] = c.hosts[0].GetNoOPSession(shard)
	return until("lead a group of dragonboat's", func() (bool, error) {
		leader, _, known, err := c.hosts[node].GetLeaderID(shard)
		if err != nil || !known || leader == want {
			return known && leader == want, err
		}
		return false, c.hosts[leader-1].RequestLeaderTransfer(shard, want)
	})
}

func (c *dragon) propose(group, node int, command []byte) error {
	request, err := c.hosts[node].Propose(c.sessions[group], command, attempt)
	if err != nil {
		return err
	}
	defer request.Release()
	if result := <-request.ResultC(); !result.Completed() {
		return errors.New("dragonboat has not completed a proposal")
	}
	return nil
}

func (c *dragon) close() error {
	for _, h := range c.hosts {
		if h != nil {
			h.Close()
		}
	}
	return nil
}

func (c *dragon) machine(_, replica uint64) statemachine.IStateMachine {
	return inert{&c.done[replica-1]}
}

// inert is a state machine without a state. It counts.
type inert struct{ done *atomic.Uint64 }

func (i inert) Update(statemachine.Entry) (statemachine.Result, error) {
	i.done.Add(1)
	return statemachine.Result{}, nil
}
func (inert) Lookup(any) (any, error) { return nil, nil }
func (inert) SaveSnapshot(io.Writer, statemachine.ISnapshotFileCollection, <-chan struct{}) error {
	return nil
}
func (inert) RecoverFromSnapshot(io.Reader, []statemachine.SnapshotFile, <-chan struct{}) error {
	return nil
}
func (inert) Close() error { return nil }
