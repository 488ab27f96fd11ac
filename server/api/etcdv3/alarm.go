package etcdv3

import (
	"context"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/quorate-db/quorate/server/kv"
)

// Alarm lists alarms, or raises or ends one by hand.
func (s *maintenanceServer) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if r.Action == pb.AlarmRequest_GET {
		return s.listAlarms(ctx, r.Alarm)
	}
	do := kv.SetAlarm{Alarm: kv.Alarm{Member: r.MemberID, Kind: kv.AlarmKind(r.Alarm)}, On: r.Action == pb.AlarmRequest_ACTIVATE}
	if do.Kind != kv.NoSpace && do.Kind != kv.Corrupt {
		return s.listAlarms(ctx, -1) // of that kind there is none, to be raised or to be ended
	}
	result, err := s.propose(ctx, do)
	if err != nil {
		return nil, err
	}
	out := &pb.AlarmResponse{Header: s.header(result.Revision)}
	if do.On || result.Dropped > 0 {
		out.Alarms = []*pb.AlarmMember{{MemberID: r.MemberID, Alarm: r.Alarm}}
	}
	return out, nil
}

func (s *maintenanceServer) listAlarms(ctx context.Context, kind pb.AlarmType) (*pb.AlarmResponse, error) {
	if err := s.await(ctx); err != nil {
		return nil, err
	}
	state, err := s.Machine.State()
	if err != nil {
		return nil, readError(err)
	}
	alarms, err := s.alarms(state)
	if err != nil {
		return nil, readError(err)
	}
	out := &pb.AlarmResponse{Header: s.header(state.Revision)}
	for _, a := range alarms {
		if kind == pb.AlarmType_NONE || kind == a.Alarm {
			out.Alarms = append(out.Alarms, a)
		}
	}
	return out, nil
}

// alarms are those raised by hand and, for all members alike, that the quota is
// passed: each of them says it of itself.
func (s *Server) alarms(state kv.State) (all []*pb.AlarmMember, err error) {
	raised, err := s.Machine.Alarms()
	if state.Full {
		own := kv.Alarm{Member: uint64(s.MemberID), Kind: kv.NoSpace}
		if !slices.Contains(raised, own) {
			raised = append(raised, own)
		}
	}
	for _, a := range raised {
		all = append(all, &pb.AlarmMember{MemberID: a.Member, Alarm: pb.AlarmType(a.Kind)})
	}
	return all, err
}
