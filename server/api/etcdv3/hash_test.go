package etcdv3

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Nothing can be downgraded to; what is no action is told from what is no version, with
// etcd's code and text.
func TestDowngrade(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	for _, c := range []struct {
		action pb.DowngradeRequest_DowngradeAction
		want   error
	}{
		{pb.DowngradeRequest_VALIDATE, rpctypes.ErrGRPCInvalidDowngradeTargetVersion},
		{pb.DowngradeRequest_ENABLE, rpctypes.ErrGRPCInvalidDowngradeTargetVersion},
		{pb.DowngradeRequest_CANCEL, nil},
		{7, status.Error(codes.Unknown, "etcdserver: unknown method")},
	} {
		_, err := pb.NewMaintenanceClient(conn).Downgrade(t.Context(), &pb.DowngradeRequest{Action: c.action, Version: "3.6"})
		if got, want := status.Convert(err), status.Convert(c.want); got.Code() != want.Code() || got.Message() != want.Message() {
			t.Errorf("%v: %v, want %v", c.action, err, c.want)
		}
	}
}
