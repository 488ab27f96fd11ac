package raft

import (
	"errors"
	"fmt"
)

// Refusals: the core is as it was, and the caller may try again or elsewhere.
var (
	ErrNotLeader     = errors.New("raft: this node does not lead")
	ErrNoLeader      = errors.New("raft: no leader is known at the moment")
	ErrTransferring  = errors.New("raft: leadership is being handed over")
	ErrBusy          = errors.New("raft: too many bytes wait to be committed")
	ErrChangePending = errors.New("raft: another membership change is not yet committed")                                      // M1
	ErrTooEarly      = errors.New("raft: this leader has not yet committed an entry of its term, or heard from enough voters") // M7
	ErrNotCaughtUp   = errors.New("raft: this learner has not yet caught up")                                                  // M5
	ErrTooFewVoters  = errors.New("raft: too few of the voters that would be left keep up with this leader")                   // else M2 loses the group
	ErrStaleChange   = errors.New("raft: the membership has changed since it was looked at")                                   // compare-and-set
	ErrNotVoter      = errors.New("raft: leadership can be handed only to another voter that answers")                         // TR1
	ErrCompacted     = errors.New("raft: this part of the log is gone")                                                        // SN1
	ErrAhead         = errors.New("raft: the state machine is said to hold more than this node has applied or has on its disk")
)

// ErrLost is returned by New for a node whose disk has lost something, if by what is
// left nobody else has it: going on could take back what was acknowledged.
var ErrLost = errors.New("raft: the disk of the group's only voter has lost a part of its log")

// Violation is the panic of an assertion: a sign that this program, its disk or
// a peer breaks the algorithm. The group that meets one must not go on.
type Violation struct{ Reason string }

func (v Violation) Error() string { return "raft: invariant broken: " + v.Reason }

// assert says what must be true: assert(a <= b || broken("V2: %d after %d", a, b)).
// Words stand behind the "or" because the compiler would otherwise gather them
// for every assertion that holds, which took more time than all of Raft.
func assert(holds bool) {
	if !holds {
		panic(Violation{"an assertion that says nothing failed"})
	}
}

// broken stops the group.
func broken(format string, args ...any) bool {
	panic(Violation{fmt.Sprintf(format, args...)})
}
