package httpapi

import (
	"context"
	"fmt"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// A write may be called "not done" only if that is certain.
func TestErrorsBecomeTheirProblem(t *testing.T) {
	for _, c := range []struct {
		err  error
		code wire.Code
	}{
		{quorate.ErrNoLeader, wire.NoLeader},
		{quorate.ErrUnknownOutcome, wire.OutcomeUnknown},
		{fmt.Errorf("%w: %w", quorate.ErrUnknownOutcome, context.DeadlineExceeded), wire.OutcomeUnknown},
		{fmt.Errorf("%w: %w", quorate.ErrNoLeader, context.DeadlineExceeded), wire.NoLeader},
		{fmt.Errorf("%w: %w", quorate.ErrBusy, context.DeadlineExceeded), wire.Busy},
		{fmt.Errorf("%w: %w", quorate.ErrNotTakenOver, context.DeadlineExceeded), wire.TransferFailed},
		{context.DeadlineExceeded, wire.OutcomeUnknown},
		{context.Canceled, wire.OutcomeUnknown},
		{fmt.Errorf("%w: %w", quorate.ErrTooLate, context.Canceled), wire.Timeout},
		{quorate.ErrBusy, wire.Busy},
		{quorate.ErrDiskFull, wire.DiskFull},
		{quorate.ErrTooLarge, wire.ValueTooLarge},
		{quorate.ErrClosed, wire.Unavailable},
		{quorate.ErrStopped, wire.Unavailable},
		{raft.ErrNotLeader, wire.NoLeader},
		{raft.ErrChangePending, wire.ChangePending},
		{raft.ErrTooEarly, wire.ChangePending},
		{raft.ErrNotCaughtUp, wire.NotCaughtUp},
		{raft.ErrTooFewVoters, wire.TooFewVoters},
		{raft.ErrNotVoter, wire.TransferFailed},
		{membership.ErrLastVoter, wire.LastVoter},
		{membership.ErrKnown, wire.MemberExists},
		{membership.ErrUnknown, wire.MemberUnknown},
		{membership.ErrNotLearner, wire.NotLearner},
		{membership.ErrAddressUsed, wire.AddressUsed},
		{kv.ErrMalformed, wire.Malformed},
		{kv.ErrSessionExpired, wire.SessionExpired},
		{kv.ErrSequenceTooOld, wire.SequenceTooOld},
		{kv.ErrFutureRevision, wire.FutureRevision},
		{kv.ErrCompacted, wire.Compacted},
		{errDisk, wire.Internal},
	} {
		if p := problemOf(maybeDone(c.err)); p.Code != c.code {
			t.Errorf("%v became %s, want %s", c.err, p.Code, c.code)
		}
	}
	if p := problemOf(context.DeadlineExceeded); p.Code != wire.Timeout {
		t.Errorf("a read out of time became %s, want %s", p.Code, wire.Timeout)
	}
}
