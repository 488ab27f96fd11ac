package etcdv3

import (
	"context"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/quorate-db/quorate/server/api/lockpb"
	"github.com/quorate-db/quorate/server/kv"
)

// audience is who may call a method while rights are enforced.
type audience int

const (
	forRoot  audience = iota // also whatever is not in the table
	forUsers                 // whoever has said who it is
	byRights                 // what it names decides; the store does, by what each is given or asked
	forAll
)

// audiences are etcd's.
var audiences = map[string]audience{
	pb.KV_Range_FullMethodName:       byRights,
	pb.KV_RangeStream_FullMethodName: byRights,
	pb.KV_Put_FullMethodName:         byRights,
	pb.KV_DeleteRange_FullMethodName: byRights,
	pb.KV_Txn_FullMethodName:         byRights,
	pb.KV_Compact_FullMethodName:     forRoot,

	pb.Watch_Watch_FullMethodName: byRights,

	pb.Lease_LeaseGrant_FullMethodName:      forUsers,
	pb.Lease_LeaseRevoke_FullMethodName:     byRights,
	pb.Lease_LeaseKeepAlive_FullMethodName:  byRights,
	pb.Lease_LeaseTimeToLive_FullMethodName: byRights,
	pb.Lease_LeaseLeases_FullMethodName:     byRights,

	lockpb.Lock_Lock_FullMethodName:         byRights,
	lockpb.Lock_Unlock_FullMethodName:       byRights,
	lockpb.Election_Campaign_FullMethodName: byRights,
	lockpb.Election_Proclaim_FullMethodName: byRights,
	lockpb.Election_Leader_FullMethodName:   byRights,
	lockpb.Election_Observe_FullMethodName:  byRights,
	lockpb.Election_Resign_FullMethodName:   byRights,

	pb.Cluster_MemberAdd_FullMethodName:     forRoot,
	pb.Cluster_MemberRemove_FullMethodName:  forRoot,
	pb.Cluster_MemberUpdate_FullMethodName:  forRoot,
	pb.Cluster_MemberPromote_FullMethodName: forRoot,
	pb.Cluster_MemberList_FullMethodName:    forUsers,

	pb.Maintenance_Alarm_FullMethodName:      forUsers, // to look; the rest is for root
	pb.Maintenance_Status_FullMethodName:     forUsers,
	pb.Maintenance_Defragment_FullMethodName: forRoot,
	pb.Maintenance_Hash_FullMethodName:       forRoot,
	pb.Maintenance_HashKV_FullMethodName:     forRoot,
	pb.Maintenance_Snapshot_FullMethodName:   forRoot,
	pb.Maintenance_MoveLeader_FullMethodName: forRoot,
	pb.Maintenance_Downgrade_FullMethodName:  forRoot,

	pb.Auth_AuthEnable_FullMethodName:           forRoot,
	pb.Auth_AuthDisable_FullMethodName:          forRoot,
	pb.Auth_AuthStatus_FullMethodName:           forAll,
	pb.Auth_Authenticate_FullMethodName:         forAll,
	pb.Auth_UserAdd_FullMethodName:              forRoot,
	pb.Auth_UserGet_FullMethodName:              byRights,
	pb.Auth_UserList_FullMethodName:             forRoot,
	pb.Auth_UserDelete_FullMethodName:           forRoot,
	pb.Auth_UserChangePassword_FullMethodName:   forRoot,
	pb.Auth_UserGrantRole_FullMethodName:        forRoot,
	pb.Auth_UserRevokeRole_FullMethodName:       forRoot,
	pb.Auth_RoleAdd_FullMethodName:              forRoot,
	pb.Auth_RoleGet_FullMethodName:              byRights,
	pb.Auth_RoleList_FullMethodName:             forRoot,
	pb.Auth_RoleDelete_FullMethodName:           forRoot,
	pb.Auth_RoleGrantPermission_FullMethodName:  forRoot,
	pb.Auth_RoleRevokePermission_FullMethodName: forRoot,

	healthpb.Health_Check_FullMethodName: forAll,
	healthpb.Health_List_FullMethodName:  forAll,
	healthpb.Health_Watch_FullMethodName: forAll,
}

// admit refuses who may not call a method, whatever it names. req is nil if that is
// not known yet.
func (s *Server) admit(ctx context.Context, method string, req any) error {
	who := audiences[method]
	if r, is := req.(*pb.AlarmRequest); is && r.Action != pb.AlarmRequest_GET {
		who = forRoot
	}
	if who == byRights || who == forAll {
		return nil
	}
	by, err := s.caller(ctx)
	if err != nil {
		return err
	}
	if who == forUsers {
		err = s.Machine.For(by).Known()
	} else {
		err = s.Machine.For(by).Admin()
	}
	if err != nil {
		return readError(err)
	}
	return nil
}

// stillRoot refuses who may not do everything as the cluster has it now. What the log
// does not check when it is applied must not be let in by a node that is behind.
func (s *Server) stillRoot(ctx context.Context) error {
	if _, err := s.Group.Read(ctx); err != nil {
		return s.unserved(ctx, err)
	}
	by, err := s.caller(ctx)
	if err != nil {
		return err
	}
	if err := s.Machine.For(by).Admin(); err != nil {
		return readError(err)
	}
	return nil
}

// caller finds out who calls, for what reads.
func (s *Server) caller(ctx context.Context) (kv.Caller, error) {
	by, err := s.who(ctx)
	if err != nil {
		return kv.Caller{}, readError(err)
	}
	return by, nil
}

// who finds out who calls. A client that shows no token is whom its certificate
// names, if that counts, or nobody.
func (s *Server) who(ctx context.Context) (kv.Caller, error) {
	shown := metadata.ValueFromIncomingContext(ctx, rpctypes.TokenFieldNameGRPC)
	if len(shown) == 0 {
		shown = metadata.ValueFromIncomingContext(ctx, rpctypes.TokenFieldNameSwagger)
	}
	switch {
	case len(shown) > 0:
		return s.Keeper.Caller(strings.TrimPrefix(shown[0], "Bearer "))
	case s.CertUsers:
		return s.Keeper.Certified(nameInCertificate(ctx))
	}
	return kv.Caller{}, nil
}
