//go:build unix

package e2e

import (
	"context"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// mostHeld is how many bytes more than before a node should hold while nobody takes
// what it has to say.
const mostHeld = 512 * mib

// withholds weighs a node that has something to say, and reports how much more it holds
// than before.
func (n *node) withholds(before weight, what string) {
	n.t.Helper()
	held := n.weigh().heap - before.heap
	goals.report(n.t, what+"_heap_held_mib", held/mib)
	if held > 2*mostHeld {
		n.t.Errorf("the node holds %.0f MiB for clients that take nothing", held/mib)
	}
}

// Clients ask for much and read nothing of the answer. The node lets no more than a
// bound wait, and lets go of it when they do.
func TestFloodOfSlowReaders(t *testing.T) {
	long(t)
	n := startWeighed(t)
	const values, asked = 24, 80
	put(t, n.api, "large/", values, mib)
	everything := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
	reader := pb.NewKVClient(dialEtcd(t, n))
	read := func() error {
		_, err := reader.Range(t.Context(), everything, grpc.MaxCallRecvMsgSize(64*mib))
		return err
	}
	if err := read(); err != nil { // so that caches are filled
		t.Fatal(err)
	}
	conns := []*grpc.ClientConn{dialEtcd(t, n), dialEtcd(t, n)}
	before := n.weigh()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range asked {
		method := pb.KV_Range_FullMethodName
		if i%2 == 1 {
			method = pb.KV_RangeStream_FullMethodName
		}
		s, err := conns[i/2%2].NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SendMsg(everything); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Header(); err != nil && status.Code(err) != codes.ResourceExhausted { // the answer has begun
			t.Fatal(err)
		}
	}
	n.withholds(before, "slow_readers")
	put(t, n.api, "meanwhile", 1, valueSize)
	cancel()
	eventually(t, "room for an answer", read)
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	n.recovers(before, "slow_readers")
}

// Watchers that take nothing cost a bounded queue each, while much is written.
func TestFloodOfSlowWatchers(t *testing.T) {
	long(t)
	n := startWeighed(t)
	const streams, rounds, values = 100, 4, 16
	write := func() { put(t, n.api, "large/", values, mib) }
	write()
	conns := []*grpc.ClientConn{dialEtcd(t, n), dialEtcd(t, n)}
	for _, conn := range conns {
		if _, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("a")}); err != nil {
			t.Fatal(err)
		}
	}
	before := n.weigh()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range streams {
		if err := openWatch(ctx, conns[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	for range rounds {
		write()
	}
	n.withholds(before, "slow_watchers")
	cancel()
	n.recovers(before, "slow_watchers")
}
