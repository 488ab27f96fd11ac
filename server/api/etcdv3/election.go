package etcdv3

import (
	"bytes"
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/api/lockpb"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/watch"
)

// electionServer is v3electionpb.Election.
type electionServer struct {
	*turns
	lockpb.UnsafeElectionServer
}

// These are etcd's.
var (
	errNotElected = status.Error(codes.Unknown, "election: not leader")
	errNobody     = status.Error(codes.Unknown, "election: no leader")
	errNoKey      = status.Error(codes.Unknown, `"leader" field must be provided`)
)

// Campaign waits until the client is elected. Who stands already may change its
// value so.
func (s *electionServer) Campaign(ctx context.Context, r *lockpb.CampaignRequest) (*lockpb.CampaignResponse, error) {
	t, err := s.stand(ctx, r.Name, r.Lease, r.Value)
	if err != nil {
		return nil, asClient(err)
	}
	if !bytes.Equal(t.held, r.Value) {
		_, err = s.proclaim(ctx, t.key, t.since, t.lease, r.Value)
	}
	if err == nil {
		err = s.await(ctx, t)
	}
	if err != nil {
		_, _ = s.leave(ctx, t.key, t.since) // if it stays, it ends with its lease
		return nil, asClient(err)
	}
	return &lockpb.CampaignResponse{
		Header: t.header,
		Leader: &lockpb.LeaderKey{Name: r.Name, Key: t.key, Rev: t.since, Lease: t.lease},
	}, nil
}

// Proclaim changes the value of who is elected, or stands.
func (s *electionServer) Proclaim(ctx context.Context, r *lockpb.ProclaimRequest) (*lockpb.ProclaimResponse, error) {
	if r.Leader == nil {
		return nil, errNoKey
	}
	header, err := s.proclaim(ctx, r.Leader.Key, r.Leader.Rev, r.Leader.Lease, r.Value)
	if err != nil {
		return nil, asClient(err)
	}
	return &lockpb.ProclaimResponse{Header: header}, nil
}

func (s *electionServer) proclaim(ctx context.Context, key []byte, since, lease int64, value []byte) (*pb.ResponseHeader, error) {
	done, err := s.keys.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{createdAt(key, since)},
		Success: []*pb.RequestOp{putting(&pb.PutRequest{Key: key, Value: value, Lease: lease})},
	})
	if err == nil && !done.Succeeded {
		err = errNotElected
	}
	return done.GetHeader(), err
}

// Leader says who is elected.
func (s *electionServer) Leader(ctx context.Context, r *lockpb.LeaderRequest) (*lockpb.LeaderResponse, error) {
	found, err := s.keys.Range(ctx, oldest(string(r.Name)+"/"))
	if err != nil {
		return nil, asClient(err)
	}
	if len(found.Kvs) == 0 {
		return nil, errNobody
	}
	return &lockpb.LeaderResponse{Header: found.Header, Kv: found.Kvs[0]}, nil
}

// Resign gives up the office, or the wish for it.
func (s *electionServer) Resign(ctx context.Context, r *lockpb.ResignRequest) (*lockpb.ResignResponse, error) {
	if r.Leader == nil {
		return nil, errNoKey
	}
	header, err := s.leave(ctx, r.Leader.Key, r.Leader.Rev)
	if err != nil {
		return nil, asClient(err)
	}
	return &lockpb.ResignResponse{Header: header}, nil
}

// Observe tells who is elected, each time that somebody is, and each value that it
// proclaims.
func (s *electionServer) Observe(r *lockpb.LeaderRequest, stream lockpb.Election_ObserveServer) error {
	ctx, prefix := stream.Context(), string(r.Name)+"/"
	send := func(h *pb.ResponseHeader, k *mvccpb.KeyValue) error {
		return stream.Send(&lockpb.LeaderResponse{Header: h, Kv: k})
	}
	for {
		found, err := s.keys.Range(ctx, oldest(prefix))
		if err != nil {
			return asClient(err)
		}
		header := found.Header
		var elected *mvccpb.KeyValue
		if len(found.Kvs) > 0 {
			elected = found.Kvs[0]
		} else if elected, err = s.firstPut(ctx, prefix, header.Revision+1); err != nil {
			return asClient(err)
		} else if elected == nil {
			continue
		} else {
			header = s.header(elected.ModRevision)
		}
		if err := send(header, elected); err != nil {
			return err
		}
		err = s.follow(ctx, watch.Spec{Key: elected.Key, From: header.Revision + 1}, func(e *watch.Event) (bool, error) {
			if e.Deleted() {
				return true, nil
			}
			return false, send(s.header(e.Mod), keyValue(&e.KV))
		})
		if err != nil {
			return asClient(err)
		}
	}
}

// firstPut waits for a key of the prefix; nil if its event could not be read any more.
func (s *electionServer) firstPut(ctx context.Context, prefix string, from int64) (first *mvccpb.KeyValue, err error) {
	spec := watch.Spec{Key: []byte(prefix), End: kv.PrefixEnd([]byte(prefix)), From: from, NoDeletes: true}
	err = s.follow(ctx, spec, func(e *watch.Event) (bool, error) {
		first = keyValue(&e.KV)
		return true, nil
	})
	return first, err
}
