package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/transport/certs"
)

// alone is a group of one without a log: what is proposed is applied. It stands
// behind the real HTTP API and the real state machine, so that scripts see what
// a user sees, in milliseconds.
type alone struct {
	mu      sync.Mutex
	machine *kv.Machine
	config  membership.Config
	applied raft.Index
}

const aloneID quorate.NodeID = 0xa1

func (a *alone) Propose(_ context.Context, command []byte) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.applied++
	batch := []quorate.Command{{Index: a.applied, Data: command}}
	err := a.machine.Apply(batch)
	return batch[0].Result, err
}

func (a *alone) Read(context.Context) (raft.Index, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.applied, nil
}

func (a *alone) Status() quorate.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	var s quorate.Status
	s.ID, s.Leader, s.Role, s.Term = aloneID, aloneID, raft.Leader, 1
	s.Commit, s.Applied, s.Config = a.applied, a.applied, a.config
	return s
}

func (a *alone) Change(_ context.Context, change membership.Change) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, err := a.config.Apply(change)
	if err == nil {
		a.config = next
	}
	return err
}

func (a *alone) Transfer(_ context.Context, to quorate.NodeID) error {
	if to != 0 && to != aloneID {
		return raft.ErrNotVoter
	}
	return nil
}

// single serves a cluster of one until the script ends, over mutual TLS if it is
// told so; QUORATE_ENDPOINTS names it.
func single(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 || len(args) == 1 && args[0] != "tls" {
		ts.Fatalf("usage: single [tls]")
	}
	machine, err := kv.New(store.NewMemory())
	ts.Check(err)
	a := &alone{machine: machine}
	a.config = membership.New(quorate.Member{
		ID:      aloneID,
		Role:    membership.Voter,
		Address: "127.0.0.1:2380",
		Info:    members.Info{Name: "alone", ClientURLs: []string{"http://127.0.0.1:2379"}}.String(),
	})
	api := httpapi.New(httpapi.Options{
		Name: "alone", ClusterID: 0xc1, Version: "test",
		Log: a, Cluster: a, Machine: machine,
		Limits: httpapi.Limits{KeyBytes: 16, ValueBytes: 64, Requests: 16, RequestTimeout: 5 * time.Second},
		Logger: slog.New(slog.DiscardHandler),
		Ready:  func() error { return nil },
	})
	server := httptest.NewUnstartedServer(api)
	scheme := "http://"
	if len(args) == 1 {
		source, err := certs.Load(certs.Files{Cert: ts.Getenv("CERT"), Key: ts.Getenv("KEY"), CA: ts.Getenv("CA")}, nil)
		ts.Check(err)
		server.Listener = httpapi.NewDoorkeeper(source, httpapi.TLS{}, slog.New(slog.DiscardHandler)).Guard(server.Listener)
		scheme = "https://"
	}
	server.Start()
	ts.Defer(server.Close)
	ts.Setenv("HOSTPORT", server.Listener.Addr().String())
	ts.Setenv("QUORATE_ENDPOINTS", scheme+server.Listener.Addr().String())
}
