package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/watch"
	"github.com/quorate-db/quorate/timing"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// oneNode is a group of one that commits at once: the real machine, and a log
// that can be told to fail. What a group does over several nodes is shown by the
// tests of package node and end to end.
type oneNode struct {
	machine *kv.Machine

	mu     sync.Mutex
	index  raft.Index
	status quorate.Status
	fail   error // what Propose, Read, Change and Transfer answer instead
	block  bool  // Propose and Read wait for the end of their context

	missed []kv.ChangeRights // committed, and not yet applied here: Read catches up
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

func (n *oneNode) Read(ctx context.Context) (raft.Index, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
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

func (n *oneNode) Stats() (wal.Status, transport.Stats) {
	return wal.Status{Segments: 4, Spares: 2, Moved: 77, SyncMode: "fdatasync", LastSync: 5 * time.Millisecond}, transport.Stats{Peers: []transport.PeerStats{
		{ID: 5, State: transport.Connected, RoundTrip: time.Millisecond, Dropped: 6, RoundTrips: histogram(time.Millisecond, time.Second)},
	}}
}

func (n *oneNode) Vitals() quorate.Vitals {
	v := quorate.Vitals{Pending: 56, DiskFree: 99, DiskFull: true, DiskStalls: 3, SlowPeers: 8, PeersRefused: 2, LogBytes: 55, SyncTrial: vfs.Trial{Fdatasync: 2 * time.Millisecond, DSync: time.Millisecond}}
	v.Committed.Counts[11], v.Committed.Counts[23], v.Committed.Sum = 4, 1, 20*time.Second
	return v
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
	if to == 0 {
		to = n.status.Config.Members[len(n.status.Config.Members)-1].ID
	}
	if n.fail == nil && !n.status.Config.Voter(to) {
		return raft.ErrNotVoter
	}
	if n.fail == nil {
		n.status.Leader = to
	}
	return n.fail
}

func (n *oneNode) set(change func(*oneNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

var testLimits = Limits{KeyBytes: 64, ValueBytes: 1000, Learners: 1, Requests: 8, RequestTimeout: time.Minute}

func histogram(all ...time.Duration) timing.Histogram {
	var l timing.Live
	for _, d := range all {
		l.Add(d)
	}
	return l.Now()
}

// serve returns a node that leads a cluster of one, and its server.
func serve(t *testing.T, limits Limits) (*oneNode, *httptest.Server) {
	t.Helper()
	machine, err := kv.New(store.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	self := quorate.Member{ID: 1, Role: membership.Voter, Address: "127.0.0.1:2380", Info: members.Info{Name: "a"}.String()}
	n := &oneNode{machine: machine, status: quorate.Status{Status: raft.Status{
		ID: 1, Role: raft.Leader, Leader: 1, Term: 3, Commit: 7, Config: membership.New(self),
	}}}
	web := httptest.NewServer(New(Options{
		Name: "a", ClusterID: 0xc, Version: "v0", Log: n, Cluster: n, Host: n, Machine: machine, Limits: limits,
		Keeper: auth.New(auth.Options{Machine: machine, TTL: time.Minute, Cost: 4}),
		Logger: slog.New(slog.DiscardHandler),
		Ready:  func() error { return n.Status().Err },

		EtcdNames: true,

		Seen: func() Seen {
			return Seen{LeaderChanges: 2, FailedProposals: 3, FailedReads: 4, SlowBatches: 5, DiskBytes: 4096, Commits: histogram(3 * time.Millisecond), Watching: watch.Counts{Streams: 6, Watchers: 7, Behind: 1}}
		},
		Flight: func(w io.Writer) error {
			if err := n.trouble(t.Context()); err != nil {
				return err
			}
			_, err := w.Write([]byte("recorded\x00"))
			return err
		},
	}))
	t.Cleanup(web.Close)
	return n, web
}

// answered is an answer that was read to its end.
type answered struct {
	status int
	header http.Header
	body   string
}

// do sends a request. Headers are "Name: value".
func do(t *testing.T, web *httptest.Server, method, path, body string, headers ...string) answered {
	t.Helper()
	req, err := http.NewRequest(method, web.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, string(text)}
}

// want fails the test unless the status is the expected one.
func (a answered) want(t *testing.T, status int) answered {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d; body %s", a.status, status, a.body)
	}
	return a
}

// problem fails the test unless the answer is this kind of problem, told in one
// sentence.
func (a answered) problem(t *testing.T, code wire.Code) wire.Problem {
	t.Helper()
	var p wire.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("status %d, not a problem: %s", a.status, a.body)
	}
	if p.Code != code || p.Status != a.status || a.status != wire.KindOf(code).Status || a.header.Get("Content-Type") != wire.ProblemType {
		t.Fatalf("status %d and problem %+v, want %s", a.status, p, code)
	}
	if p.Detail == "" || strings.Contains(p.Detail, "\n") || p.Type != "urn:quorate:problem:"+string(code) {
		t.Fatalf("problem %+v is not told in one line", p)
	}
	return p
}

func decode[T any](t *testing.T, a answered) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

var errDisk = errors.New("the disk is on fire")
