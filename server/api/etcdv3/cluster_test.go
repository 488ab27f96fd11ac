package etcdv3

import (
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/quorate-db/quorate/server/api/wire"
)

func TestMembers(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	client := pb.NewClusterClient(conn)
	added, err := client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:9380"}})
	if err != nil || !added.Member.IsLearner || len(added.Members) != 2 || added.Header.ClusterId != 12 {
		t.Fatalf("%v, %v", added, err)
	}
	id := added.Member.ID
	updated, err := client.MemberUpdate(t.Context(), &pb.MemberUpdateRequest{ID: id, PeerURLs: []string{"http://127.0.0.1:9381"}})
	if err != nil || len(updated.Members) != 2 {
		t.Fatalf("%v, %v", updated, err)
	}
	if _, err := client.MemberPromote(t.Context(), &pb.MemberPromoteRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	listed, err := client.MemberList(t.Context(), &pb.MemberListRequest{Linearizable: true})
	want := map[uint64]string{7: "a [http://127.0.0.1:2380] [http://127.0.0.1:2379] false", id: " [http://127.0.0.1:9381] [] false"}
	if err != nil || len(listed.Members) != 2 || listed.Header.MemberId != 7 || listed.Header.RaftTerm != 3 {
		t.Fatalf("%v, %v", listed, err)
	}
	for _, m := range listed.Members {
		if got := fmt.Sprint(m.Name, " ", m.PeerURLs, " ", m.ClientURLs, " ", m.IsLearner); got != want[m.ID] {
			t.Errorf("%x is %q, want %q", m.ID, got, want[m.ID])
		}
	}
	wished, err := client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:9382"}, IsLearner: true})
	if err != nil || !wished.Member.IsLearner {
		t.Fatalf("%v, %v", wished, err)
	}
	moved := &pb.MemberUpdateRequest{ID: wished.Member.ID, PeerURLs: []string{"http://127.0.0.1:9383"}} // it stays what it was wished to be
	if _, err := client.MemberUpdate(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	refused := map[string]struct{ err, want error }{
		"promote a voter":                {second(client.MemberPromote(t.Context(), &pb.MemberPromoteRequest{ID: id})), rpctypes.ErrGRPCMemberNotLearner},
		"add without URL":                {second(client.MemberAdd(t.Context(), &pb.MemberAddRequest{})), rpctypes.ErrGRPCMemberBadURLs},
		"add with TLS":                   {second(client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"https://a:1"}})), rpctypes.ErrGRPCMemberBadURLs},
		"add an address":                 {second(client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:9381"}})), rpctypes.ErrGRPCPeerURLExist},
		"another learner":                {second(client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{"http://a:1"}, IsLearner: true})), rpctypes.ErrGRPCTooManyLearners},
		"another learner at its address": {second(client.MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: moved.PeerURLs, IsLearner: true})), rpctypes.ErrGRPCPeerURLExist},
		"update another":                 {second(client.MemberUpdate(t.Context(), &pb.MemberUpdateRequest{ID: 1, PeerURLs: []string{"http://a:1"}})), rpctypes.ErrGRPCMemberNotFound},
		"remove another":                 {second(client.MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: 1})), rpctypes.ErrGRPCMemberNotFound},
	}
	for name, c := range refused {
		if !is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
	if left, err := client.MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: id}); err != nil || len(left.Members) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestStatus(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	client := pb.NewMaintenanceClient(conn)
	s, err := client.Status(t.Context(), &pb.StatusRequest{})
	if err != nil || s.Version != wire.EtcdVersion || s.Leader != 7 || s.RaftTerm != 3 || s.RaftIndex != 5 || s.RaftAppliedIndex != 4 ||
		s.DbSize != 1 || s.Header.Revision != 1 || s.Header.MemberId != 7 || len(s.Errors) != 0 {
		t.Errorf("%v, %v", s, err)
	}
	n.set(func(n *oneNode) { n.status.Leader = 0 })
	if s, err := client.Status(t.Context(), &pb.StatusRequest{}); err != nil || fmt.Sprint(s.Errors) != "[etcdserver: no leader]" {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := client.MoveLeader(t.Context(), &pb.MoveLeaderRequest{TargetID: 7}); !is(err, rpctypes.ErrGRPCNotLeader) {
		t.Error(err)
	}
	n.set(func(n *oneNode) { n.status.Leader = 7 })
	for _, nobody := range []uint64{0, 1} {
		if _, err := client.MoveLeader(t.Context(), &pb.MoveLeaderRequest{TargetID: nobody}); !is(err, rpctypes.ErrGRPCBadLeaderTransferee) {
			t.Errorf("to %d: %v", nobody, err)
		}
	}
	if alarms, err := client.Alarm(t.Context(), &pb.AlarmRequest{}); err != nil || len(alarms.Alarms) != 0 {
		t.Error(alarms, err)
	}
	if _, err := client.Defragment(t.Context(), &pb.DefragmentRequest{}); err != nil {
		t.Error(err)
	}
	if h, err := client.Hash(t.Context(), &pb.HashRequest{}); err != nil || h.Hash == 0 {
		t.Error(h, err)
	}
}

func TestHealth(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	client := healthpb.NewHealthClient(conn)
	for ready, want := range map[bool]healthpb.HealthCheckResponse_ServingStatus{
		true: healthpb.HealthCheckResponse_SERVING, false: healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		s.SetReady(ready)
		if got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.Status != want {
			t.Errorf("ready %v: %v, %v", ready, got, err)
		}
	}
}
