package etcdv3

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/api/lockpb"
)

func leased(t *testing.T, conn *grpc.ClientConn, id int64) {
	t.Helper()
	if _, err := pb.NewLeaseClient(conn).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: 1000}); err != nil {
		t.Fatal(err)
	}
}

// queued waits until so many keys stand below a name.
func queued(t *testing.T, conn *grpc.ClientConn, name string, want int64) {
	t.Helper()
	for {
		r, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte(name + "/"), RangeEnd: []byte(name + "0"), CountOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if r.Count == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// locking locks on a goroutine of its own, and tells of the key or the error.
func locking(ctx context.Context, conn *grpc.ClientConn, name string, lease int64) <-chan string {
	got := make(chan string, 1)
	go func() {
		r, err := lockpb.NewLockClient(conn).Lock(ctx, &lockpb.LockRequest{Name: []byte(name), Lease: lease})
		if err != nil {
			got <- status.Code(err).String() + ": " + status.Convert(err).Message()
			return
		}
		got <- string(r.Key)
	}()
	return got
}

// Those who wait, as many as calls may be in progress, get the lock in the order in
// which they came. They keep nobody out but on their own connection.
func TestLockPassesOn(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	crowd, err := grpc.NewClient(conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer crowd.Close()
	client := lockpb.NewLockClient(conn)
	held, err := client.Lock(t.Context(), &lockpb.LockRequest{Name: []byte("l")})
	if err != nil || held.Header.Revision != 2 {
		t.Fatalf("%v, %v", held, err)
	}
	key := held.Key
	var waiting []<-chan string
	for i := range testLimits.Requests {
		leased(t, conn, int64(i+1))
		waiting = append(waiting, locking(t.Context(), crowd, "l", int64(i+1)))
		queued(t, conn, "l", int64(i+2))
	}
	for i, got := range waiting {
		select {
		case key := <-got:
			t.Fatalf("%d did not wait: %s", i, key)
		default:
		}
		if _, err := client.Unlock(t.Context(), &lockpb.UnlockRequest{Key: key}); err != nil {
			t.Fatal(err)
		}
		key = []byte(<-got)
		if want := fmt.Sprintf("l/%x", i+1); string(key) != want {
			t.Fatalf("the key is %s, want %s", key, want)
		}
	}
	again, err := client.Lock(t.Context(), &lockpb.LockRequest{Name: []byte("l"), Lease: int64(len(waiting))})
	if err != nil || string(again.Key) != string(key) {
		t.Errorf("locked twice: %v, %v", again, err)
	}
}

// Who gives up, and whose lease ends, stands in nobody's way.
func TestLockIsGivenUp(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	for id := range int64(4) {
		leased(t, conn, id+1)
	}
	if key := <-locking(t.Context(), conn, "l", 1); key != "l/1" {
		t.Fatal(key)
	}
	ctx, cancel := context.WithCancel(t.Context())
	patient := locking(ctx, conn, "l", 2)
	queued(t, conn, "l", 2)
	doomed := locking(t.Context(), conn, "l", 3)
	queued(t, conn, "l", 3)
	last := locking(t.Context(), conn, "l", 4)
	queued(t, conn, "l", 4)
	cancel()
	if got := <-patient; got != "Canceled: context canceled" {
		t.Error(got)
	}
	queued(t, conn, "l", 3)
	for _, id := range []int64{3, 1} {
		if _, err := pb.NewLeaseClient(conn).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-doomed; got != "Unknown: mutex: session is expired" {
		t.Error(got)
	}
	if got := <-last; got != "l/4" {
		t.Error(got)
	}
	if got := <-locking(t.Context(), conn, "l", 77); got != "Unknown: etcdserver: requested lease not found" {
		t.Error(got)
	}
	if _, err := lockpb.NewLockClient(conn).Unlock(t.Context(), &lockpb.UnlockRequest{}); status.Convert(err).Message() != "etcdserver: key is not provided" {
		t.Error(err)
	}
}

// A node that closes does not wait for those who wait.
func TestLockEndsWithTheNode(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	leased(t, conn, 1)
	<-locking(t.Context(), conn, "l", 1)
	leased(t, conn, 2)
	waiting := locking(t.Context(), conn, "l", 2)
	queued(t, conn, "l", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if !s.Close(ctx) {
		t.Error("somebody had to be cut off")
	}
	if got := <-waiting; got != "Unavailable: etcdserver: server stopped" {
		t.Error(got)
	}
}

func TestElection(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := lockpb.NewElectionClient(conn)
	name := []byte("e")
	observed, err := client.Observe(t.Context(), &lockpb.LeaderRequest{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		r, err := observed.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s=%s at %d", r.Kv.Key, r.Kv.Value, r.Header.Revision); got != want {
			t.Errorf("observed %s, want %s", got, want)
		}
	}
	if _, err := client.Leader(t.Context(), &lockpb.LeaderRequest{Name: name}); status.Convert(err).Message() != "election: no leader" {
		t.Error(err)
	}
	leased(t, conn, 10)
	leased(t, conn, 11)
	first, err := client.Campaign(t.Context(), &lockpb.CampaignRequest{Name: name, Lease: 10, Value: []byte("x")})
	if err != nil || string(first.Leader.Key) != "e/a" || first.Leader.Rev != 2 || first.Leader.Lease != 10 {
		t.Fatalf("%v, %v", first, err)
	}
	expect("e/a=x at 2")
	second := make(chan *lockpb.CampaignResponse, 1)
	go func() {
		r, err := client.Campaign(t.Context(), &lockpb.CampaignRequest{Name: name, Lease: 11, Value: []byte("z")})
		if err != nil {
			t.Error(err)
		}
		second <- r
	}()
	queued(t, conn, "e", 2)
	if r, err := client.Proclaim(t.Context(), &lockpb.ProclaimRequest{Leader: first.Leader, Value: []byte("y")}); err != nil || r.Header.Revision != 4 {
		t.Errorf("%v, %v", r, err)
	}
	expect("e/a=y at 4")
	// To campaign again is to proclaim.
	if r, err := client.Campaign(t.Context(), &lockpb.CampaignRequest{Name: name, Lease: 10, Value: []byte("y2")}); err != nil || r.Leader.Rev != 2 {
		t.Errorf("%v, %v", r, err)
	}
	expect("e/a=y2 at 5")
	if r, err := client.Leader(t.Context(), &lockpb.LeaderRequest{Name: name}); err != nil || string(r.Kv.Value) != "y2" {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := client.Resign(t.Context(), &lockpb.ResignRequest{Leader: first.Leader}); err != nil {
		t.Error(err)
	}
	if r := <-second; r.GetLeader().GetRev() != 3 {
		t.Errorf("the next is %v", r)
	}
	expect("e/b=z at 6")
	if _, err := client.Proclaim(t.Context(), &lockpb.ProclaimRequest{Leader: first.Leader}); status.Code(err) != codes.Unknown || status.Convert(err).Message() != "election: not leader" {
		t.Error(err)
	}
	if _, err := client.Resign(t.Context(), &lockpb.ResignRequest{}); status.Convert(err).Message() != `"leader" field must be provided` {
		t.Error(err)
	}
}

// Who holds a lock and sleeps does not know that its lease has ended. What it writes
// then says which key it holds, created at which revision, and is refused.
func TestW15FencingByRevision(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	leased(t, conn, 1)
	write := func(key []byte, since int64) bool {
		t.Helper()
		r, err := pb.NewKVClient(conn).Txn(t.Context(), &pb.TxnRequest{
			Compare: []*pb.Compare{createdAt(key, since)},
			Success: []*pb.RequestOp{putting(&pb.PutRequest{Key: []byte("account"), Value: key})},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r.Succeeded
	}
	lock := func(lease int64) (key []byte, since int64) {
		t.Helper()
		r, err := lockpb.NewLockClient(conn).Lock(t.Context(), &lockpb.LockRequest{Name: []byte("l"), Lease: lease})
		if err != nil {
			t.Fatal(err)
		}
		return r.Key, r.Header.Revision
	}
	old, since := lock(1)
	if !write(old, since) {
		t.Error("the owner may not write")
	}
	if _, err := pb.NewLeaseClient(conn).LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if write(old, since) {
		t.Error("the old owner still writes")
	}
	leased(t, conn, 1) // the same name again
	again, later := lock(1)
	if string(again) != string(old) || write(old, since) || !write(again, later) {
		t.Errorf("the same lease ID locks %s since %d, before %s since %d", again, later, old, since)
	}
}
