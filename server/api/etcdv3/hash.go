package etcdv3

import (
	"context"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/api/wire"
)

// Hash is of this node's whole store, as of now: members have the same only while
// they have applied as much.
func (s *maintenanceServer) Hash(context.Context, *pb.HashRequest) (*pb.HashResponse, error) {
	digest, err := s.Machine.Hash()
	if err != nil {
		return nil, readError(err)
	}
	return &pb.HashResponse{Header: s.header(digest.Revision), Hash: uint32(digest.Sum >> 32)}, nil
}

// HashKV is of keys and their history up to a revision: the same on every member that
// has it and has compacted alike.
func (s *maintenanceServer) HashKV(_ context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	h, err := s.Machine.HashKeys(r.Revision)
	if err != nil {
		return nil, readError(err)
	}
	compacted := h.Compacted
	if compacted == 0 {
		compacted = -1 // as etcd says that nothing was
	}
	return &pb.HashKVResponse{Header: s.header(h.State.Revision), Hash: h.Sum, CompactRevision: compacted, HashRevision: h.Revision}, nil
}

// Downgrade is never under way, so that to end it changes nothing; and no version can
// be gone back to.
func (s *maintenanceServer) Downgrade(_ context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	if _, known := pb.DowngradeRequest_DowngradeAction_name[int32(r.Action)]; !known {
		return nil, status.Error(codes.Unknown, "etcdserver: unknown method")
	}
	if r.Action == pb.DowngradeRequest_CANCEL {
		state, err := s.Machine.State()
		if err != nil {
			return nil, readError(err)
		}
		return &pb.DowngradeResponse{Header: s.header(state.Revision), Version: strings.TrimSuffix(wire.EtcdMinor, ".0")}, nil
	}
	if major, minor, ok := strings.Cut(strings.TrimPrefix(r.Version, "v"), "."); !ok || !digits(major) || !digits(strings.TrimSuffix(minor, ".0")) {
		return nil, rpctypes.ErrGRPCWrongDowngradeVersionFormat
	}
	return nil, rpctypes.ErrGRPCInvalidDowngradeTargetVersion
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
