package etcdv3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/kv"
)

// Answers say who gave them, and at which revision; those inside of a transaction
// the revision only, and a nested transaction nothing.
func TestHeaders(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	out, err := client.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{
		rangeOp("k", false), putOp("k"), {Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("k", false)}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	revisions := []int64{
		out.Header.Revision, out.Responses[0].GetResponseRange().Header.Revision, out.Responses[1].GetResponsePut().Header.Revision,
		out.Responses[2].GetResponseTxn().Header.Revision, out.Responses[2].GetResponseTxn().Responses[0].GetResponseRange().Header.Revision,
	}
	if fmt.Sprint(revisions) != "[2 1 2 0 2]" {
		t.Errorf("revisions %v", revisions)
	}
	if h := out.Header; h.ClusterId != 12 || h.MemberId != 7 || h.RaftTerm != 3 {
		t.Errorf("header %v", h)
	}
	if h := out.Responses[1].GetResponsePut().Header; h.ClusterId != 0 || h.MemberId != 0 || h.RaftTerm != 0 {
		t.Errorf("inner header %v", h)
	}
}

// Whatever a key that is too large would be written by is refused, and nothing is found there.
func TestLargeKeysAreRefused(t *testing.T) {
	limits := testLimits
	limits.RequestBytes = 1 << 20
	_, _, conn := serve(t, limits)
	client, most := pb.NewKVClient(conn), bytes.Repeat([]byte("k"), kv.MaxKeyBytes)
	large := append(most, 'k')
	if _, err := client.Put(t.Context(), &pb.PutRequest{Key: most}); err != nil {
		t.Error(err)
	}
	_, put := client.Put(t.Context(), &pb.PutRequest{Key: large})
	_, deletion := client.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: large})
	_, compare := client.Txn(t.Context(), &pb.TxnRequest{Compare: []*pb.Compare{{Key: large}}})
	for _, err := range []error{put, deletion, compare} {
		if !errors.Is(rpctypes.Error(err), rpctypes.ErrRequestTooLarge) {
			t.Errorf("a key of %d bytes: %v", len(large), err)
		}
	}
	if found, err := client.Range(t.Context(), &pb.RangeRequest{Key: large}); err != nil || found.Count != 0 {
		t.Error(found, err)
	}
}

// A long range comes in parts of one revision, whatever is written meanwhile. Only
// the last has a header, and counts.
func TestRangeStream(t *testing.T) {
	limits := testLimits
	limits.RequestBytes = 1 << 20
	_, _, conn := serve(t, limits)
	client := pb.NewKVClient(conn)
	const keys = 8
	for i := range keys {
		if _, err := client.Put(t.Context(), &pb.PutRequest{Key: fmt.Appendf(nil, "k%d", i), Value: make([]byte, 100<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	cases := []struct {
		limit, count int64
		kvs          int
		more         bool
	}{{0, keys, keys, false}, {5, keys, 5, true}, {keys, keys, keys, false}, {1, keys, 1, true}}
	for _, c := range cases {
		stream, err := client.RangeStream(t.Context(), &pb.RangeRequest{Key: []byte("k"), RangeEnd: []byte("l"), Limit: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		var seen, parts int
		var last *pb.RangeResponse
		for {
			part, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if last != nil && (last.Header != nil || last.More || last.Count != 0) {
				t.Errorf("limit %d: a part before the last says %v", c.limit, last)
			}
			last = part.RangeResponse
			for _, k := range last.Kvs {
				if string(k.Key) != fmt.Sprint("k", seen) || k.Version != 1 {
					t.Errorf("limit %d: key %d is %q, version %d", c.limit, seen, k.Key, k.Version)
				}
				seen++
			}
			parts++
		}
		if seen != c.kvs || last.Count != c.count || last.More != c.more || last.Header.GetRevision() != keys+1 || parts < c.kvs/3 {
			t.Errorf("limit %d: %d keys in %d parts, count %d, more %v, header %v", c.limit, seen, parts, last.Count, last.More, last.Header)
		}
	}
}

func TestRangeStreamRefuses(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	for _, r := range []*pb.RangeRequest{
		{Key: []byte("k"), SortOrder: pb.RangeRequest_DESCEND},
		{Key: []byte("k"), SortOrder: pb.RangeRequest_ASCEND, SortTarget: pb.RangeRequest_MOD},
		{Key: []byte("k"), MinModRevision: 1},
	} {
		stream, err := pb.NewKVClient(conn).RangeStream(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unimplemented {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// A physical compaction ends when the history is gone.
func TestPhysicalCompaction(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewKVClient(conn)
	for range 200 {
		if _, err := client.Put(t.Context(), &pb.PutRequest{Key: []byte("k")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		revision int64
		physical bool
	}{{150, false}, {201, true}} {
		out, err := client.Compact(t.Context(), &pb.CompactionRequest{Revision: c.revision, Physical: c.physical})
		if err != nil || out.Header.Revision != 201 {
			t.Fatalf("%+v: %v, %v", c, out, err)
		}
		state, err := n.machine.State()
		if err != nil || (state.Swept == c.revision) != c.physical {
			t.Errorf("%+v: swept to %d, %v", c, state.Swept, err)
		}
	}
}
