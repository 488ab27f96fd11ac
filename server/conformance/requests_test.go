package conformance

import (
	"bytes"
	"math/rand/v2"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// A drawing draws requests that meet: few keys, and revisions near the present.
type drawing struct {
	*rand.Rand
	revision int64 // of the stores
	stale    bool  // ask also for what one node has, which of several may be old
}

func (d drawing) one(in int) bool { return d.IntN(in) == 0 }

var keys = []string{"a", "a\x00", "aa", "b", "b/1", "b/2", "c", "\x00", "\xff", "\xff\xff"}

func (d drawing) key() []byte {
	if d.one(40) {
		return nil
	}
	return []byte(keys[d.IntN(len(keys))])
}

func (d drawing) end() []byte {
	ends := []string{"", "", "", "\x00", "b", "c", "b0", "\xff"}
	return []byte(ends[d.IntN(len(ends))])
}

func (d drawing) value() []byte {
	return []byte([]string{"", "x", "y", "\x00\xff", "longer than the others"}[d.IntN(5)])
}

// near is a revision that was, or will soon be, and seldom none at all.
func (d drawing) near() int64 {
	switch d.IntN(12) {
	case 0:
		return d.revision + d.Int64N(3)
	case 1:
		return -2
	}
	return max(0, d.revision-d.Int64N(20))
}

func (d drawing) rangeRequest() *pb.RangeRequest {
	r := &pb.RangeRequest{
		Key: d.key(), RangeEnd: d.end(), Limit: d.Int64N(5) - 1,
		KeysOnly: d.one(4), CountOnly: d.one(8), Serializable: d.stale && d.one(3),
	}
	if d.one(3) {
		r.SortTarget = pb.RangeRequest_SortTarget(d.IntN(6)) // one too many
		r.SortOrder = pb.RangeRequest_SortOrder(d.IntN(3))
	}
	if d.one(4) {
		r.Revision = d.near()
	}
	for _, bound := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if d.one(12) {
			*bound = d.near()
		}
	}
	return r
}

func (d drawing) putRequest() *pb.PutRequest {
	r := &pb.PutRequest{Key: d.key(), Value: d.value(), PrevKv: d.one(3)}
	switch d.IntN(16) {
	case 0:
		r.IgnoreValue = true // mostly with a value
	case 1, 2:
		r.IgnoreValue, r.Value = true, nil
	case 3:
		r.IgnoreLease = true
	case 4:
		r.Lease = 77 // nobody has granted it
	case 5:
		r.IgnoreLease, r.Lease = true, 77
	}
	return r
}

func (d drawing) deleteRequest() *pb.DeleteRangeRequest {
	return &pb.DeleteRangeRequest{Key: d.key(), RangeEnd: d.end(), PrevKv: d.one(2)}
}

func (d drawing) compare() *pb.Compare {
	c := &pb.Compare{Key: d.key(), Result: pb.Compare_CompareResult(d.IntN(4)), Target: pb.Compare_CompareTarget(d.IntN(5))}
	if d.one(3) {
		c.RangeEnd = d.end()
	}
	field := c.Target
	if d.one(20) {
		field = pb.Compare_CompareTarget(d.IntN(5)) // what the target does not name is not looked at
	}
	switch field {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: d.Int64N(4)}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: d.near()}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: d.near()}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: d.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: d.Int64N(3) - 1}
	}
	return c
}

func (d drawing) ops(most, depth int) (ops []*pb.RequestOp) {
	for range d.IntN(most + 1) {
		op := &pb.RequestOp{}
		switch n := d.IntN(20); {
		case n < 8:
			op.Request = &pb.RequestOp_RequestPut{RequestPut: d.putRequest()}
		case n < 12:
			op.Request = &pb.RequestOp_RequestRange{RequestRange: d.rangeRequest()}
		case n < 15:
			op.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: d.deleteRequest()}
		case n < 19 && depth > 0:
			op.Request = &pb.RequestOp_RequestTxn{RequestTxn: d.txnRequest(2, depth-1)}
		case n < 19:
			op.Request = &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("put"), Value: d.value()}}
		case d.one(4):
			// none at all
		default:
			op.Request = &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}}
		}
		ops = append(ops, op)
	}
	return ops
}

func (d drawing) txnRequest(most, depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range d.IntN(3) {
		r.Compare = append(r.Compare, d.compare())
	}
	r.Success = d.ops(most, depth)
	r.Failure = d.ops(most, depth)
	return r
}

// request is one of the KV service, as a message.
func (d drawing) request() proto.Message {
	switch n := d.IntN(40); {
	case n < 8:
		return d.rangeRequest()
	case n < 18:
		return d.putRequest()
	case n < 23:
		return d.deleteRequest()
	case n < 36:
		for {
			if r := d.txnRequest(4, 2); !listed(r) {
				return r
			}
		}
	case n < 38:
		return &pb.CompactionRequest{Revision: max(1, d.near()), Physical: d.one(2)}
	default:
		r := d.rangeRequest()
		return &streamed{r}
	}
}

// streamed is a range that is asked for as a stream.
type streamed struct{ *pb.RangeRequest }

// changes are what an operation may change.
type changes struct {
	puts [][]byte
	dels []*pb.DeleteRangeRequest
}

func (c *changes) add(other changes) {
	c.puts = append(c.puts, other.puts...)
	c.dels = append(c.dels, other.dels...)
}

func (c changes) deletesPutOf(other changes) bool {
	for _, put := range other.puts {
		for _, d := range c.dels {
			if bytes.Equal(put, d.Key) || len(d.RangeEnd) > 0 && bytes.Compare(put, d.Key) >= 0 && (d.RangeEnd[0] == 0 || bytes.Compare(put, d.RangeEnd) < 0) {
				return true
			}
		}
	}
	return false
}

// listed reports whether a transaction is one that etcd takes and quorate refuses:
// see "Put and delete of a key in one transaction" in docs/etcd-compat.md. etcd does
// not see that one nested transaction deletes what one before it puts, nor that a
// range without an end has anything in it.
func listed(r *pb.TxnRequest) bool {
	_, found := changesOf(r)
	return found
}

func changesOf(r *pb.TxnRequest) (all changes, found bool) {
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		branch, bad := branchOf(ops)
		found = found || bad
		all.add(branch)
	}
	return all, found
}

func branchOf(ops []*pb.RequestOp) (branch changes, found bool) {
	var endless, nested changes
	for _, op := range ops {
		if put := op.GetRequestPut(); put != nil {
			branch.puts = append(branch.puts, put.Key)
		}
		if d := op.GetRequestDeleteRange(); d != nil {
			branch.dels = append(branch.dels, d)
		}
		if t := op.GetRequestTxn(); t != nil {
			inner, bad := changesOf(t)
			found = found || bad || inner.deletesPutOf(nested)
			nested.add(inner)
		}
	}
	branch.add(nested)
	for _, d := range branch.dels {
		if len(d.RangeEnd) == 1 && d.RangeEnd[0] == 0 {
			endless.dels = append(endless.dels, d)
		}
	}
	return branch, found || endless.deletesPutOf(branch)
}
