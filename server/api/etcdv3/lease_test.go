package etcdv3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
)

func grant(t *testing.T, client pb.LeaseClient, id, ttl int64) *pb.LeaseGrantResponse {
	t.Helper()
	got, err := client.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// renew keeps one lease alive once and returns its TTL.
func renew(t *testing.T, client pb.LeaseClient, id int64) int64 {
	t.Helper()
	stream, err := client.LeaseKeepAlive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || got.ID != id || got.Header.Revision < 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	return got.TTL
}

// A lease from its beginning to its end, as a client sees it.
func TestTheLifeOfALease(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client, store := pb.NewLeaseClient(conn), pb.NewKVClient(conn)
	const shortest = 5400 // of an election timeout of an hour
	if got := grant(t, client, 7, 1); got.ID != 7 || got.TTL != shortest || got.Header.Revision != 1 {
		t.Errorf("a TTL too short: %v", got)
	}
	picked := grant(t, client, 0, 9000)
	if picked.ID <= 0 || picked.TTL != 9000 {
		t.Errorf("without an ID: %v", picked)
	}
	for _, key := range []string{"b", "a"} {
		if _, err := store.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Lease: 7}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
	if err != nil || got.GrantedTTL != shortest || got.TTL < shortest-1 || got.TTL > 2*shortest || fmt.Sprintf("%s", got.Keys) != "[a b]" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := client.LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: 7}); err != nil || len(got.Keys) != 0 {
		t.Errorf("keys that nobody asked for: %v, %v", got, err)
	}
	all, err := client.LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
	if err != nil || len(all.Leases) != 2 || all.Leases[0].ID != 7 || all.Leases[1].ID != picked.ID {
		t.Errorf("%v, %v", all, err)
	}
	if ttl := renew(t, client, 7); ttl != shortest {
		t.Errorf("renewed for %d", ttl)
	}
	if r, err := client.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: 7}); err != nil || r.Header.Revision != 4 {
		t.Errorf("%v, %v", r, err)
	}
	left, err := store.Range(t.Context(), &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Serializable: true})
	if err != nil || left.Count != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// Scenario W11: what is gone is not renewed.
func TestW11ALeaseThatIsGone(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := pb.NewLeaseClient(conn)
	grant(t, client, 7, 9000)
	if _, err := client.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: 7}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{7, 8, 0, -1} {
		if ttl := renew(t, client, id); ttl != 0 {
			t.Errorf("%d: renewed for %d", id, ttl)
		}
		got, err := client.LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
		if err != nil || got.TTL != -1 || got.GrantedTTL != 0 || len(got.Keys) != 0 {
			t.Errorf("%d: %v, %v", id, got, err)
		}
		if _, err := client.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: id}); !is(err, rpctypes.ErrGRPCLeaseNotFound) {
			t.Errorf("%d: %v", id, err)
		}
	}
}

func TestGrantsThatAreRefused(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := pb.NewLeaseClient(conn)
	grant(t, client, 7, 9000)
	for _, c := range []struct {
		r    *pb.LeaseGrantRequest
		want error
	}{
		{&pb.LeaseGrantRequest{ID: 7, TTL: 9000}, rpctypes.ErrGRPCLeaseExist},
		{&pb.LeaseGrantRequest{ID: 8, TTL: kv.MaxLeaseTTL + 1}, rpctypes.ErrGRPCLeaseTTLTooLarge},
		{&pb.LeaseGrantRequest{ID: 7, TTL: kv.MaxLeaseTTL + 1}, rpctypes.ErrGRPCLeaseTTLTooLarge},
	} {
		if _, err := client.LeaseGrant(t.Context(), c.r); !is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.r, err, c.want)
		}
	}
}

// A client that keeps its stream open does not keep the node from stopping.
func TestKeepAliveEndsWithTheServer(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	client := pb.NewLeaseClient(conn)
	grant(t, client, 7, 9000)
	stream, err := client.LeaseKeepAlive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: 7}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.TTL != 9000 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if !s.Close(context.Background()) {
		t.Error("cut off")
	}
	if _, err := stream.Recv(); !is(err, rpctypes.ErrGRPCStopped) {
		t.Error(err)
	}
}

// waiting is a keep-alive stream of a client who has sent all that it will, and has
// not ended.
type waiting struct {
	pb.Lease_LeaseKeepAliveServer
	ctx     context.Context
	ids     []int64
	read    chan struct{} // closed once all were
	answers chan *pb.LeaseKeepAliveResponse
}

func (w *waiting) Context() context.Context { return w.ctx }

func (w *waiting) Recv() (*pb.LeaseKeepAliveRequest, error) {
	if len(w.ids) == 0 {
		close(w.read)
		<-w.ctx.Done()
		return nil, w.ctx.Err()
	}
	id := w.ids[0]
	w.ids = w.ids[1:]
	return &pb.LeaseKeepAliveRequest{ID: id}, nil
}

func (w *waiting) Send(r *pb.LeaseKeepAliveResponse) error {
	w.answers <- r
	return nil
}

// Keep-alives that wait together share a round, up to a bound, and are answered in
// their order.
func TestKeepAlivesShareARound(t *testing.T) {
	node, s, conn := serve(t, testLimits)
	const all = lease.MostRenewed
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{ctx: ctx, read: make(chan struct{}), answers: make(chan *pb.LeaseKeepAliveResponse, all)}
	for id := range int64(all) {
		grant(t, pb.NewLeaseClient(conn), id+1, 9000)
		w.ids = append(w.ids, id+1)
	}
	renew(t, pb.NewLeaseClient(conn), 1) // the leader has begun to look after them
	node.mu.Lock()                       // no round goes on
	before := node.reads
	done := make(chan error)
	go func() { done <- (&leaseServer{Server: s}).LeaseKeepAlive(w) }()
	<-w.read
	node.mu.Unlock()
	for id := range int64(all) {
		if got := <-w.answers; got.ID != id+1 || got.TTL != 9000 {
			t.Errorf("answer %d: %v", id+1, got)
		}
	}
	node.mu.Lock()
	if rounds := node.reads - before; rounds > 2 {
		t.Errorf("%d rounds", rounds)
	}
	node.mu.Unlock()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What waits is taken up to the bound and up to an error, which comes after it.
func TestWhatWaitsTogether(t *testing.T) {
	requests := make(chan keepAlive, 2*lease.MostRenewed)
	for id := range int64(lease.MostRenewed + 2) {
		requests <- keepAlive{id: id}
	}
	requests <- keepAlive{err: io.EOF}
	if ids, err := together(t.Context(), requests); len(ids) != lease.MostRenewed || err != nil {
		t.Errorf("%d, %v", len(ids), err)
	}
	if ids, err := together(t.Context(), requests); len(ids) != 2 || ids[0] != lease.MostRenewed || err != io.EOF {
		t.Errorf("%v, %v", ids, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ids, err := together(ctx, requests); len(ids) != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", ids, err)
	}
}
