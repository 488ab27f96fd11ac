package client

import (
	"errors"
	"fmt"

	"github.com/quorate-db/quorate/server/api/wire"
)

// What a call can end with; use errors.Is. A write that ends with any of them
// but ErrUnknownOutcome was certainly not carried out.
var (
	ErrNotFound           = errors.New("the key does not exist")
	ErrPreconditionFailed = errors.New("the key is not at the expected revision")
	ErrTooLarge           = errors.New("the key or the value is too large")
	ErrCompacted          = errors.New("this revision was compacted away")
	ErrSessionExpired     = errors.New("the session has expired")
	ErrMemberUnknown      = errors.New("the cluster has no such member")
	ErrBusy               = errors.New("too many requests are waiting at the server")
	ErrDiskFull           = errors.New("the disk of the leader, or of the server, has too little room left")
	ErrNoLeader           = errors.New("the cluster has no leader")
	ErrUnavailable        = errors.New("no endpoint gave an answer")
	ErrUnknownOutcome     = errors.New("the write may or may not have been carried out")
)

// sentinels says which error a problem's code is. Codes that are not here are
// told apart by Error.Code.
var sentinels = map[wire.Code]error{
	wire.NotFound:           ErrNotFound,
	wire.PreconditionFailed: ErrPreconditionFailed,
	wire.KeyTooLarge:        ErrTooLarge,
	wire.ValueTooLarge:      ErrTooLarge,
	wire.Compacted:          ErrCompacted,
	wire.SessionExpired:     ErrSessionExpired,
	wire.MemberUnknown:      ErrMemberUnknown,
	wire.Busy:               ErrBusy,
	wire.DiskFull:           ErrDiskFull,
	wire.NoLeader:           ErrNoLeader,
	wire.Unavailable:        ErrUnavailable,
	wire.Timeout:            ErrUnavailable,
	wire.OutcomeUnknown:     ErrUnknownOutcome,
}

// Error is a problem that a server answered with.
type Error struct {
	Endpoint string    // who answered
	Status   int       // of the HTTP answer
	Code     wire.Code // empty if the answer was not quorate's
	Detail   string    // one sentence: what is wrong and what to do
}

// Error returns the server's sentence.
func (e *Error) Error() string { return e.Detail }

// Is reports whether the target is the sentinel of the problem's code.
func (e *Error) Is(target error) bool { return sentinels[e.Code] == target }

// doubt is how a write ends that was sent, and whose outcome nobody told. Its
// cause is told as text only: an errors.Is for ErrNoLeader must not succeed on a
// write that an earlier attempt may have carried out.
func doubt(cause error) error {
	if errors.Is(cause, ErrUnknownOutcome) {
		return cause
	}
	return fmt.Errorf("%w: %v", ErrUnknownOutcome, cause)
}
