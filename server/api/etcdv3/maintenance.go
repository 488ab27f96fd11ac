package etcdv3

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/api/wire"
)

// maintenanceServer is etcdserverpb.Maintenance.
type maintenanceServer struct {
	*Server
	pb.UnimplementedMaintenanceServer
}

// Status says what this node knows of itself; it never waits for others.
func (s *maintenanceServer) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	state, err := s.Machine.State()
	if err != nil {
		return nil, readError(err)
	}
	now := s.Group.Status()
	alarms, err := s.alarms(state)
	if err != nil {
		return nil, readError(err)
	}
	size := max(1, state.Bytes) // etcdctl divides by it
	out := &pb.StatusResponse{
		Header:           s.header(state.Revision),
		Version:          wire.EtcdVersion,
		StorageVersion:   wire.EtcdMinor,
		Leader:           uint64(now.Leader),
		RaftIndex:        uint64(now.Commit),
		RaftAppliedIndex: uint64(now.Applied),
		RaftTerm:         uint64(now.Term),
		DbSize:           size,
		DbSizeInUse:      size,
		DbSizeQuota:      state.Quota,
		IsLearner:        s.Learner(),
		DowngradeInfo:    &pb.DowngradeInfo{},
	}
	if now.Leader == 0 {
		out.Errors = append(out.Errors, status.Convert(rpctypes.ErrGRPCNoLeader).Message())
	}
	for _, a := range alarms {
		out.Errors = append(out.Errors, fmt.Sprintf("memberID:%d alarm:%v", a.MemberID, a.Alarm))
	}
	if now.Err != nil {
		out.Errors = append(out.Errors, oneLine(now.Err.Error()))
	}
	return out, nil
}

// Defragment has nothing to do: the store gives space back by itself.
func (s *maintenanceServer) Defragment(context.Context, *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	return &pb.DefragmentResponse{}, nil
}

// MoveLeader hands leadership to another member.
func (s *maintenanceServer) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if leader, _ := s.Group.Leader(); leader != s.MemberID {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	if r.TargetID == 0 { // to Transfer it means any member
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	if err := s.Group.Transfer(waiting, quorate.NodeID(r.TargetID)); err != nil {
		return nil, s.unserved(ctx, err)
	}
	return &pb.MoveLeaderResponse{}, nil // etcd gives it no header
}
