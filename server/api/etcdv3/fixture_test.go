package etcdv3

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/server/watch"
)

// oneNode is a group of one that commits at once: the real machine, and a log that
// can be told to fail. Real groups are in package node and in server/conformance.
type oneNode struct {
	machine *kv.Machine
	lessor  *lease.Lessor

	mu     sync.Mutex
	index  raft.Index
	status quorate.Status
	fail   error // what Propose, Read, Reconfigure and Transfer answer instead
	block  bool  // Propose and Read wait for the end of their context

	missed  []kv.ChangeRights // committed, and not yet applied here: Read catches up
	learner bool
	reads   int // linearizable ones
}

func (n *oneNode) Propose(ctx context.Context, command []byte) (any, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.trouble(ctx); err != nil {
		return nil, err
	}
	n.index++
	batch := []quorate.Command{{Index: n.index, Data: command}}
	err := n.machine.Apply(batch)
	return batch[0].Result, err
}

func (n *oneNode) ProposeIn(ctx context.Context, _ raft.Term, command []byte) (any, error) {
	return n.Propose(ctx, command)
}

func (n *oneNode) Ask(ctx context.Context, question []byte) ([]byte, error) {
	for {
		answer, err := n.lessor.Answer(ctx, question)
		if !errors.Is(err, raft.ErrNotLeader) {
			return answer, err
		}
		runtime.Gosched() // it has just begun
	}
}

func (n *oneNode) Read(ctx context.Context) (raft.Index, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads++
	for _, do := range n.missed {
		n.index++
		batch := []quorate.Command{{Index: n.index, Data: kv.Command{By: kv.ThisNode, Do: do}.Encode()}}
		if err := n.machine.Apply(batch); err != nil {
			return 0, err
		}
	}
	n.missed = nil
	return n.index, n.trouble(ctx)
}

func (n *oneNode) trouble(ctx context.Context) error {
	if n.block {
		<-ctx.Done()
		return ctx.Err()
	}
	return n.fail
}

func (n *oneNode) Status() quorate.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

func (n *oneNode) Leader() (quorate.NodeID, raft.Term) {
	s := n.Status()
	return s.Leader, s.Term
}

func (n *oneNode) Reconfigure(ctx context.Context, wish raft.Reconfiguration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.trouble(ctx); err != nil {
		return err
	}
	next, err := n.status.Config.Apply(wish.Changes[0])
	if err == nil {
		n.status.Config = next
	}
	return err
}

func (n *oneNode) Transfer(_ context.Context, to quorate.NodeID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail == nil && to != 0 && !n.status.Config.Voter(to) {
		return raft.ErrNotVoter
	}
	if n.fail == nil && to != 0 { // zero is any voter
		n.status.Leader = to
	}
	return n.fail
}

func (n *oneNode) set(change func(*oneNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

func (n *oneNode) isLearner() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.learner
}

var testLimits = Limits{RequestBytes: 1000, TxnOps: 4, Learners: 1, Requests: 8, RequestTimeout: time.Minute, WatchProgress: time.Hour, Election: time.Hour}

// serve returns a node that leads a cluster of one, its server, and a connection
// to it.
func serve(t *testing.T, limits Limits) (*oneNode, *Server, *grpc.ClientConn) {
	t.Helper()
	machine, err := kv.New(store.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	hub, err := watch.New(machine, env.Real(), watch.Usual)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	self := quorate.Member{ID: 7, Role: membership.Voter, Address: "127.0.0.1:2380",
		Info: members.Info{Name: "a", ClientURLs: []string{"http://127.0.0.1:2379"}}.String()}
	n := &oneNode{machine: machine, status: quorate.Status{Status: raft.Status{
		ID: 7, Role: raft.Leader, Leader: 7, Term: 3, Commit: 5, Applied: 4, Config: membership.New(self),
	}}}
	n.lessor = lease.New(lease.Options{Machine: machine, Env: env.Real(), Election: limits.Election, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var lessor sync.WaitGroup
	lessor.Go(func() { n.lessor.Run(ctx, 7, n) })
	t.Cleanup(func() {
		cancel()
		lessor.Wait()
	})
	s := New(Options{
		ClusterID: 12, MemberID: 7, Group: n, Machine: machine, Hub: hub, Keeper: auth.New(auth.Options{Machine: machine, TTL: time.Minute, Cost: 4}), Limits: limits, PeerScheme: "http",
		Logger:  slog.New(slog.DiscardHandler),
		Learner: n.isLearner,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return n, s, conn
}
