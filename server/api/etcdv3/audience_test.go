package etcdv3

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/lockpb"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
)

// as says who calls.
func as(t *testing.T, conn *grpc.ClientConn, name, password string) context.Context {
	t.Helper()
	r, err := pb.NewAuthClient(conn).Authenticate(t.Context(), &pb.AuthenticateRequest{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return metadata.AppendToOutgoingContext(t.Context(), rpctypes.TokenFieldNameGRPC, r.Token)
}

// guard adds root and u, who has the role r without rights, and enforces rights. The
// lease 5 has the key k.
func guard(t *testing.T, conn *grpc.ClientConn) (root, u context.Context) {
	t.Helper()
	leased(t, conn, 5)
	client, ctx := pb.NewAuthClient(conn), t.Context()
	for _, err := range []error{
		second(pb.NewKVClient(conn).Put(ctx, &pb.PutRequest{Key: []byte("k"), Lease: 5})),
		second(client.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "of all evil"})),
		second(client.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})),
		second(client.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "u", Password: "p"})),
		second(client.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "r"})),
		second(client.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "u", Role: "r"})),
		second(client.AuthEnable(ctx, &pb.AuthEnableRequest{})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return as(t, conn, "root", "of all evil"), as(t, conn, "u", "p")
}

// named are requests that name something, for methods whose audience depends on it.
var named = map[string]proto.Message{
	pb.KV_Range_FullMethodName:              &pb.RangeRequest{Key: []byte("k")},
	pb.KV_RangeStream_FullMethodName:        &pb.RangeRequest{Key: []byte("k")},
	pb.KV_Put_FullMethodName:                &pb.PutRequest{Key: []byte("k")},
	pb.KV_DeleteRange_FullMethodName:        &pb.DeleteRangeRequest{Key: []byte("k")},
	pb.KV_Txn_FullMethodName:                &pb.TxnRequest{Success: []*pb.RequestOp{ranging(&pb.RangeRequest{Key: []byte("k")})}},
	pb.KV_Compact_FullMethodName:            &pb.CompactionRequest{Revision: 1},
	pb.Watch_Watch_FullMethodName:           &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("k")}}},
	pb.Lease_LeaseRevoke_FullMethodName:     &pb.LeaseRevokeRequest{ID: 5},
	pb.Lease_LeaseKeepAlive_FullMethodName:  &pb.LeaseKeepAliveRequest{ID: 5},
	pb.Lease_LeaseTimeToLive_FullMethodName: &pb.LeaseTimeToLiveRequest{ID: 5, Keys: true},
	pb.Auth_UserGet_FullMethodName:          &pb.AuthUserGetRequest{Name: "root"},
	pb.Auth_RoleGet_FullMethodName:          &pb.AuthRoleGetRequest{Role: "root"},

	lockpb.Lock_Unlock_FullMethodName:       &lockpb.UnlockRequest{Key: []byte("k")},
	lockpb.Election_Proclaim_FullMethodName: &lockpb.ProclaimRequest{Leader: &lockpb.LeaderKey{Key: []byte("k")}},
	lockpb.Election_Resign_FullMethodName:   &lockpb.ResignRequest{Leader: &lockpb.LeaderKey{Key: []byte("k")}},
}

// Every method of every service that is there has an audience, and refuses who is not
// in it: nobody, and a user without rights.
func TestEveryMethodIsGuarded(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	_, u := guard(t, conn)
	seen := 0
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			name := "/" + service + "/" + m.Name
			who, listed := audiences[name]
			if !listed {
				t.Errorf("%s has no audience", name)
			}
			seen++
			if who == forAll {
				continue
			}
			if got := refusal(t, t.Context(), conn, name); !strings.HasSuffix(got, "etcdserver: user name is empty") {
				t.Errorf("%s by nobody: %s", name, got)
			}
			mayCall := who == forUsers || name == pb.Maintenance_Alarm_FullMethodName
			if got := refusal(t, u, conn, name); !mayCall && !strings.HasSuffix(got, "etcdserver: permission denied") {
				t.Errorf("%s by a user without rights: %s", name, got)
			}
		}
	}
	if seen != len(audiences) {
		t.Errorf("%d methods are there, %d have an audience", seen, len(audiences))
	}
	if refusal(t, t.Context(), conn, pb.Auth_AuthStatus_FullMethodName) != "" {
		t.Error("whether rights are enforced is a secret")
	}
}

// refusal calls a method, whatever it is, and returns the text of its error or, of a
// watch, the reason why it was cancelled.
func refusal(t *testing.T, ctx context.Context, conn *grpc.ClientConn, name string) string {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(name[1:], "/", ".")))
	if err != nil {
		t.Fatal(err)
	}
	method := d.(protoreflect.MethodDescriptor)
	in, out := newMessage(t, method.Input()), newMessage(t, method.Output())
	if request := named[name]; request != nil {
		in = request
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(in); err != nil && !errors.Is(err, io.EOF) { // it may have been refused already
		t.Fatal(err)
	}
	if !method.IsStreamingClient() {
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.RecvMsg(out); err != nil {
		return err.Error()
	}
	if r, is := out.(*pb.WatchResponse); is {
		return r.CancelReason
	}
	return ""
}

func newMessage(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

// A token ends with the password, with the user, and with the guard.
func TestTokensEnd(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	root, u := guard(t, conn)
	client, keys := pb.NewAuthClient(conn), pb.NewKVClient(conn)
	get := func(ctx context.Context, key string) error {
		return second(keys.Range(ctx, &pb.RangeRequest{Key: []byte(key)}))
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(err, want error) {
		t.Helper()
		if !is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	refused(get(u, "k"), rpctypes.ErrGRPCPermissionDenied)
	must(second(client.RoleGrantPermission(root, &pb.AuthRoleGrantPermissionRequest{Name: "r", Perm: permission("k", "")})))
	must(get(u, "k"))
	refused(get(u, "l"), rpctypes.ErrGRPCPermissionDenied)
	refused(get(metadata.AppendToOutgoingContext(t.Context(), "token", "made up"), "k"), rpctypes.ErrGRPCInvalidAuthToken)
	must(second(client.UserChangePassword(root, &pb.AuthUserChangePasswordRequest{Name: "u", Password: "q"})))
	refused(get(u, "k"), rpctypes.ErrGRPCInvalidAuthToken)
	refused(second(client.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "p"})), rpctypes.ErrGRPCAuthFailed)
	again := as(t, conn, "u", "q")
	must(get(again, "k"))
	must(second(client.AuthDisable(root, &pb.AuthDisableRequest{})))
	must(get(u, "l")) // nobody looks at tokens
	refused(second(client.Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "q"})), rpctypes.ErrGRPCAuthNotEnabled)
	must(second(client.AuthEnable(t.Context(), &pb.AuthEnableRequest{})))
	refused(get(again, "k"), rpctypes.ErrGRPCInvalidAuthToken)
	again = as(t, conn, "u", "q")
	must(second(client.UserDelete(as(t, conn, "root", "of all evil"), &pb.AuthUserDeleteRequest{Name: "u"})))
	refused(get(again, "k"), rpctypes.ErrGRPCInvalidAuthToken)
}

func permission(key, end string) *authpb.Permission {
	return &authpb.Permission{Key: []byte(key), RangeEnd: []byte(end), PermType: authpb.Permission_READWRITE}
}

// The cluster ends a lease though its client may not, and a client may only ask for
// what it might write.
func TestLeasesAreGuarded(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	root, u := guard(t, conn)
	client := pb.NewLeaseClient(conn)
	ttl, err := client.LeaseTimeToLive(u, &pb.LeaseTimeToLiveRequest{ID: 5})
	if err != nil || ttl.GrantedTTL == 0 || len(ttl.Keys) != 0 {
		t.Errorf("%v, %v", ttl, err)
	}
	if err := second(pb.NewKVClient(conn).Put(root, &pb.PutRequest{Key: []byte("k")})); err != nil { // without the lease
		t.Fatal(err)
	}
	if got, err := client.LeaseTimeToLive(u, &pb.LeaseTimeToLiveRequest{ID: 5, Keys: true}); err != nil || got.TTL < 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := second(client.LeaseRevoke(u, &pb.LeaseRevokeRequest{ID: 5})); err != nil {
		t.Error(err)
	}
}

// What its caller may not do is refused before it is in the log; but not because this
// node has not heard yet that it may.
func TestWhoMayNotWriteDoesNotFillTheLog(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	_, u := guard(t, conn)
	nobody := t.Context()
	stranger := metadata.AppendToOutgoingContext(nobody, "token", "made up")
	keys, leases := pb.NewKVClient(conn), pb.NewLeaseClient(conn)
	put := func(ctx context.Context) error {
		return second(keys.Put(ctx, &pb.PutRequest{Key: []byte("k")}))
	}
	length := func() (index raft.Index) {
		n.set(func(n *oneNode) { index = n.index })
		return index
	}
	before := length()
	for _, c := range []struct {
		what      string
		got, want error
	}{
		{"a put by nobody", put(nobody), rpctypes.ErrGRPCUserEmpty},
		{"a put with a token that is made up", put(stranger), rpctypes.ErrGRPCInvalidAuthToken},
		{"a put by a user", put(u), rpctypes.ErrGRPCPermissionDenied},
		{"a deletion", second(keys.DeleteRange(u, &pb.DeleteRangeRequest{Key: []byte("k")})), rpctypes.ErrGRPCPermissionDenied},
		{"a transaction", second(keys.Txn(u, &pb.TxnRequest{Success: []*pb.RequestOp{putting(&pb.PutRequest{Key: []byte("k")})}})), rpctypes.ErrGRPCPermissionDenied},
		{"a lease's end", second(leases.LeaseRevoke(u, &pb.LeaseRevokeRequest{ID: 5})), rpctypes.ErrGRPCPermissionDenied},
	} {
		if !is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
	if now := length(); now != before {
		t.Errorf("%d commands are in the log", now-before)
	}
	n.set(func(n *oneNode) {
		n.missed = []kv.ChangeRights{{Kind: kv.GrantRight, Role: "r", Right: kv.Right{Key: []byte("k"), Access: kv.MayWrite}}}
	})
	if err := put(u); err != nil {
		t.Errorf("a put with a right that this node has not heard of yet: %v", err)
	}
	n.set(func(n *oneNode) { n.missed = []kv.ChangeRights{{Kind: kv.StopGuard}} })
	if err := put(nobody); err != nil {
		t.Errorf("a put by nobody where rights are enforced no longer: %v", err)
	}
}

// The log does not look at rights when members change, so a node that is behind must
// not go by what it knows.
func TestMembersAreChangedByWhoMayNow(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	root, _ := guard(t, conn)
	client := pb.NewClusterClient(conn)
	n.set(func(n *oneNode) {
		n.missed = []kv.ChangeRights{{Kind: kv.StopGuard}, {Kind: kv.StartGuard, Hash: auth.NewKey()}}
	})
	add := &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:9380"}}
	if _, err := client.MemberAdd(root, add); !is(err, rpctypes.ErrGRPCInvalidAuthToken) {
		t.Errorf("with a token that the cluster no longer takes: %v", err)
	}
	if _, err := client.MemberAdd(as(t, conn, "root", "of all evil"), add); err != nil {
		t.Error(err)
	}
}

// Anybody may try passwords, each of which takes long: that must not keep out those
// who are in.
func TestPasswordsKeepNobodyOut(t *testing.T) {
	limits := testLimits
	limits.Requests = 1
	_, s, conn := serve(t, limits)
	root, _ := guard(t, conn)
	s.rooms.logins.Try()
	if _, err := pb.NewKVClient(conn).Put(root, &pb.PutRequest{Key: []byte("k")}); err != nil {
		t.Errorf("while a password is being looked at: %v", err)
	}
	login := func() error {
		return second(pb.NewAuthClient(conn).Authenticate(t.Context(), &pb.AuthenticateRequest{Name: "u", Password: "p"}))
	}
	if err := login(); !is(err, rpctypes.ErrGRPCRequestTooManyRequests) {
		t.Errorf("one more password than there is room for: %v", err)
	}
	s.rooms.logins.Leave()
	s.rooms.calls.Try()
	if err := login(); err != nil {
		t.Errorf("while another call is in progress: %v", err)
	}
}
