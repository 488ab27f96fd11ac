package httpapi

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/kv"
)

// Every code that is declared has exactly one row.
func TestEveryCodeIsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[Code]int)
	for _, k := range Kinds {
		rows[k.Code]++
		if k.Status < 400 || k.Title == "" || k.Retry == "" {
			t.Errorf("the row of %s is not complete: %+v", k.Code, k)
		}
	}
	declared := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Code" {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared++
		if rows[Code(code)] != 1 {
			t.Errorf("%s has %d rows, want 1", code, rows[Code(code)])
		}
		return true
	})
	if declared == 0 || declared != len(Kinds) {
		t.Errorf("%d codes are declared and %d are in the table", declared, len(Kinds))
	}
}

// A write may be called "not done" only if that is certain.
func TestErrorsBecomeTheirProblem(t *testing.T) {
	for _, c := range []struct {
		err  error
		code Code
	}{
		{quorate.ErrNoLeader, NoLeader},
		{quorate.ErrUnknownOutcome, OutcomeUnknown},
		{fmt.Errorf("%w: %w", quorate.ErrUnknownOutcome, context.DeadlineExceeded), OutcomeUnknown},
		{fmt.Errorf("%w: %w", quorate.ErrNoLeader, context.DeadlineExceeded), NoLeader},
		{fmt.Errorf("%w: %w", quorate.ErrBusy, context.DeadlineExceeded), Busy},
		{fmt.Errorf("%w: %w", quorate.ErrNotTakenOver, context.DeadlineExceeded), TransferFailed},
		{context.DeadlineExceeded, OutcomeUnknown},
		{context.Canceled, OutcomeUnknown},
		{quorate.ErrBusy, Busy},
		{quorate.ErrTooLarge, ValueTooLarge},
		{quorate.ErrClosed, Unavailable},
		{quorate.ErrStopped, Unavailable},
		{raft.ErrNotLeader, NoLeader},
		{raft.ErrChangePending, ChangePending},
		{raft.ErrTooEarly, ChangePending},
		{raft.ErrNotCaughtUp, NotCaughtUp},
		{raft.ErrNotVoter, TransferFailed},
		{membership.ErrLastVoter, LastVoter},
		{membership.ErrKnown, MemberExists},
		{membership.ErrUnknown, MemberUnknown},
		{membership.ErrNotLearner, NotLearner},
		{membership.ErrAddressUsed, AddressUsed},
		{kv.ErrMalformed, Malformed},
		{kv.ErrSessionExpired, SessionExpired},
		{kv.ErrSequenceTooOld, SequenceTooOld},
		{kv.ErrFutureRevision, FutureRevision},
		{kv.ErrCompacted, Compacted},
		{errDisk, Internal},
	} {
		if p := problemOf(maybeDone(c.err)); p.Code != c.code {
			t.Errorf("%v became %s, want %s", c.err, p.Code, c.code)
		}
	}
	if p := problemOf(context.DeadlineExceeded); p.Code != Timeout {
		t.Errorf("a read out of time became %s, want %s", p.Code, Timeout)
	}
}
