package etcdv3

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/quorate-db/quorate/server/kv"
)

func keyValue(k *kv.KV) *mvccpb.KeyValue { return fill(&mvccpb.KeyValue{}, k) }

func fill(out *mvccpb.KeyValue, k *kv.KV) *mvccpb.KeyValue {
	out.Key, out.Value, out.Lease = k.Key, k.Value, int64(k.Lease)
	out.CreateRevision, out.ModRevision, out.Version = k.Create, k.Mod, k.Version
	return out
}

// keyValues makes all of them in one piece: they are answered, and forgotten, together.
func keyValues(all []kv.KV) []*mvccpb.KeyValue {
	out, made := make([]*mvccpb.KeyValue, len(all)), make([]mvccpb.KeyValue, len(all))
	for i := range all {
		out[i] = fill(&made[i], &all[i])
	}
	return out
}

func rangeResponse(h *pb.ResponseHeader, r *pb.RangeRequest, page *kv.Page) *pb.RangeResponse {
	out := &pb.RangeResponse{Header: h, Kvs: keyValues(page.KVs), More: page.More, Count: page.Count}
	if leavesLeasesOut(r) {
		for _, k := range out.Kvs {
			k.Lease = 0
		}
	}
	return out
}

// leavesLeasesOut reports whether etcd answers from its index, which knows no leases.
func leavesLeasesOut(r *pb.RangeRequest) bool {
	return r.KeysOnly && r.SortTarget != pb.RangeRequest_VALUE
}

func putResponse(h *pb.ResponseHeader, result *kv.OpResult) *pb.PutResponse {
	out := &pb.PutResponse{Header: h}
	if len(result.Before) > 0 {
		out.PrevKv = keyValue(&result.Before[0])
	}
	return out
}

func deleteResponse(h *pb.ResponseHeader, result *kv.OpResult) *pb.DeleteRangeResponse {
	return &pb.DeleteRangeResponse{Header: h, Deleted: result.Deleted, PrevKvs: keyValues(result.Before)}
}

func txnResponse(h *pb.ResponseHeader, r *pb.TxnRequest, result *kv.TxnResult) *pb.TxnResponse {
	out := &pb.TxnResponse{Header: h, Succeeded: result.Succeeded, Responses: make([]*pb.ResponseOp, len(result.Ops))}
	ops := r.Success
	if !result.Succeeded {
		ops = r.Failure
	}
	for i := range result.Ops {
		out.Responses[i] = response(ops[i], &result.Ops[i])
	}
	return out
}

// response is the answer to one operation. Its header has a revision only, that of
// a nested transaction not even that: so does etcd.
func response(r *pb.RequestOp, result *kv.OpResult) *pb.ResponseOp {
	h := &pb.ResponseHeader{Revision: result.Revision}
	switch {
	case result.Page != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: rangeResponse(h, r.GetRequestRange(), result.Page)}}
	case result.Txn != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: txnResponse(&pb.ResponseHeader{}, r.GetRequestTxn(), result.Txn)}}
	case r.GetRequestPut() != nil:
		return &pb.ResponseOp{Response: &pb.ResponseOp_ResponsePut{ResponsePut: putResponse(h, result)}}
	}
	return &pb.ResponseOp{Response: &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: deleteResponse(h, result)}}
}
