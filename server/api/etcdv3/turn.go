package etcdv3

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/watch"
)

// turns are etcd's recipe for locks and elections: whoever waits has a key of its
// lease below a name, and it is the turn of the key that was created first. Clients
// that follow the recipe by themselves, as etcd's own do, wait in the same queue.
type turns struct {
	*Server
	keys   *kvServer
	leases *leaseServer
}

// ownTTL is the life of a lease that a client leaves to us, in seconds; etcd's.
const ownTTL = 60

// turn is one who waits.
type turn struct {
	prefix string // of all keys of the queue
	key    []byte
	lease  int64
	since  int64 // the revision that created the key
	held   []byte
	header *pb.ResponseHeader // of the answer in which all this was seen
	first  bool               // nobody was there before
}

// stand queues a lease, or finds where it stands already; then held is the value.
func (s *turns) stand(ctx context.Context, name []byte, lease int64, value []byte) (*turn, error) {
	if lease == 0 {
		granted, err := s.leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ownTTL})
		if err != nil {
			return nil, err
		}
		lease = granted.ID
	}
	t := &turn{prefix: string(name) + "/", lease: lease, held: value}
	t.key = fmt.Appendf(nil, "%s%x", t.prefix, lease)
	first := ranging(oldest(t.prefix))
	done, err := s.keys.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{createdAt(t.key, 0)},
		Success: []*pb.RequestOp{putting(&pb.PutRequest{Key: t.key, Value: value, Lease: lease}), first},
		Failure: []*pb.RequestOp{ranging(&pb.RangeRequest{Key: t.key}), first},
	})
	if err != nil {
		return nil, err
	}
	t.header, t.since = done.Header, done.Header.Revision
	if !done.Succeeded {
		is := done.Responses[0].GetResponseRange().Kvs[0]
		t.since, t.held = is.CreateRevision, is.Value
	}
	t.first = done.Responses[1].GetResponseRange().Kvs[0].CreateRevision == t.since
	return t, nil
}

// await waits until all keys that were there before are deleted.
func (s *turns) await(ctx context.Context, t *turn) error {
	for {
		before := newest(t.prefix)
		before.MaxCreateRevision = t.since - 1
		found, err := s.keys.Range(ctx, before)
		if err != nil {
			return err
		}
		if len(found.Kvs) == 0 {
			return nil
		}
		// Only the one just before, lest all of them wake up whenever one goes.
		err = s.follow(ctx, watch.Spec{Key: found.Kvs[0].Key, From: found.Header.Revision + 1, NoPuts: true},
			func(*watch.Event) (bool, error) { return true, nil })
		if err != nil {
			return err
		}
	}
}

// follow tells of the events of a watcher until tell has heard enough, or what it
// should hear of next is compacted.
func (s *turns) follow(ctx context.Context, spec watch.Spec, tell func(*watch.Event) (enough bool, err error)) error {
	stream := s.Hub.Stream()
	defer stream.Close()
	if _, _, err := stream.Watch(spec); err != nil {
		return status.Error(codes.Unknown, reasons[err])
	}
	for {
		d, more, err := stream.Next()
		if err != nil {
			return readError(err)
		}
		for _, e := range d.Events {
			if enough, err := tell(e); enough || err != nil {
				return err
			}
		}
		if d.Compacted != 0 {
			return nil
		}
		if more {
			continue
		}
		select {
		case <-stream.Wake():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave takes a key out of the queue if it is still the one that was created then.
// The client may be gone; its key must not stand in the way of others until its
// lease ends.
func (s *turns) leave(ctx context.Context, key []byte, since int64) (*pb.ResponseHeader, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Limits.RequestTimeout)
	defer cancel()
	done, err := s.keys.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{createdAt(key, since)},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}},
	})
	return done.GetHeader(), err
}

// asClient makes of an error what etcd's clients are told of it by these services.
// In etcd they are clients of the server themselves, and what a server tells a client
// has lost its code when that is told on.
func asClient(err error) error {
	s := status.Convert(err)
	switch {
	case err == nil:
		return nil
	case s.Code() == codes.Canceled, s.Code() == codes.DeadlineExceeded:
		return err
	}
	p := s.Proto()
	p.Code = int32(codes.Unknown)
	return status.ErrorProto(p)
}

func createdAt(key []byte, revision int64) *pb.Compare {
	return &pb.Compare{
		Key: key, Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL,
		TargetUnion: &pb.Compare_CreateRevision{CreateRevision: revision},
	}
}

func putting(r *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}
}

func ranging(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

// oldest asks for the key of a prefix that was created first, newest for the last.
func oldest(prefix string) *pb.RangeRequest { return created(prefix, pb.RangeRequest_ASCEND) }

func newest(prefix string) *pb.RangeRequest { return created(prefix, pb.RangeRequest_DESCEND) }

func created(prefix string, order pb.RangeRequest_SortOrder) *pb.RangeRequest {
	return &pb.RangeRequest{
		Key: []byte(prefix), RangeEnd: kv.PrefixEnd([]byte(prefix)), Limit: 1,
		SortTarget: pb.RangeRequest_CREATE, SortOrder: order,
	}
}
