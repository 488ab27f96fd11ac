package etcdv3

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// Beyond the limit calls wait for a place; those for which none comes free are turned
// away, and say that nothing was done. Who asks how the node is does not wait.
func TestTooManyCalls(t *testing.T) {
	limits := testLimits
	limits.Requests, limits.RequestTimeout = 1, 50*time.Millisecond
	_, s, conn := serve(t, limits)
	s.rooms.calls.Try()
	if err := put1(pb.NewKVClient(conn), t.Context()); !is(err, rpctypes.ErrGRPCRequestTooManyRequests) || !notCommitted(err) {
		t.Error(err)
	}
	if _, err := pb.NewMaintenanceClient(conn).Status(t.Context(), &pb.StatusRequest{}); err != nil {
		t.Errorf("the status of a busy node: %v", err)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("the health of a busy node: %v", err)
	}
	s.rooms.calls.Leave()
	if err := put1(pb.NewKVClient(conn), t.Context()); err != nil {
		t.Error(err)
	}
}

// Many more calls than there are places are all answered.
func TestBurstOfCallsIsAnswered(t *testing.T) {
	limits := testLimits
	limits.Requests = 2
	_, s, conn := serve(t, limits)
	s.rooms.calls.Try()
	s.rooms.calls.Try()
	burst := 2 * queueing
	done := make(chan error, burst)
	for range burst {
		go func() { done <- put1(pb.NewKVClient(conn), t.Context()) }()
	}
	s.rooms.calls.Leave()
	s.rooms.calls.Leave()
	for range burst {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// As many streams as there may be are open on one connection, and calls go on beside
// them; the next stream is told that it is one too many.
func TestStreamsOfOneConnection(t *testing.T) {
	limits := testLimits
	limits.Requests = 2
	_, _, conn := serve(t, limits)
	open := func() error {
		w, err := pb.NewWatchClient(conn).Watch(t.Context())
		if err != nil {
			return err
		}
		create := &pb.WatchCreateRequest{Key: []byte("a")}
		if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			return err
		}
		_, err = w.Recv()
		return err
	}
	for range streams * limits.Requests {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one stream more: %v", err)
	}
	if err := put1(pb.NewKVClient(conn), t.Context()); err != nil {
		t.Errorf("a call beside so many streams: %v", err)
	}
}
