package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/kv"
)

// Larger requests than usual, where they are allowed: through each of three nodes, as
// one value and as many, as large as is allowed and a byte larger, read back, watched,
// and as JSON.
func TestSameLargeRequests(t *testing.T) {
	const limit = kv.MaxValueBytes
	allowed := fmt.Sprint("--max-request-bytes=", limit)
	atEtcd := startEtcd(t, allowed)
	addresses, _ := startQuorate(t, 3, allowed)
	etcd := dial(t, atEtcd)
	var quorate []*grpc.ClientConn
	for _, a := range addresses {
		quorate = append(quorate, dial(t, a))
	}
	value := func(n, size int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, size) }
	var many []*pb.RequestOp
	for n := range 15 {
		many = append(many, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "k%d", n), Value: value(n, 1<<20)}}})
	}
	for i, r := range []proto.Message{
		&pb.PutRequest{Key: []byte("a"), Value: value(0, 4<<20)},
		&pb.PutRequest{Key: []byte("a"), Value: value(1, 4<<20), PrevKv: true},
		&pb.PutRequest{Key: []byte("b"), Value: value(2, 10<<20)},
		&pb.PutRequest{Key: []byte("b"), Value: value(2, 10<<20), PrevKv: true},
		&pb.TxnRequest{Success: many},
		sized(limit - most),
		sized(limit - least),
		sized(limit + 1<<20),
		&pb.TxnRequest{Success: append(many, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("k"), Value: value(0, 1<<20)}}})},
		&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}},
		&pb.RangeRequest{Key: []byte("a"), Revision: 2},
	} {
		want, got := large(t, etcd, r), large(t, quorate[i%3], r)
		if fmt.Sprint(want.err) != fmt.Sprint(got.err) || want.err == nil && !proto.Equal(want.message, got.message) {
			t.Errorf("%d, %T of %d bytes: etcd %v, quorate %v, and the answers are equal: %v", i, r, proto.Size(r), want.err, got.err, want.err == nil && got.err == nil && proto.Equal(want.message, got.message))
		}
	}
	wanted, told := watchAll(t, etcd, 20), watchAll(t, quorate[1], 20)
	if fmt.Sprint(wanted) != fmt.Sprint(told) {
		t.Errorf("events\netcd    %v\nquorate %v", wanted, told)
	}
	body := fmt.Sprintf(`{"key":"ag==","value":%q}`, base64.StdEncoding.EncodeToString(value(4, 10<<20)))
	if want, got := (web{"http://" + atEtcd}).send(t, "POST", "/v3/kv/put", body, 0), (web{"http://" + addresses[2]}).send(t, "POST", "/v3/kv/put", body, 0); want != got {
		t.Errorf("as JSON\netcd    %+v\nquorate %+v", want, got)
	}
}

// etcd counts what a request takes in its log: as a field of a message with an ID, of
// which it depends on the member how long it is.
const least, most = 15, 19

// sized is a put of so many bytes.
func sized(size int) *pb.PutRequest {
	r := &pb.PutRequest{Key: []byte("m"), Value: make([]byte, size-32)}
	r.Value = append(r.Value, make([]byte, size-proto.Size(r))...)
	return r
}

// Without the flag requests are bounded as they are in etcd.
func TestSameUsualBound(t *testing.T) {
	const limit = 3 << 19
	addresses, _ := startQuorate(t, 1)
	etcd, quorate := dial(t, startEtcd(t)), dial(t, addresses[0])
	for _, c := range []struct {
		size  int
		taken bool
	}{{limit - most, true}, {limit - least, false}, {limit + 1<<20, false}} {
		want, got := large(t, etcd, sized(c.size)), large(t, quorate, sized(c.size))
		if fmt.Sprint(want.err) != fmt.Sprint(got.err) || (got.err == nil) != c.taken {
			t.Errorf("%d bytes: etcd %v, quorate %v", c.size, want.err, got.err)
		}
	}
}

// large is ask, of answers of any size.
func large(t *testing.T, conn *grpc.ClientConn, request proto.Message) answer {
	return ask(t, pb.NewKVClient(anySize{conn}), request)
}

// anySize is a connection that takes answers of any size.
type anySize struct{ *grpc.ClientConn }

const anyBytes = 128 << 20

func (c anySize) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	return c.ClientConn.Invoke(ctx, method, in, out, append(opts, grpc.MaxCallRecvMsgSize(anyBytes))...)
}

// watchAll returns as many events from the beginning on.
func watchAll(t *testing.T, conn *grpc.ClientConn, events int) (all []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx, grpc.MaxCallRecvMsgSize(anyBytes))
	if err != nil {
		t.Fatal(err)
	}
	create := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1, PrevKv: true}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		t.Fatal(err)
	}
	for len(all) < events {
		r, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		for _, e := range r.Events {
			all = append(all, fmt.Sprintf("%s %s@%d %d bytes before %d", e.Type, e.Kv.Key, e.Kv.ModRevision, len(e.Kv.Value), len(e.GetPrevKv().GetValue())))
		}
	}
	return all
}
