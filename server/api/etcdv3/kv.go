package etcdv3

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/kv"
)

// kvServer is etcdserverpb.KV.
type kvServer struct {
	*Server
	pb.UnsafeKVServer
}

// Range answers with keys, as the whole cluster has them or, if serializable, as
// this node does.
func (s *kvServer) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	reads, q, err := s.reads(ctx, r)
	if err != nil {
		return nil, err
	}
	page, err := reads.Range(q)
	if err != nil {
		return nil, readError(err)
	}
	answer := rangeResponse(s.header(page.Revision), r, &page)
	if !s.unsent.room(answer) {
		return nil, certain(rpctypes.ErrGRPCRequestTooManyRequests)
	}
	return answer, nil
}

// reads is what a range asks for, and of whom; the store is new enough when it returns.
func (s *kvServer) reads(ctx context.Context, r *pb.RangeRequest) (kv.Reads, kv.Query, error) {
	q, err := query(r)
	if err == nil && !r.Serializable {
		err = s.await(ctx)
	}
	if err != nil {
		return kv.Reads{}, q, err
	}
	by, err := s.caller(ctx)
	return s.Machine.For(by), q, err
}

// Put sets a key.
func (s *kvServer) Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	op, err := put(r)
	if err != nil {
		return nil, err
	}
	result, err := s.write(ctx, r, kv.Txn{Then: []kv.Op{op}})
	if err != nil {
		return nil, err
	}
	return putResponse(s.header(result.Revision), &result.Ops[0]), nil
}

// DeleteRange deletes keys.
func (s *kvServer) DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	op, err := deletion(r)
	if err != nil {
		return nil, err
	}
	result, err := s.write(ctx, r, kv.Txn{Then: []kv.Op{op}})
	if err != nil {
		return nil, err
	}
	return deleteResponse(s.header(result.Revision), &result.Ops[0]), nil
}

// Txn carries a transaction out. One that changes nothing is not replicated.
func (s *kvServer) Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	t, err := txn(r, s.Limits.TxnOps)
	if err != nil {
		return nil, err
	}
	var result *kv.Result
	if t.Reads() {
		result, err = s.readTxn(ctx, r, t)
	} else {
		result, err = s.write(ctx, r, t)
	}
	if err != nil {
		return nil, err
	}
	answer := txnResponse(s.header(result.Revision), r, &result.TxnResult)
	if t.Reads() && !s.unsent.room(answer) {
		return nil, certain(rpctypes.ErrGRPCRequestTooManyRequests)
	}
	return answer, nil
}

func (s *kvServer) readTxn(ctx context.Context, r *pb.TxnRequest, t kv.Txn) (*kv.Result, error) {
	if !serializable(r) {
		if err := s.await(ctx); err != nil {
			return nil, err
		}
	}
	by, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	result, err := s.Machine.For(by).Read(t)
	if err != nil {
		return nil, readError(err)
	}
	return result, nil
}

// serializable reports whether all that a transaction does is to read what this
// node has. One that only compares wants to know how things stand.
func serializable(r *pb.TxnRequest) bool {
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if !op.GetRequestRange().GetSerializable() {
				return false
			}
		}
	}
	return len(r.Success)+len(r.Failure) > 0
}

// Compact makes the revisions below one unreadable; if physical, it waits until
// what only they could see is gone from this node's store.
func (s *kvServer) Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if r.Revision < 1 {
		return nil, rpctypes.ErrGRPCCompacted
	}
	result, err := s.propose(ctx, kv.Compact{Revision: r.Revision})
	if err != nil {
		return nil, err
	}
	for r.Physical {
		state, err := s.Machine.State()
		if err != nil {
			return nil, readError(err)
		}
		if state.Swept >= r.Revision {
			break
		}
		if _, err := s.propose(ctx, kv.Sweep{}); err != nil {
			return nil, err
		}
	}
	return &pb.CompactionResponse{Header: s.header(result.Revision)}, nil
}

// await waits until what this node holds is at least as new as what any client has
// been told.
func (s *Server) await(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	if _, err := s.Group.Read(waiting); err != nil {
		return s.unserved(ctx, err)
	}
	return nil
}

// write replicates a transaction and returns what it came to.
func (s *Server) write(ctx context.Context, r proto.Message, t kv.Txn) (*kv.Result, error) {
	if logged(r) > s.Limits.RequestBytes {
		return nil, rpctypes.ErrGRPCRequestTooLarge
	}
	return s.propose(ctx, t)
}

// logged is how many bytes a request would take in etcd's log, which is what etcd bounds:
// as a field of another message that begins with an ID of up to 10 bytes.
func logged(r proto.Message) int {
	const head = 2 + 1 + 1 + 10
	return head + 1 + protowire.SizeBytes(proto.Size(r))
}

// propose replicates an action and returns what it came to.
func (s *Server) propose(ctx context.Context, do kv.Action) (*kv.Result, error) {
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	command := kv.Command{Millis: time.Now().UnixMilli(), Do: do}
	err := command.Check()
	if err != nil {
		return nil, s.unserved(ctx, err)
	}
	// As with etcd, what nobody may do is told before who asks is looked at.
	agree := func() error {
		_, err := s.Group.Read(waiting)
		return err
	}
	if err := s.Keeper.Permit(&command, func() (kv.Caller, error) { return s.who(ctx) }, agree); err != nil {
		return nil, s.unserved(ctx, err)
	}
	answer, err := s.Group.Propose(waiting, command.Encode())
	if err != nil {
		return nil, s.unserved(ctx, err)
	}
	result, ok := answer.(*kv.Result)
	if !ok || result == nil {
		return nil, s.unserved(ctx, fmt.Errorf("a command was answered with %T", answer))
	}
	if err := result.Err(); err != nil {
		return nil, s.unserved(ctx, err)
	}
	return result, nil
}
