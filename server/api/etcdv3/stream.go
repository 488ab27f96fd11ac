package etcdv3

import (
	"bytes"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/kv"
)

// chunkBytes is about how large the parts of a streamed range are.
const chunkBytes = 256 << 10

// RangeStream answers a range in parts, all of one revision. The last has the
// header, and what is told of the whole.
func (s *kvServer) RangeStream(r *pb.RangeRequest, out pb.KV_RangeStreamServer) error {
	q, err := query(r)
	switch {
	case err != nil:
		return err
	case r.SortOrder != pb.RangeRequest_NONE && (r.SortTarget != pb.RangeRequest_KEY || r.SortOrder != pb.RangeRequest_ASCEND):
		return status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")
	case q.Create != kv.Between{} || q.Mod != kv.Between{}:
		return status.Error(codes.Unimplemented, "RangeStream does not support revision filters")
	}
	if !r.Serializable {
		if err := s.await(out.Context()); err != nil {
			return err
		}
	}
	by, err := s.caller(out.Context())
	if err != nil {
		return err
	}
	reads := s.Machine.For(by)
	if r.CountOnly {
		page, err := reads.Range(q)
		if err != nil {
			return readError(err)
		}
		return send(out, &pb.RangeResponse{Header: s.header(page.Revision), Count: page.Count})
	}
	return s.parts(reads, r, q, out)
}

func send(out pb.KV_RangeStreamServer, part *pb.RangeResponse) error {
	return out.Send(&pb.RangeStreamResponse{RangeResponse: part})
}

func (s *kvServer) parts(reads kv.Reads, r *pb.RangeRequest, q kv.Query, out pb.KV_RangeStreamServer) error {
	q.Count, q.Bytes = false, chunkBytes
	left := q.Limit
	if left == 0 {
		left = math.MaxInt64
	}
	var sent, revision int64
	for {
		q.Limit = left
		page, err := reads.Range(q)
		if err != nil {
			return readError(err)
		}
		if revision == 0 {
			revision = page.Revision
			if q.Revision <= 0 {
				q.Revision = revision
			}
		}
		sent += int64(len(page.KVs))
		left -= int64(len(page.KVs))
		part := rangeResponse(nil, r, &page)
		if page.More {
			q.Start = append(bytes.Clone(page.KVs[len(page.KVs)-1].Key), 0)
		}
		if page.More && left > 0 {
			part.More = false // only the last part says so
			if err := send(out, part); err != nil {
				return err
			}
			continue
		}
		part.Header, part.Count = s.header(revision), sent
		if page.More {
			rest, err := reads.Range(kv.Query{Start: q.Start, End: q.End, Revision: q.Revision, CountOnly: true})
			if err != nil {
				return readError(err)
			}
			part.Count += rest.Count
		}
		return send(out, part)
	}
}
