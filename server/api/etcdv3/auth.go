package etcdv3

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
)

// authServer is etcdserverpb.Auth.
type authServer struct {
	*Server
	pb.UnsafeAuthServer
}

// AuthEnable has rights enforced from now on.
func (s *authServer) AuthEnable(ctx context.Context, _ *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.StartGuard, Hash: auth.NewKey()})
	return &pb.AuthEnableResponse{Header: h}, err
}

// AuthDisable ends that.
func (s *authServer) AuthDisable(ctx context.Context, _ *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.StopGuard})
	return &pb.AuthDisableResponse{Header: h}, err
}

// AuthStatus says whether rights are enforced.
func (s *authServer) AuthStatus(ctx context.Context, _ *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	state, err := s.agreed(ctx)
	if err != nil {
		return nil, err
	}
	return &pb.AuthStatusResponse{Header: s.header(state.Revision), Enabled: state.Guarded, AuthRevision: uint64(state.Rights)}, nil
}

// Authenticate answers a user that knows its password with a token.
func (s *authServer) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	state, err := s.agreed(ctx)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	token, err := s.Keeper.Login(waiting, r.Name, r.Password)
	if err != nil {
		return nil, s.unserved(ctx, err)
	}
	return &pb.AuthenticateResponse{Header: s.header(state.Revision), Token: token}, nil
}

// UserAdd adds a user.
func (s *authServer) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error) {
	do := kv.ChangeRights{Kind: kv.AddUser, User: r.Name, NoPassword: r.GetOptions().GetNoPassword()}
	if !do.NoPassword {
		var err error
		if do.Hash, err = s.hash(ctx, r.Password); err != nil {
			return nil, err
		}
	}
	h, err := s.change(ctx, do)
	return &pb.AuthUserAddResponse{Header: h}, err
}

// UserChangePassword gives a user another password; an empty one is never right.
func (s *authServer) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (*pb.AuthUserChangePasswordResponse, error) {
	do := kv.ChangeRights{Kind: kv.SetPassword, User: r.Name}
	if r.Password != "" {
		var err error
		if do.Hash, err = s.hash(ctx, r.Password); err != nil {
			return nil, err
		}
	}
	h, err := s.change(ctx, do)
	return &pb.AuthUserChangePasswordResponse{Header: h}, err
}

func (s *authServer) hash(ctx context.Context, password string) ([]byte, error) {
	waiting, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	hash, err := s.Keeper.Hash(waiting, password)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return nil, status.Error(codes.Unknown, err.Error()) // as etcd says it
	}
	if err != nil {
		return nil, s.unserved(ctx, err)
	}
	return hash, nil
}

// UserDelete deletes a user.
func (s *authServer) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.DeleteUser, User: r.Name})
	return &pb.AuthUserDeleteResponse{Header: h}, err
}

// UserGrantRole gives a user a role.
func (s *authServer) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.GrantRole, User: r.User, Role: r.Role})
	return &pb.AuthUserGrantRoleResponse{Header: h}, err
}

// UserRevokeRole takes a role from a user.
func (s *authServer) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.RevokeRole, User: r.Name, Role: r.Role})
	return &pb.AuthUserRevokeRoleResponse{Header: h}, err
}

// RoleAdd adds a role.
func (s *authServer) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.AddRole, Role: r.Name})
	return &pb.AuthRoleAddResponse{Header: h}, err
}

// RoleDelete deletes a role, and takes it from all users.
func (s *authServer) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.DeleteRole, Role: r.Role})
	return &pb.AuthRoleDeleteResponse{Header: h}, err
}

var accesses = map[authpb.Permission_Type]kv.Access{
	authpb.Permission_READ: kv.MayRead, authpb.Permission_WRITE: kv.MayWrite, authpb.Permission_READWRITE: kv.MayRead | kv.MayWrite,
}

// RoleGrantPermission gives a role a right.
func (s *authServer) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	access, known := accesses[r.GetPerm().GetPermType()]
	switch {
	case r.Perm == nil:
		return nil, rpctypes.ErrGRPCPermissionNotGiven
	case !known:
		return nil, rpctypes.ErrGRPCInvalidAuthMgmt
	}
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.GrantRight, Role: r.Name, Right: kv.Right{Key: r.Perm.Key, End: r.Perm.RangeEnd, Access: access}})
	return &pb.AuthRoleGrantPermissionResponse{Header: h}, err
}

// RoleRevokePermission takes a right from a role.
func (s *authServer) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	h, err := s.change(ctx, kv.ChangeRights{Kind: kv.RevokeRight, Role: r.Role, Right: kv.Right{Key: r.Key, End: r.RangeEnd}})
	return &pb.AuthRoleRevokePermissionResponse{Header: h}, err
}

// change carries a change of rights out.
func (s *authServer) change(ctx context.Context, do kv.ChangeRights) (*pb.ResponseHeader, error) {
	result, err := s.propose(ctx, do)
	if err != nil {
		return nil, err
	}
	return s.header(result.Revision), nil
}

// agreed is how far the store has come, which is at least where any client was told.
func (s *authServer) agreed(ctx context.Context) (kv.State, error) {
	if err := s.await(ctx); err != nil {
		return kv.State{}, err
	}
	state, err := s.Machine.State()
	if err != nil {
		return state, readError(err)
	}
	return state, nil
}

// UserGet lists the roles of a user.
func (s *authServer) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	h, user, err := look(ctx, s, func(reads kv.Reads) (*kv.User, error) { return reads.User(r.Name) })
	if err != nil {
		return nil, err
	}
	return &pb.AuthUserGetResponse{Header: h, Roles: user.Roles}, nil
}

// UserList lists all users.
func (s *authServer) UserList(ctx context.Context, _ *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	h, users, err := look(ctx, s, kv.Reads.Users)
	out := &pb.AuthUserListResponse{Header: h}
	for _, u := range users {
		out.Users = append(out.Users, u.Name)
	}
	return out, err
}

// RoleList lists all roles.
func (s *authServer) RoleList(ctx context.Context, _ *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	h, roles, err := look(ctx, s, kv.Reads.Roles)
	out := &pb.AuthRoleListResponse{Header: h}
	for _, r := range roles {
		out.Roles = append(out.Roles, r.Name)
	}
	return out, err
}

// RoleGet lists the rights of a role. That of root says of itself what it may do.
func (s *authServer) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	h, role, err := look(ctx, s, func(reads kv.Reads) (*kv.Role, error) { return reads.Role(r.Role) })
	if err != nil {
		return nil, err
	}
	if role.Name == kv.Root {
		role.Rights = []kv.Right{{End: kv.NoEnd, Access: kv.MayRead | kv.MayWrite}}
	}
	out := &pb.AuthRoleGetResponse{Header: h}
	for _, right := range role.Rights {
		p := &authpb.Permission{Key: right.Key, RangeEnd: right.End}
		for kind, access := range accesses {
			if access == right.Access {
				p.PermType = kind
			}
		}
		out.Perm = append(out.Perm, p)
	}
	return out, nil
}

// look reads on behalf of the caller.
func look[T any](ctx context.Context, s *authServer, read func(kv.Reads) (T, error)) (h *pb.ResponseHeader, found T, err error) {
	by, err := s.caller(ctx)
	if err != nil {
		return nil, found, err
	}
	state, err := s.agreed(ctx)
	if err != nil {
		return nil, found, err
	}
	if found, err = read(s.Machine.For(by)); err != nil {
		return nil, found, readError(err)
	}
	return s.header(state.Revision), found, nil
}
