package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
)

// meanings says which problem an error is. The first that matches counts.
var meanings = []struct {
	err    error
	code   wire.Code
	detail string
}{
	{quorate.ErrUnknownOutcome, wire.OutcomeUnknown,
		"the cluster did not answer in time and the write may or may not be carried out: read before writing again, or write in a session"},
	{quorate.ErrNoLeader, wire.NoLeader, "no leader could be reached in time and nothing was written: check that a majority of the members runs"},
	{raft.ErrNotLeader, wire.NoLeader, "leadership changed during the request and nothing was done: try again"},
	{quorate.ErrTooLate, wire.Timeout, "the request's time was over before this node got to the write, and nothing was written: try again, or allow more with ?timeout="},
	{quorate.ErrBusy, wire.Busy, "too many commands are waiting in this node and nothing was written: try again"},
	{quorate.ErrDiskFull, wire.DiskFull, "the disk of the leader, or of this node, has too little room left for writes and nothing was written: make room there, reads go on; if another member has room, it leads soon: try again"},
	{quorate.ErrTooLarge, wire.ValueTooLarge, "the key and the value together are larger than a command may be: store less under one key"},
	{quorate.ErrClosed, wire.Unavailable, "this node is shutting down: ask another"},
	{quorate.ErrStopped, wire.Unavailable, "the group has stopped on this node: its log says why; ask another"},

	{quorate.ErrNotRecorded, wire.Unavailable, "this node has recorded nothing lately: its group has had nothing to do"},
	{quorate.ErrNotTakenOver, wire.TransferFailed, "the other member did not take over in time: GET /v1/status shows whether it runs and has caught up"},

	{membership.ErrLastVoter, wire.LastVoter, "the last voter cannot leave: add and promote another member first"},
	{membership.ErrKnown, wire.MemberExists, "a member with this ID is in the cluster already"},
	{membership.ErrUnknown, wire.MemberUnknown, "the cluster has no member with this ID: list them with GET /v1/members"},
	{membership.ErrNotLearner, wire.NotLearner, "the member is a voter already: there is nothing to promote"},
	{members.ErrTooManyLearners, wire.TooManyLearners, "as many members as --max-learners allows are there to stay learners: promote one with POST /v1/members/{id}/promote, or remove it, or raise the flag"},
	{membership.ErrAddressUsed, wire.AddressUsed, "another member has this peer address: remove it first, or use another address"},
	{raft.ErrStaleChange, wire.ChangePending, "another membership change came first: look at the members and try again"},
	{raft.ErrTooEarly, wire.ChangePending, "the leader has only just been elected: try again"},
	{raft.ErrTransferring, wire.NoLeader, "leadership is being handed over and nothing was done: try again"},
	{raft.ErrNoLeader, wire.NoLeader, "no leader is known and nothing was done: check that a majority of the members runs"},
	{raft.ErrBusy, wire.Busy, "too many commands wait to be committed and nothing was written: try again"},
	{raft.ErrNotVoter, wire.TransferFailed, "leadership can be handed only to another voter that answers: GET /v1/members and GET /v1/status show which do"},
	{raft.ErrNotCaughtUp, wire.NotCaughtUp, "the learner has not caught up with the leader yet: try again, GET /v1/status shows its progress"},
	{raft.ErrTooFewVoters, wire.TooFewVoters, "of the voters that would be left no majority keeps up with the leader, and without one nothing could be written any more: start those that do not run, or remove one of them instead; GET /v1/status shows which those are"},
	{raft.ErrChangePending, wire.ChangePending, "another membership change is under way: try again when it is done"},

	{auth.ErrBadToken, wire.Unauthenticated, "the token in Authorization is not valid, or no longer: get one with POST /v3/auth/authenticate"},
	{kv.ErrNoUser, wire.Unauthenticated, "rights are enforced here: send Authorization: Bearer and a token, which POST /v3/auth/authenticate gives"},
	{kv.ErrOldRights, wire.Unauthenticated, "rights have changed during the request, or since a JSON Web Token was made, and nothing was done: try again, with a new token"},
	{kv.ErrDenied, wire.Forbidden, "the user may not do this: root may grant it a role that allows it"},
	{kv.ErrUserNotFound, wire.Forbidden, "the user does not exist any more"},

	{kv.ErrMalformed, wire.Malformed, "the command is not well formed"},
	{kv.ErrEmptyKey, wire.Malformed, "the key is empty: write it behind /v1/kv/"},
	{kv.ErrTooLarge, wire.ValueTooLarge, "the key or the value is larger than the store takes: 4096 and 16777216 bytes"},
	{kv.ErrSessionExpired, wire.SessionExpired, "the session does not exist or has expired and this write was not done: open a new one with POST /v1/sessions"},
	{kv.ErrSequenceTooOld, wire.SequenceTooOld, "the sequence number is too far behind the session's highest to tell whether the write was done: have at most 32 under way"},
	{kv.ErrFutureRevision, wire.FutureRevision, "the store has not come to this revision yet: the header Quorate-Revision of any answer says where it is"},
	{kv.ErrNoSpace, wire.NoSpace, "keys and their history take more than --quota-backend-bytes allows and nothing was written: delete keys and compact, or raise the quota"},
	{kv.ErrCorrupt, wire.Corrupt, "an alarm says that the store is corrupt and nothing was written: find out which member is, then end the alarm"},
	{kv.ErrCompacted, wire.Compacted, "the history at this revision was compacted away: ask for a later one"},

	// Only reads end so: maybeDone has seen to the rest.
	{context.DeadlineExceeded, wire.Timeout, "the cluster did not answer in time and nothing was written: try again, or allow more with ?timeout="},
	{context.Canceled, wire.Timeout, "the client went away before the answer; nothing was written"},
}

// maybeDone is the error of something that changes the cluster: where it does not
// say that nothing was done, it becomes ErrUnknownOutcome.
func maybeDone(err error) error {
	if err != nil && problemOf(err).Code == wire.Timeout && !errors.Is(err, quorate.ErrTooLate) {
		return fmt.Errorf("%w (%w)", quorate.ErrUnknownOutcome, err)
	}
	return err
}

// problemOf says what an error is to the client.
func problemOf(err error) *wire.Problem {
	if p, ok := errors.AsType[*wire.Problem](err); ok {
		return p
	}
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			return problem(m.code, m.detail)
		}
	}
	return problem(wire.Internal, "this node failed in a way that it cannot name: its log says more ("+oneLine(err.Error())+")")
}

// problem makes a problem of a code's kind.
func problem(code wire.Code, detail string) *wire.Problem {
	k := wire.KindOf(code)
	return &wire.Problem{
		Type:   "urn:quorate:problem:" + string(k.Code),
		Title:  k.Title,
		Status: k.Status,
		Detail: detail,
		Code:   k.Code,
	}
}

// tell sends the problem as the answer.
func tell(w http.ResponseWriter, p *wire.Problem) {
	h := w.Header()
	h.Set("Content-Type", wire.ProblemType)
	h.Set("Cache-Control", "no-store")
	if p.Code == wire.Busy || p.Code == wire.NoLeader || p.Code == wire.DiskFull {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(p)
}
