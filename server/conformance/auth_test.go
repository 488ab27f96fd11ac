package conformance

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/internal/goal"
)

// court is a server, and the tokens that it has given to users.
type court struct {
	conns  []*grpc.ClientConn // of its nodes
	tokens map[string]string
}

// by is a call on somebody's behalf; users without a token are nobody.
type by struct {
	user   string
	method string
	in     proto.Message
}

var authMethods = []string{
	pb.Auth_UserAdd_FullMethodName, pb.Auth_UserDelete_FullMethodName, pb.Auth_UserChangePassword_FullMethodName,
	pb.Auth_UserGrantRole_FullMethodName, pb.Auth_UserRevokeRole_FullMethodName, pb.Auth_RoleAdd_FullMethodName,
	pb.Auth_RoleDelete_FullMethodName, pb.Auth_RoleGrantPermission_FullMethodName, pb.Auth_RoleRevokePermission_FullMethodName,
	pb.Auth_UserGet_FullMethodName, pb.Auth_UserList_FullMethodName, pb.Auth_RoleGet_FullMethodName, pb.Auth_RoleList_FullMethodName,
	pb.Auth_AuthStatus_FullMethodName,
}

var (
	userNames = []string{"root", "ann", "bob", "eve", ""}
	roleNames = []string{"root", "r", "s", ""}
	passwords = []string{"p", "p", "q", ""}
	// Of each key one end: etcd keeps several rights on one key in the order in which
	// they came, and some of them twice.
	rightKeys = map[string]string{"a": "", "aa": "b", "b": "c", "b/": "b0", "c": "\x00", "": "", "z": "b", "\xff": ""}
)

func pick(d drawing, from []string) string { return from[d.IntN(len(from))] }

// change draws a call to the Auth service.
func (d drawing) authRequest() (string, proto.Message) {
	user, role := pick(d, userNames), pick(d, roleNames)
	key := pick(d, slices.Sorted(maps.Keys(rightKeys)))
	switch method := pick(d, authMethods); method {
	case pb.Auth_UserAdd_FullMethodName:
		return method, &pb.AuthUserAddRequest{Name: user, Password: pick(d, passwords), Options: &authpb.UserAddOptions{NoPassword: d.one(6)}}
	case pb.Auth_UserDelete_FullMethodName:
		if !d.one(3) {
			return pb.Auth_RoleList_FullMethodName, &pb.AuthRoleListRequest{}
		}
		return method, &pb.AuthUserDeleteRequest{Name: user}
	case pb.Auth_UserChangePassword_FullMethodName:
		return method, &pb.AuthUserChangePasswordRequest{Name: user, Password: pick(d, passwords)}
	case pb.Auth_UserGrantRole_FullMethodName:
		return method, &pb.AuthUserGrantRoleRequest{User: user, Role: role}
	case pb.Auth_UserRevokeRole_FullMethodName:
		return method, &pb.AuthUserRevokeRoleRequest{Name: user, Role: role}
	case pb.Auth_RoleAdd_FullMethodName:
		return method, &pb.AuthRoleAddRequest{Name: role}
	case pb.Auth_RoleDelete_FullMethodName:
		if !d.one(3) {
			return pb.Auth_UserList_FullMethodName, &pb.AuthUserListRequest{}
		}
		return method, &pb.AuthRoleDeleteRequest{Role: role}
	case pb.Auth_RoleGrantPermission_FullMethodName:
		r := &pb.AuthRoleGrantPermissionRequest{Name: role}
		if !d.one(20) {
			r.Perm = &authpb.Permission{Key: []byte(key), RangeEnd: []byte(rightKeys[key]), PermType: authpb.Permission_Type(d.IntN(3))}
		}
		return method, r
	case pb.Auth_RoleRevokePermission_FullMethodName:
		return method, &pb.AuthRoleRevokePermissionRequest{Role: role, Key: []byte(key), RangeEnd: []byte(rightKeys[key])}
	case pb.Auth_UserGet_FullMethodName:
		return method, &pb.AuthUserGetRequest{Name: user}
	case pb.Auth_UserList_FullMethodName:
		return method, &pb.AuthUserListRequest{}
	case pb.Auth_RoleGet_FullMethodName:
		return method, &pb.AuthRoleGetRequest{Role: role}
	case pb.Auth_RoleList_FullMethodName:
		return method, &pb.AuthRoleListRequest{}
	default:
		return pb.Auth_AuthStatus_FullMethodName, &pb.AuthStatusRequest{}
	}
}

// call draws any call.
func (d drawing) call() by {
	b := by{user: pick(d, userNames)}
	switch n := d.IntN(30); {
	case n < 14:
		b.method, b.in = d.authRequest()
		if d.one(2) {
			b.user = "root"
		}
	case n < 15:
		b.method, b.in = pb.Auth_AuthEnable_FullMethodName, &pb.AuthEnableRequest{}
	case n < 16 && d.one(3):
		b.user, b.method, b.in = "root", pb.Auth_AuthDisable_FullMethodName, &pb.AuthDisableRequest{}
	case n < 18:
		b.method, b.in = d.leaseRequest()
	default:
		b.in = d.request()
		switch r := b.in.(type) {
		case *pb.RangeRequest:
			b.method = pb.KV_Range_FullMethodName
		case *pb.PutRequest:
			r.Lease = []int64{0, 0, 0, 1, 2, 9}[d.IntN(6)]
			b.method = pb.KV_Put_FullMethodName
		case *pb.DeleteRangeRequest:
			b.method = pb.KV_DeleteRange_FullMethodName
		case *pb.TxnRequest:
			b.method = pb.KV_Txn_FullMethodName
		case *pb.CompactionRequest:
			b.method = pb.KV_Compact_FullMethodName
		default: // a stream
			b.method, b.in = pb.Auth_AuthStatus_FullMethodName, &pb.AuthStatusRequest{}
		}
	}
	return b
}

func (d drawing) leaseRequest() (string, proto.Message) {
	id := 1 + d.Int64N(3)
	switch d.IntN(5) {
	case 0, 1:
		return pb.Lease_LeaseGrant_FullMethodName, &pb.LeaseGrantRequest{ID: id, TTL: 3600}
	case 2:
		return pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: id}
	default:
		return pb.Lease_LeaseLeases_FullMethodName, &pb.LeaseLeasesRequest{}
	}
}

var answers = map[string]func() headed{
	pb.Auth_UserAdd_FullMethodName: func() headed { return &pb.AuthUserAddResponse{} }, pb.Auth_UserDelete_FullMethodName: func() headed { return &pb.AuthUserDeleteResponse{} },
	pb.Auth_UserChangePassword_FullMethodName: func() headed { return &pb.AuthUserChangePasswordResponse{} },
	pb.Auth_UserGrantRole_FullMethodName:      func() headed { return &pb.AuthUserGrantRoleResponse{} }, pb.Auth_UserRevokeRole_FullMethodName: func() headed { return &pb.AuthUserRevokeRoleResponse{} },
	pb.Auth_RoleAdd_FullMethodName: func() headed { return &pb.AuthRoleAddResponse{} }, pb.Auth_RoleDelete_FullMethodName: func() headed { return &pb.AuthRoleDeleteResponse{} },
	pb.Auth_RoleGrantPermission_FullMethodName: func() headed { return &pb.AuthRoleGrantPermissionResponse{} }, pb.Auth_RoleRevokePermission_FullMethodName: func() headed { return &pb.AuthRoleRevokePermissionResponse{} },
	pb.Auth_UserGet_FullMethodName: func() headed { return &pb.AuthUserGetResponse{} }, pb.Auth_UserList_FullMethodName: func() headed { return &pb.AuthUserListResponse{} },
	pb.Auth_RoleGet_FullMethodName: func() headed { return &pb.AuthRoleGetResponse{} }, pb.Auth_RoleList_FullMethodName: func() headed { return &pb.AuthRoleListResponse{} },
	pb.Auth_AuthStatus_FullMethodName: func() headed { return &pb.AuthStatusResponse{} }, pb.Auth_AuthEnable_FullMethodName: func() headed { return &pb.AuthEnableResponse{} },
	pb.Auth_AuthDisable_FullMethodName: func() headed { return &pb.AuthDisableResponse{} }, pb.Lease_LeaseGrant_FullMethodName: func() headed { return &pb.LeaseGrantResponse{} },
	pb.Lease_LeaseRevoke_FullMethodName: func() headed { return &pb.LeaseRevokeResponse{} }, pb.Lease_LeaseLeases_FullMethodName: func() headed { return &pb.LeaseLeasesResponse{} },
	pb.KV_Range_FullMethodName: func() headed { return &pb.RangeResponse{} }, pb.KV_Put_FullMethodName: func() headed { return &pb.PutResponse{} },
	pb.KV_DeleteRange_FullMethodName: func() headed { return &pb.DeleteRangeResponse{} }, pb.KV_Txn_FullMethodName: func() headed { return &pb.TxnResponse{} },
	pb.KV_Compact_FullMethodName: func() headed { return &pb.CompactionResponse{} },
}

// do makes a call, with the token that the user was given last, at one of the nodes.
func (c *court) do(t *testing.T, node int, b by) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if token := c.tokens[b.user]; token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
	}
	out := answers[b.method]()
	if err := c.conns[node%len(c.conns)].Invoke(ctx, b.method, b.in, out); err != nil {
		return answer{err: err}
	}
	h := out.GetHeader()
	h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
	if l, is := out.(*pb.LeaseLeasesResponse); is { // in no order
		slices.SortFunc(l.Leases, func(a, b *pb.LeaseStatus) int { return int(a.ID - b.ID) })
	}
	return answer{message: out, revision: h.Revision}
}

// login gets a token, or forgets the old one.
func (c *court) login(t *testing.T, node int, name, password string) string {
	t.Helper()
	r, err := pb.NewAuthClient(c.conns[node%len(c.conns)]).Authenticate(t.Context(), &pb.AuthenticateRequest{Name: name, Password: password})
	if err != nil {
		return outcome(nil, err, "")
	}
	c.tokens[name] = r.Token
	return outcome(r.Header, nil, "")
}

// TestSameRights sends randomized calls of several users to etcd and to quorate, of
// which some change what they may do. All that is answered must be the same.
func TestSameRights(t *testing.T) {
	etcd, quorate := courts(t)
	done := sameRights(t, etcd, quorate, *sequences, func(drawing, by) {})
	goal.AtLeast(os.Stdout, "auth_sequences", float64(done), 1000)
}

// courts are one etcd and a cluster of quorate, with more flags for both.
func courts(t *testing.T, flags ...string) (etcd, quorate *court) {
	t.Helper()
	etcd = &court{[]*grpc.ClientConn{dial(t, startEtcd(t, append(flags, "--bcrypt-cost=4")...))}, map[string]string{}}
	addresses, _ := startQuorate(t, *nodes, flags...)
	quorate = &court{tokens: map[string]string{}}
	for _, a := range addresses {
		quorate.conns = append(quorate.conns, dial(t, a))
	}
	return etcd, quorate
}

// doesNothing reports whether a transaction, with those nested in it, has no operation
// and no compare.
func doesNothing(t *pb.TxnRequest) bool {
	does := func(op *pb.RequestOp) bool {
		nested, is := op.Request.(*pb.RequestOp_RequestTxn)
		return !is || !doesNothing(nested.RequestTxn)
	}
	return len(t.Compare) == 0 && !slices.ContainsFunc(t.Success, does) && !slices.ContainsFunc(t.Failure, does)
}

// sameRights compares that many sequences, or those up to the first difference. After
// each call that both have carried out, or refused, after is called with it.
func sameRights(t *testing.T, etcd, quorate *court, sequences int, after func(drawing, by)) (done int) {
	t.Helper()
	differences, refused := 0, 0
	outcomes := make(map[string]int)
	revision := int64(1)
	differ := func(seed uint64, what, want, got string) {
		if want != got {
			differences++
			t.Errorf("seed %d: %s\netcd    %s\nquorate %s", seed, what, want, got)
		}
	}
	for ; done < sequences && differences == 0; done++ {
		from := *seed + uint64(done)
		d := drawing{rand.New(rand.NewPCG(from, 2)), revision, false}
		for range 2 * requestsPerSequence {
			node := d.IntN(3)
			if d.one(8) {
				name, password := pick(d, userNames), pick(d, passwords)
				want, got := etcd.login(t, node, name, password), quorate.login(t, node, name, password)
				differ(from, "login of "+name+" with "+password, want, got)
				outcomes["login: "+want]++
				continue
			}
			b := d.call()
			if t, is := b.in.(*pb.TxnRequest); is && doesNothing(t) {
				continue // etcd lets everybody do that
			}
			want, got := etcd.do(t, node, b), quorate.do(t, node, b)
			differ(from, fmt.Sprintf("%q %s %s", b.user, b.method, prototext.Format(b.in)), want.text(), got.text())
			if want.err != nil && strings.Contains(want.text(), "permission denied") {
				refused++
			}
			d.revision = max(d.revision, want.revision)
			outcomes[fmt.Sprintf("%s: %v", b.method, want.err)]++
			after(d, b)
		}
		revision = d.revision
	}
	goal.AtMost(os.Stdout, "auth_differences", float64(differences), 0)
	if done >= 100 && refused < done/10 {
		t.Errorf("only %d of the calls were denied: nothing is tried", refused)
	}
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[o], o)
	}
	return done
}
