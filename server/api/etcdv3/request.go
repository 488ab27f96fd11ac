package etcdv3

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/kv"
)

var targets = map[pb.RangeRequest_SortTarget]kv.Target{
	pb.RangeRequest_KEY:     kv.Key,
	pb.RangeRequest_VERSION: kv.Version,
	pb.RangeRequest_CREATE:  kv.CreateRevision,
	pb.RangeRequest_MOD:     kv.ModRevision,
	pb.RangeRequest_VALUE:   kv.Value,
}

var orders = map[pb.RangeRequest_SortOrder]kv.Order{
	pb.RangeRequest_NONE:    kv.Unordered,
	pb.RangeRequest_ASCEND:  kv.Ascending,
	pb.RangeRequest_DESCEND: kv.Descending,
}

func query(r *pb.RangeRequest) (kv.Query, error) {
	if len(r.Key) == 0 {
		return kv.Query{}, rpctypes.ErrGRPCEmptyKey
	}
	by, known := targets[r.SortTarget]
	order, known2 := orders[r.SortOrder]
	if !known || !known2 {
		return kv.Query{}, rpctypes.ErrGRPCInvalidSortOption
	}
	return kv.Query{
		Start: r.Key, End: r.RangeEnd,
		Limit:    max(0, r.Limit),
		Revision: r.Revision,
		KeysOnly: r.KeysOnly, CountOnly: r.CountOnly, Count: true,
		Create: kv.Between{Min: r.MinCreateRevision, Max: r.MaxCreateRevision},
		Mod:    kv.Between{Min: r.MinModRevision, Max: r.MaxModRevision},
		By:     by, Order: order,
	}, nil
}

func put(r *pb.PutRequest) (kv.Put, error) {
	switch {
	case len(r.Key) == 0:
		return kv.Put{}, rpctypes.ErrGRPCEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return kv.Put{}, rpctypes.ErrGRPCValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return kv.Put{}, rpctypes.ErrGRPCLeaseProvided
	}
	return kv.Put{
		Key: r.Key, Value: r.Value, Lease: kv.LeaseID(r.Lease),
		Previous: r.PrevKv, KeepValue: r.IgnoreValue, KeepLease: r.IgnoreLease,
	}, nil
}

func deletion(r *pb.DeleteRangeRequest) (kv.Delete, error) {
	if len(r.Key) == 0 {
		return kv.Delete{}, rpctypes.ErrGRPCEmptyKey
	}
	return kv.Delete{Key: r.Key, End: r.RangeEnd, Previous: r.PrevKv}, nil
}

// txn translates a transaction. A nested one has as many operations to spend as
// the levels above it have left.
func txn(r *pb.TxnRequest, most int) (t kv.Txn, err error) {
	level := max(len(r.Compare), len(r.Success), len(r.Failure))
	if level > most {
		return t, rpctypes.ErrGRPCTooManyOps
	}
	t.Compares = make([]kv.Compare, len(r.Compare))
	for i, c := range r.Compare {
		if t.Compares[i], err = compare(c); err != nil {
			return t, err
		}
	}
	if t.Then, err = operations(r.Success, most-level); err != nil {
		return t, err
	}
	t.Else, err = operations(r.Failure, most-level)
	return t, err
}

func operations(ops []*pb.RequestOp, most int) ([]kv.Op, error) {
	all := make([]kv.Op, len(ops))
	for i, op := range ops {
		var err error
		switch op := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			all[i], err = query(op.RequestRange)
		case *pb.RequestOp_RequestPut:
			all[i], err = put(op.RequestPut)
		case *pb.RequestOp_RequestDeleteRange:
			all[i], err = deletion(op.RequestDeleteRange)
		case *pb.RequestOp_RequestTxn:
			all[i], err = txn(op.RequestTxn, most)
		default:
			err = rpctypes.ErrGRPCKeyNotFound // etcd's answer to an operation that is none
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

var relations = map[pb.Compare_CompareResult]kv.Relation{
	pb.Compare_EQUAL:     kv.Equal,
	pb.Compare_NOT_EQUAL: kv.NotEqual,
	pb.Compare_GREATER:   kv.Greater,
	pb.Compare_LESS:      kv.Less,
}

func compare(r *pb.Compare) (kv.Compare, error) {
	if len(r.Key) == 0 {
		return kv.Compare{}, rpctypes.ErrGRPCEmptyKey
	}
	c := kv.Compare{Key: r.Key, End: r.RangeEnd, Relation: relations[r.Result]}
	// What stands in another field than the target's is not looked at.
	switch r.Target {
	case pb.Compare_VERSION:
		c.Target, c.Number = kv.Version, r.GetVersion()
	case pb.Compare_CREATE:
		c.Target, c.Number = kv.CreateRevision, r.GetCreateRevision()
	case pb.Compare_MOD:
		c.Target, c.Number = kv.ModRevision, r.GetModRevision()
	case pb.Compare_VALUE:
		c.Target, c.Bytes = kv.Value, r.GetValue()
	case pb.Compare_LEASE:
		c.Target, c.Number = kv.Lease, r.GetLease()
	}
	if c.Relation == 0 || c.Target == 0 {
		return c, status.Errorf(codes.InvalidArgument, "etcdserver: a compare of target %d and result %d is not known", r.Target, r.Result)
	}
	return c, nil
}
