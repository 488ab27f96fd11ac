package etcdv3

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// counted is what calls have counted, by name, method and code.
func counted(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				if l.GetName() == "grpc_method" || l.GetName() == "grpc_code" {
					key += " " + l.GetValue()
				}
			}
			all[key] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// Calls and streams are counted as they begin and as they end, with their messages and
// the bytes of those.
func TestCallsAreCounted(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	keys := pb.NewKVClient(conn)
	good := &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}
	if _, err := keys.Put(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Put(t.Context(), &pb.PutRequest{}); err == nil {
		t.Fatal("a key is empty, and taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	create := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k"), StartRevision: 1}}}
	if err := stream.Send(create); err != nil {
		t.Fatal(err)
	}
	for range 2 { // that it is there, and the put
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	s.GracefulStop() // so that what a client knows is counted here, too
	got := counted(t, s.Calls())
	for name, want := range map[string]float64{
		"grpc_server_started_total Put": 2, "grpc_server_msg_received_total Put": 2, "grpc_server_msg_sent_total Put": 2,
		"grpc_server_handled_total OK Put": 1, "grpc_server_handled_total InvalidArgument Put": 1, "grpc_server_handled_total Unavailable Put": 0,
		"grpc_server_started_total Watch": 1, "grpc_server_msg_received_total Watch": 1, "grpc_server_msg_sent_total Watch": 2,
		"grpc_server_handled_total Canceled Watch": 1, "grpc_server_started_total Range": 0,
		"etcd_network_client_grpc_received_bytes_total": float64(proto.Size(good) + proto.Size(create)),
	} {
		if n, there := got[name]; !there || n != want {
			t.Errorf("%s is %v (there: %v), and should be %v", name, n, there, want)
		}
	}
	if got["etcd_network_client_grpc_sent_bytes_total"] == 0 {
		t.Error("bytes that went are not counted")
	}
	if _, timed := got["grpc_server_handling_seconds Put"]; timed {
		t.Error("calls are timed, and nobody asked for it")
	}
}

// Calls are timed if that is asked for, whatever they end in.
func TestCallsAreTimed(t *testing.T) {
	c := newCalls(true)
	c.register(&pb.KV_ServiceDesc)
	for _, err := range []error{nil, context.DeadlineExceeded, status.Error(200, "no such code")} {
		_, got := c.unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: pb.KV_Put_FullMethodName}, func(context.Context, any) (any, error) { return nil, err })
		if got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	got := counted(t, c)
	if n := got["grpc_server_handling_seconds Put"]; n != 3 {
		t.Errorf("%v of 3 calls are timed", n)
	}
	for _, code := range []codes.Code{codes.OK, codes.DeadlineExceeded, codes.Unknown} {
		if got[fmt.Sprintf("grpc_server_handled_total %v Put", code)] != 1 {
			t.Errorf("none ended in %v: %v", code, got)
		}
	}
}
