package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/auth"
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

func (a *alone) Reconfigure(_ context.Context, wish raft.Reconfiguration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, err := a.config.Apply(wish.Changes[0])
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

// single serves a cluster of one until the script ends, over mutual TLS or with
// rights enforced if it is told so: then root's password is "secret".
// QUORATE_ENDPOINTS names it.
func single(ts *testscript.TestScript, neg bool, args []string) {
	how := strings.Join(args, " ")
	if neg || how != "" && how != "tls" && how != "guarded" {
		ts.Fatalf("usage: single [tls|guarded]")
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
	keeper := auth.New(auth.Options{Machine: machine, TTL: time.Minute, Cost: 4})
	if how == "guarded" {
		a.guard(ts, keeper)
	}
	api := httpapi.New(httpapi.Options{
		Name: "alone", ClusterID: 0xc1, Version: "test",
		Log: a, Cluster: a, Machine: machine, Keeper: keeper,
		Limits: httpapi.Limits{KeyBytes: 16, ValueBytes: 64, Requests: 16, RequestTimeout: 5 * time.Second},
		Logger: slog.New(slog.DiscardHandler),
		Ready:  func() error { return nil },
	})
	paths := http.NewServeMux()
	paths.Handle("/", api)
	paths.HandleFunc("POST /v3/auth/authenticate", func(w http.ResponseWriter, r *http.Request) { authenticate(w, r, keeper) })
	server := httptest.NewUnstartedServer(paths)
	scheme := "http://"
	if how == "tls" {
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

// guard has rights enforced, with one user.
func (a *alone) guard(ts *testscript.TestScript, keeper *auth.Keeper) {
	hash, err := keeper.Hash(context.Background(), "secret")
	ts.Check(err)
	for _, do := range []kv.ChangeRights{
		{Kind: kv.AddRole, Role: "root"},
		{Kind: kv.AddUser, User: "root", Hash: hash},
		{Kind: kv.GrantRole, User: "root", Role: "root"},
		{Kind: kv.StartGuard, Hash: auth.NewKey()},
	} {
		result, err := a.Propose(context.Background(), kv.Command{By: kv.ThisNode, Do: do}.Encode())
		ts.Check(err)
		ts.Check(result.(*kv.Result).Err())
	}
}

// authenticate stands for the gateway to etcd's call, which the tests of package node
// and server/conformance have.
func authenticate(w http.ResponseWriter, r *http.Request, keeper *auth.Keeper) {
	var who struct{ Name, Password string }
	err := json.NewDecoder(r.Body).Decode(&who)
	token := ""
	if err == nil {
		token, err = keeper.Login(r.Context(), who.Name, who.Password)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"code":3,"message":%q}`, err)
		return
	}
	fmt.Fprintf(w, `{"token":%q}`, token)
}
