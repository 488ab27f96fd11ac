package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// raw sends bytes as they are, and takes no notice of an answer's.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) ([]byte, error) {
	text, is := v.([]byte)
	if !is {
		return nil, errors.New("only bytes can be sent")
	}
	return text, nil
}

func (raw) Unmarshal([]byte, any) error { return nil }

// TestSameBadText sends texts that are not UTF-8, which no client made by protoc would,
// in every string of the requests that name users, roles, members and leases, and of
// such that take bytes there.
func TestSameBadText(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	conns := []*grpc.ClientConn{dial(t, startEtcd(t)), dial(t, addresses[0])}
	call := func(conn *grpc.ClientConn, method string, body []byte) string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return fmt.Sprint(conn.Invoke(ctx, method, body, nil, grpc.ForceCodec(raw{})))
	}
	refused := 0
	for method, strings := range map[string]protowire.Number{
		pb.Auth_UserAdd_FullMethodName: 2, pb.Auth_UserDelete_FullMethodName: 1, pb.Auth_UserGet_FullMethodName: 1,
		pb.Auth_UserChangePassword_FullMethodName: 2, pb.Auth_UserGrantRole_FullMethodName: 2, pb.Auth_UserRevokeRole_FullMethodName: 2,
		pb.Auth_RoleAdd_FullMethodName: 1, pb.Auth_RoleDelete_FullMethodName: 1, pb.Auth_RoleGet_FullMethodName: 1,
		pb.Auth_RoleGrantPermission_FullMethodName: 1, pb.Auth_RoleRevokePermission_FullMethodName: 3, pb.Auth_Authenticate_FullMethodName: 2,
		pb.Cluster_MemberAdd_FullMethodName: 1, pb.KV_Put_FullMethodName: 2, pb.KV_Range_FullMethodName: 2,
	} {
		for field := protowire.Number(1); field <= strings; field++ {
			for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"} {
				body := protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), text)
				want, got := call(conns[0], method, body), call(conns[1], method, body)
				if want != got {
					t.Errorf("%s: field %d is %q\netcd    %s\nquorate %s", method, field, text, want, got)
				}
				if want != "<nil>" {
					refused++
				}
			}
		}
	}
	if refused < 40 {
		t.Errorf("only %d requests were refused: the texts do not arrive as they are", refused)
	}
}
