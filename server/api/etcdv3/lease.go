package etcdv3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
)

// leaseServer is etcdserverpb.Lease.
type leaseServer struct {
	*Server
	pb.UnsafeLeaseServer
}

// LeaseGrant begins a lease, of an ID that the client chooses or leaves to us.
func (s *leaseServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if r.TTL > kv.MaxLeaseTTL {
		return nil, rpctypes.ErrGRPCLeaseTTLTooLarge
	}
	do := kv.GrantLease{ID: kv.LeaseID(r.ID), TTL: max(r.TTL, s.shortestTTL())}
	for do.ID == 0 {
		do.ID = kv.LeaseID(rand.Int64())
	}
	result, err := s.propose(ctx, do)
	if err != nil {
		return nil, err
	}
	return &pb.LeaseGrantResponse{Header: s.header(result.Revision), ID: int64(do.ID), TTL: do.TTL}, nil
}

// shortestTTL is etcd's, in seconds: one and a half election timeouts. A lease that
// lives no longer would not outlive the leader whom its client has lost.
func (s *Server) shortestTTL() int64 {
	least := s.Limits.Election * 3 / 2
	return int64((least + time.Second - 1) / time.Second)
}

// LeaseRevoke ends a lease and deletes its keys.
func (s *leaseServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	result, err := s.propose(ctx, kv.RevokeLease{ID: kv.LeaseID(r.ID)})
	if err != nil {
		return nil, err
	}
	return &pb.LeaseRevokeResponse{Header: s.header(result.Revision)}, nil
}

// LeaseKeepAlive renews the leases that a client names until the client ends: those
// that wait together with one round to a majority. That a lease is gone is a TTL of
// zero.
func (s *leaseServer) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	requests := keepAlives(stream)
	for {
		ids, last := together(stream.Context(), requests)
		answers, err := s.renew(stream.Context(), ids)
		for _, answer := range answers {
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
		switch {
		case err != nil:
			return err
		case errors.Is(last, io.EOF):
			return nil
		case last != nil:
			return last
		}
	}
}

type keepAlive struct {
	id  int64
	err error
}

// keepAlives lets a stream be waited for together with its end: Recv ends only with
// the client's.
func keepAlives(stream pb.Lease_LeaseKeepAliveServer) <-chan keepAlive {
	requests := make(chan keepAlive, lease.MostRenewed)
	go func() {
		for {
			r, err := stream.Recv()
			select {
			case requests <- keepAlive{r.GetID(), err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return requests
}

// together waits for a request and takes those that have come meanwhile, in their
// order, up to the first error.
func together(ctx context.Context, requests <-chan keepAlive) (ids []int64, err error) {
	select {
	case r := <-requests:
		for {
			if r.err != nil {
				return ids, r.err
			}
			ids = append(ids, r.id)
			if len(ids) == lease.MostRenewed {
				return ids, nil
			}
			select {
			case r = <-requests:
			default:
				return ids, nil
			}
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// renew renews leases up to the first that its client may not, which is the error.
func (s *leaseServer) renew(ctx context.Context, ids []int64) (answers []*pb.LeaseKeepAliveResponse, refused error) {
	state, err := s.Machine.State()
	if err != nil {
		return nil, readError(err)
	}
	// Whatever happens to the store from here on is later than the header says.
	var leases []kv.LeaseID
	for _, id := range ids {
		if refused = s.permit(ctx, kv.MayWrite, kv.LeaseID(id)); refused != nil {
			break
		}
		leases = append(leases, kv.LeaseID(id))
	}
	if len(leases) == 0 {
		return nil, refused
	}
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	ttls, err := lease.Renew(waiting, s.Group, leases...)
	if err != nil {
		return nil, s.unserved(ctx, err)
	}
	for i, ttl := range ttls {
		answers = append(answers, &pb.LeaseKeepAliveResponse{Header: s.header(state.Revision), ID: ids[i], TTL: ttl})
	}
	return answers, refused
}

// LeaseTimeToLive says how long a lease still lives, and which keys it has. That it
// is gone is a TTL below zero.
func (s *leaseServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	// Only the keys are a secret.
	var lookedAt []kv.LeaseID
	if r.Keys {
		lookedAt = append(lookedAt, kv.LeaseID(r.ID))
	}
	if err := s.permit(ctx, kv.MayRead, lookedAt...); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	left, err := lease.Remaining(waiting, s.Group, kv.LeaseID(r.ID))
	gone := errors.Is(err, kv.ErrLeaseNotFound)
	if err != nil && !gone {
		return nil, s.unserved(ctx, err)
	}
	// The leader has spoken; now this node must know as much.
	if err := s.await(ctx); err != nil {
		return nil, err
	}
	state, err := s.Machine.State()
	if err != nil {
		return nil, readError(err)
	}
	is, err := s.Machine.Lease(kv.LeaseID(r.ID))
	if err != nil {
		return nil, readError(err)
	}
	answer := &pb.LeaseTimeToLiveResponse{Header: s.header(state.Revision), ID: r.ID, TTL: -1}
	if gone || is == nil {
		return answer, nil
	}
	answer.TTL, answer.GrantedTTL = left, is.TTL
	if r.Keys {
		by, err := s.caller(ctx)
		if err != nil {
			return nil, err
		}
		// They may be others by now.
		if answer.Keys, err = s.Machine.For(by).LeaseKeys(is.ID); err != nil {
			return nil, readError(err)
		}
	}
	return answer, nil
}

// LeaseLeases lists all leases, in the order in which they were granted.
func (s *leaseServer) LeaseLeases(ctx context.Context, _ *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := s.await(ctx); err != nil {
		return nil, err
	}
	state, err := s.Machine.State()
	if err != nil {
		return nil, readError(err)
	}
	all, err := s.Machine.Leases(0)
	if err != nil {
		return nil, readError(err)
	}
	answer := &pb.LeaseLeasesResponse{Header: s.header(state.Revision)}
	ids := make([]kv.LeaseID, len(all))
	for i, g := range all {
		ids[i] = g.ID
	}
	if err := s.permit(ctx, kv.MayRead, ids...); err != nil {
		return nil, err
	}
	for _, g := range all {
		answer.Leases = append(answer.Leases, &pb.LeaseStatus{ID: int64(g.ID)})
	}
	return answer, nil
}

// permit refuses a client that may not access all the keys that are attached to leases.
func (s *leaseServer) permit(ctx context.Context, access kv.Access, ids ...kv.LeaseID) error {
	by, err := s.caller(ctx)
	if err != nil {
		return err
	}
	if err := s.Machine.For(by).PermitLeases(access, ids...); err != nil {
		return readError(err)
	}
	return nil
}
