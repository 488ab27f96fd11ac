package etcdv3

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
)

// The detail (google.rpc.ErrorInfo) of an error after which the request has
// certainly not been carried out, where the code alone does not say so: etcd's
// clients take Unavailable for "perhaps".
const (
	ErrorDomain  = "quorate"
	NotCommitted = "NOT_COMMITTED"
)

// certain attaches the detail to one of etcd's errors.
func certain(err error) error {
	with, failed := status.Convert(err).WithDetails(&errdetails.ErrorInfo{Domain: ErrorDomain, Reason: NotCommitted})
	if failed != nil {
		return err // only a status of code OK takes no details
	}
	return with.Err()
}

// meanings says which of etcd's errors an error is, once it is certain that
// nothing was done. The first that matches counts.
var meanings = []struct{ err, means error }{
	{kv.ErrEmptyKey, rpctypes.ErrGRPCEmptyKey},
	{kv.ErrTooLarge, rpctypes.ErrGRPCRequestTooLarge},
	{kv.ErrTooManyOps, rpctypes.ErrGRPCTooManyOps},
	{kv.ErrDuplicateKey, rpctypes.ErrGRPCDuplicateKey},
	{kv.ErrFutureRevision, rpctypes.ErrGRPCFutureRev},
	{kv.ErrCompacted, rpctypes.ErrGRPCCompacted},
	{kv.ErrKeyNotFound, rpctypes.ErrGRPCKeyNotFound},
	{kv.ErrLeaseNotFound, rpctypes.ErrGRPCLeaseNotFound},
	{kv.ErrLeaseExists, rpctypes.ErrGRPCLeaseExist},
	{kv.ErrNoSpace, rpctypes.ErrGRPCNoSpace},
	{kv.ErrCorrupt, rpctypes.ErrGRPCCorrupt},

	{kv.ErrNoUser, rpctypes.ErrGRPCUserEmpty},
	{kv.ErrOldRights, rpctypes.ErrGRPCAuthOldRevision},
	{kv.ErrDenied, rpctypes.ErrGRPCPermissionDenied},
	{kv.ErrUserNotFound, rpctypes.ErrGRPCUserNotFound},
	{kv.ErrUserExists, rpctypes.ErrGRPCUserAlreadyExist},
	{kv.ErrNoRole, rpctypes.ErrGRPCRoleEmpty},
	{kv.ErrRoleNotFound, rpctypes.ErrGRPCRoleNotFound},
	{kv.ErrRoleExists, rpctypes.ErrGRPCRoleAlreadyExist},
	{kv.ErrRoleNotGranted, rpctypes.ErrGRPCRoleNotGranted},
	{kv.ErrRightNotGranted, rpctypes.ErrGRPCPermissionNotGranted},
	{kv.ErrInvalidRight, rpctypes.ErrGRPCInvalidAuthMgmt},
	{kv.ErrRootNeeded, rpctypes.ErrGRPCInvalidAuthMgmt},
	{kv.ErrNoRootUser, rpctypes.ErrGRPCRootUserNotExist},
	{kv.ErrNoRootRole, rpctypes.ErrGRPCRootRoleNotExist},
	{auth.ErrNotEnforced, rpctypes.ErrGRPCAuthNotEnabled},
	{auth.ErrWrong, rpctypes.ErrGRPCAuthFailed},
	{auth.ErrNoPassword, status.Error(codes.Unknown, "auth: authentication failed, password was given for no password user")},
	{auth.ErrOnlyChecked, status.Error(codes.Unknown, "auth: token signing attempted with verify-only key")},
	{auth.ErrBadToken, rpctypes.ErrGRPCInvalidAuthToken},

	{membership.ErrKnown, rpctypes.ErrGRPCMemberExist},
	{membership.ErrUnknown, rpctypes.ErrGRPCMemberNotFound},
	{membership.ErrAddressUsed, rpctypes.ErrGRPCPeerURLExist},
	{membership.ErrNotLearner, rpctypes.ErrGRPCMemberNotLearner},
	{membership.ErrLastVoter, rpctypes.ErrGRPCMemberNotEnoughStarted},
	{members.ErrTooManyLearners, rpctypes.ErrGRPCTooManyLearners},
	{raft.ErrNotCaughtUp, rpctypes.ErrGRPCLearnerNotReady},
	{raft.ErrNotVoter, rpctypes.ErrGRPCBadLeaderTransferee},
}

// weather are the errors that pass, after which nothing was done either.
var weather = []struct{ err, means error }{
	{quorate.ErrNoLeader, rpctypes.ErrGRPCNoLeader},
	{raft.ErrNoLeader, rpctypes.ErrGRPCNoLeader},
	{raft.ErrNotLeader, rpctypes.ErrGRPCLeaderChanged},
	{raft.ErrTransferring, rpctypes.ErrGRPCLeaderChanged},
	{kv.ErrTooManyLeases, rpctypes.ErrGRPCRequestTooManyRequests},
	{kv.ErrTooManyAlarms, rpctypes.ErrGRPCRequestTooManyRequests},
	{quorate.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
	{raft.ErrBusy, rpctypes.ErrGRPCRequestTooManyRequests},
	{quorate.ErrDiskFull, rpctypes.ErrGRPCNoSpace},
	{quorate.ErrTooLarge, rpctypes.ErrGRPCRequestTooLarge},
	{quorate.ErrClosed, rpctypes.ErrGRPCStopped},
	{quorate.ErrStopped, rpctypes.ErrGRPCStopped},
	{quorate.ErrNotTakenOver, rpctypes.ErrGRPCTimeout},
	{quorate.ErrTooLate, rpctypes.ErrGRPCTimeout},
	{raft.ErrStaleChange, rpctypes.ErrGRPCUnhealthy},
	{raft.ErrTooEarly, rpctypes.ErrGRPCUnhealthy},
	{raft.ErrChangePending, rpctypes.ErrGRPCUnhealthy},
	{raft.ErrTooFewVoters, rpctypes.ErrGRPCUnhealthy},
}

// unserved is what a client is told of an error of a call that may have changed
// something. Whatever leaves that open is Unavailable or, if it was the client's
// own time that ran out, DeadlineExceeded.
func (s *Server) unserved(ctx context.Context, err error) error {
	unknown := errors.Is(err, quorate.ErrUnknownOutcome)
	if unknown || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		// Our own time may also have run out while there was nobody to send it to.
		if unknown || !errors.Is(err, quorate.ErrNoLeader) && !errors.Is(err, quorate.ErrTooLate) {
			return rpctypes.ErrGRPCTimeout
		}
	}
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			return m.means
		}
	}
	for _, m := range weather {
		if errors.Is(err, m.err) {
			return certain(m.means)
		}
	}
	s.Logger.Error("an etcd request failed", "error", err)
	return status.Error(codes.Unavailable, "quorate: this node failed in a way that it cannot name: its log says more ("+oneLine(err.Error())+")")
}

// readError is what a client is told of an error of the store while it was read.
func readError(err error) error {
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			return m.means
		}
	}
	return status.Error(codes.Internal, "quorate: this node's store cannot be read: "+oneLine(err.Error()))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
