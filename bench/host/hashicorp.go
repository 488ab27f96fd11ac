package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// hashi is groups of hashicorp/raft, which knows nothing of hosts: each replica has
// its own log and its own connections.
type hashi struct {
	dir    string
	groups [][replicas]hashiReplica
}

type hashiReplica struct {
	raft      *raft.Raft
	log       *wal.WAL
	transport *raft.NetworkTransport
}

func openHashicorp(dir string, groups int) (cluster, error) {
	return &hashi{dir: dir, groups: make([][replicas]hashiReplica, groups)}, nil
}

func (c *hashi) start(group, node int) error {
	g := &c.groups[group]
	var members raft.Configuration
	for i := range g {
		transport, err := raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
			MaxPool: 3, Timeout: 10 * time.Second, Logger: hclog.NewNullLogger(),
		})
		if err != nil {
			return err
		}
		g[i].transport = transport
		members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint(i)), Address: transport.LocalAddr()})
	}
	for i := range g {
		if err := g[i].start(filepath.Join(c.dir, fmt.Sprint(group), fmt.Sprint(i)), members, i); err != nil {
			return err
		}
	}
	want := members.Servers[node]
	return until("lead a group of hashicorp's", func() (bool, error) {
		for i := range g {
			if g[i].raft.State() == raft.Leader && i != node {
				return false, g[i].raft.LeadershipTransferToServer(want.ID, want.Address).Error()
			}
		}
		return g[node].raft.State() == raft.Leader, nil
	})
}

// start runs one replica, tuned for throughput: many entries to a message, many
// proposals to a batch, the last ones in memory, no snapshots.
func (r *hashiReplica) start(dir string, members raft.Configuration, i int) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if r.log, err = wal.Open(dir, wal.WithLogger(hclog.NewNullLogger())); err != nil {
		return err
	}
	cached, err := raft.NewLogCache(4096, r.log)
	if err != nil {
		return err
	}
	cfg := raft.DefaultConfig()
	cfg.LocalID = members.Servers[i].ID
	cfg.Logger = hclog.NewNullLogger()
	cfg.MaxAppendEntries = 1024
	cfg.BatchApplyCh = true
	cfg.SnapshotThreshold = math.MaxUint64
	cfg.SnapshotInterval = time.Hour
	cfg.NoLegacyTelemetry = true
	r.raft, err = raft.NewRaft(cfg, still{}, cached, r.log, raft.NewDiscardSnapshotStore(), r.transport)
	if err != nil {
		return err
	}
	return r.raft.BootstrapCluster(members).Error()
}

func (c *hashi) propose(group, node int, command []byte) error {
	return c.groups[group][node].raft.Apply(command, attempt).Error()
}

func (c *hashi) close() (err error) {
	for g := range c.groups {
		for _, r := range c.groups[g] {
			if r.raft != nil {
				err = errors.Join(err, r.raft.Shutdown().Error())
			}
			if r.transport != nil {
				err = errors.Join(err, r.transport.Close())
			}
			if r.log != nil {
				err = errors.Join(err, r.log.Close())
			}
		}
	}
	return err
}

// still is a state machine without a state.
type still struct{}

func (still) Apply(*raft.Log) any                  { return nil }
func (still) ApplyBatch(logs []*raft.Log) []any    { return make([]any, len(logs)) }
func (still) Snapshot() (raft.FSMSnapshot, error)  { return still{}, nil }
func (still) Restore(from io.ReadCloser) error     { return from.Close() }
func (still) Persist(sink raft.SnapshotSink) error { return sink.Close() }
func (still) Release()                             {}
