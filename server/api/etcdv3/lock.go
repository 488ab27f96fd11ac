package etcdv3

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/api/lockpb"
)

// lockServer is v3lockpb.Lock.
type lockServer struct {
	*turns
	lockpb.UnsafeLockServer
}

// errSessionExpired is etcd's.
var errSessionExpired = status.Error(codes.Unknown, "mutex: session is expired")

// Lock waits until it is the client's turn. To lock twice with one lease is to lock
// once.
func (s *lockServer) Lock(ctx context.Context, r *lockpb.LockRequest) (*lockpb.LockResponse, error) {
	t, err := s.stand(ctx, r.Name, r.Lease, nil)
	if err != nil {
		return nil, asClient(err)
	}
	if t.first {
		return &lockpb.LockResponse{Header: t.header, Key: t.key}, nil
	}
	if err := s.await(ctx, t); err != nil {
		_, _ = s.leave(ctx, t.key, t.since) // if it stays, it ends with its lease
		return nil, asClient(err)
	}
	// Its own key may have been deleted, or ended with its lease, before those others.
	is, err := s.keys.Range(ctx, &pb.RangeRequest{Key: t.key})
	if err != nil {
		_, _ = s.leave(ctx, t.key, t.since) // likewise
		return nil, asClient(err)
	}
	if len(is.Kvs) == 0 || is.Kvs[0].CreateRevision != t.since {
		return nil, errSessionExpired
	}
	return &lockpb.LockResponse{Header: is.Header, Key: t.key}, nil
}

// Unlock deletes the key that Lock has answered with.
func (s *lockServer) Unlock(ctx context.Context, r *lockpb.UnlockRequest) (*lockpb.UnlockResponse, error) {
	deleted, err := s.keys.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: r.Key})
	if err != nil {
		return nil, asClient(err)
	}
	return &lockpb.UnlockResponse{Header: deleted.Header}, nil
}
