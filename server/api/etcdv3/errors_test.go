package etcdv3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
)

// is reports whether an error is one of etcd's: its code and its text.
func is(err, want error) bool {
	got, is := status.Convert(err), status.Convert(want)
	return got.Code() == is.Code() && got.Message() == is.Message()
}

// notCommitted reports whether an error has the detail that says so.
func notCommitted(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Domain == ErrorDomain && info.Reason == NotCommitted {
			return true
		}
	}
	return false
}

func put1(conn pb.KVClient, ctx context.Context) error {
	_, err := conn.Put(ctx, &pb.PutRequest{Key: []byte("k")})
	return err
}

// What leaves open whether a write was done is Unavailable without a detail; what
// is certain has another code or the detail.
func TestOutcomesOfAWrite(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	cases := []struct {
		fail    error
		want    error
		certain bool
	}{
		{quorate.ErrUnknownOutcome, rpctypes.ErrGRPCTimeout, false},
		{fmt.Errorf("%w (%w)", quorate.ErrUnknownOutcome, context.DeadlineExceeded), rpctypes.ErrGRPCTimeout, false},
		{context.DeadlineExceeded, rpctypes.ErrGRPCTimeout, false},
		{quorate.ErrNoLeader, rpctypes.ErrGRPCNoLeader, true},
		{fmt.Errorf("%w: %w", quorate.ErrNoLeader, context.DeadlineExceeded), rpctypes.ErrGRPCNoLeader, true},
		{fmt.Errorf("%w: %w", quorate.ErrTooLate, context.DeadlineExceeded), rpctypes.ErrGRPCTimeout, true},
		{fmt.Errorf("%w: %w", quorate.ErrUnknownOutcome, quorate.ErrNoLeader), rpctypes.ErrGRPCTimeout, false},
		{raft.ErrNotLeader, rpctypes.ErrGRPCLeaderChanged, true},
		{quorate.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests, true},
		{quorate.ErrDiskFull, rpctypes.ErrGRPCNoSpace, true},
		{quorate.ErrClosed, rpctypes.ErrGRPCStopped, true},
		{quorate.ErrStopped, rpctypes.ErrGRPCStopped, true},
	}
	for _, c := range cases {
		n.set(func(n *oneNode) { n.fail = c.fail })
		if err := put1(client, t.Context()); !is(err, c.want) || notCommitted(err) != c.certain {
			t.Errorf("%v: %v, certain %v", c.fail, err, notCommitted(err))
		}
	}
	n.set(func(n *oneNode) { n.fail = errors.New("the disk is\non fire") })
	if err := put1(client, t.Context()); status.Code(err) != codes.Unavailable || notCommitted(err) || strings.Contains(err.Error(), "\n") {
		t.Errorf("unnamed: %v", err)
	}
}

// The client's own deadline is its own code; the server's is etcd's.
func TestTimeOut(t *testing.T) {
	limits := testLimits
	limits.RequestTimeout = time.Millisecond
	n, s, conn := serve(t, limits)
	n.set(func(n *oneNode) { n.block = true })
	if err := put1(pb.NewKVClient(conn), t.Context()); !is(err, rpctypes.ErrGRPCTimeout) {
		t.Errorf("the server's time: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.unserved(gone, context.Canceled); status.Code(err) != codes.Canceled {
		t.Errorf("the client went away: %v", err)
	}
}

// What a request that is refused before it reaches the log is told.
func TestRefusals(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	large := make([]byte, testLimits.RequestBytes)
	nested := &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a"), putOp("b"), putOp("c"), {Request: &pb.RequestOp_RequestTxn{
		RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{putOp("d")}}}}}}
	cases := map[string]struct {
		err  error
		want error
	}{
		"large put":        {second(client.Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: large})), rpctypes.ErrGRPCRequestTooLarge},
		"large key":        {second(client.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: large, RangeEnd: large})), rpctypes.ErrGRPCRequestTooLarge},
		"ops, nested":      {second(client.Txn(t.Context(), nested)), rpctypes.ErrGRPCTooManyOps},
		"unknown sort":     {second(client.Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), SortOrder: 9})), rpctypes.ErrGRPCInvalidSortOption},
		"no op":            {second(client.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{}}})), rpctypes.ErrGRPCKeyNotFound},
		"compact to none":  {second(client.Compact(t.Context(), &pb.CompactionRequest{})), rpctypes.ErrGRPCCompacted},
		"compact tomorrow": {second(client.Compact(t.Context(), &pb.CompactionRequest{Revision: 9})), rpctypes.ErrGRPCFutureRev},
		"unknown compare": {second(client.Txn(t.Context(), &pb.TxnRequest{Compare: []*pb.Compare{{Key: []byte("k"), Target: 9}}})),
			status.Error(codes.InvalidArgument, "etcdserver: a compare of target 9 and result 0 is not known")},
	}
	for name, c := range cases {
		if !is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func putOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key)}}}
}

func rangeOp(key string, serializable bool) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key), Serializable: serializable}}}
}

// Which reads ask the cluster.
func TestWhoAsksTheCluster(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	txn := func(then *pb.RequestOp, otherwise ...*pb.RequestOp) error {
		_, err := client.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{then}, Failure: otherwise})
		return err
	}
	cases := []struct {
		name string
		do   func() error
		asks int
	}{
		{"range", func() error { return second(client.Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})) }, 1},
		{"serializable range", func() error {
			return second(client.Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true}))
		}, 0},
		{"txn", func() error { return txn(rangeOp("k", false), rangeOp("k", true)) }, 1},
		{"serializable txn", func() error { return txn(rangeOp("k", true), rangeOp("k", true)) }, 0},
		{"txn of nothing", func() error { return second(client.Txn(t.Context(), &pb.TxnRequest{})) }, 1},
		{"txn that writes", func() error { return txn(rangeOp("k", true), putOp("k")) }, 0},
	}
	for _, c := range cases {
		n.set(func(n *oneNode) { n.reads = 0 })
		if err := c.do(); err != nil || n.reads != c.asks {
			t.Errorf("%s: asked %d times, want %d; %v", c.name, n.reads, c.asks, err)
		}
	}
}

// While a node has no leader, clients that demand one are sent away at once.
func TestLeaderRequired(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	if err := put1(client, ctx); err != nil {
		t.Error(err)
	}
	n.set(func(n *oneNode) { n.status.Leader = 0 })
	if err := put1(client, ctx); !is(err, rpctypes.ErrGRPCNoLeader) {
		t.Error(err)
	}
	parts, err := client.RangeStream(ctx, &pb.RangeRequest{Key: []byte("k")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parts.Recv(); !is(err, rpctypes.ErrGRPCNoLeader) {
		t.Error(err)
	}
}

// A learner answers with what it knows, and with nothing that a vote stands for.
func TestLearner(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	n.set(func(n *oneNode) { n.learner = true })
	if _, err := client.Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
		t.Error(err)
	}
	if s, err := pb.NewMaintenanceClient(conn).Status(t.Context(), &pb.StatusRequest{}); err != nil || !s.IsLearner {
		t.Error(s, err)
	}
	snapshot, err := pb.NewMaintenanceClient(conn).Snapshot(t.Context(), &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Recv(); err != nil {
		t.Error("a snapshot is refused:", err)
	}
	for _, err := range []error{put1(client, t.Context()), second(client.Range(t.Context(), &pb.RangeRequest{Key: []byte("k")}))} {
		if !is(err, rpctypes.ErrGRPCNotSupportedForLearner) {
			t.Error(err)
		}
	}
}
