package workload

import (
	"context"
	"errors"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/client"
)

// writer is who carries out writes: a client, or a session of one.
type writer interface {
	Put(ctx context.Context, key, value []byte, conditions ...client.Condition) (uint64, error)
	Delete(ctx context.Context, key []byte, conditions ...client.Condition) (bool, uint64, error)
}

// carryOut calls the cluster and fills in its answer.
func (w *worker) carryOut(ctx context.Context, c *client.Client, o *linear.Operation) (err error) {
	var conditions []client.Condition
	if o.IfMatch != 0 {
		conditions = append(conditions, client.IfRevision(o.IfMatch))
	}
	if o.IfAbsent {
		conditions = append(conditions, client.IfAbsent())
	}
	through := writer(c)
	if w.session != nil {
		through = w.session
	}
	switch o.Kind {
	case linear.Get:
		var v client.Value
		v, err = c.Get(ctx, []byte(o.Key))
		o.Value, o.Revision, o.Store = string(v.Bytes), v.ModRevision, v.Revision
	case linear.Put:
		o.Revision, err = through.Put(ctx, []byte(o.Key), []byte(o.Value), conditions...)
	case linear.Delete:
		var deleted bool
		deleted, o.Revision, err = through.Delete(ctx, []byte(o.Key), conditions...)
		if err == nil && !deleted {
			o.Outcome = linear.Absent
		}
	}
	return err
}

// explained turns an error into an outcome, if the operation is part of the
// history in spite of it; otherwise it was certainly not carried out.
func explained(o *linear.Operation, err error) bool {
	var answered *client.Error
	switch {
	case o.Kind == linear.Get && errors.Is(err, client.ErrNotFound):
		o.Outcome = linear.Absent
	case o.Kind == linear.Get:
		return false
	case errors.Is(err, client.ErrUnknownOutcome):
		o.Outcome = linear.Unknown
	case errors.Is(err, client.ErrPreconditionFailed):
		o.Outcome = linear.Refused
	case errors.Is(err, client.ErrUnavailable), errors.As(err, &answered):
		return false
	default:
		o.Outcome = linear.Unknown // an answer that says nothing
	}
	return true
}

// excuse names why nothing was done in the word of the server's problem.
func excuse(err error) string {
	var answered *client.Error
	switch {
	case errors.As(err, &answered) && answered.Code != "":
		return string(answered.Code)
	case errors.Is(err, client.ErrUnavailable):
		return "no answer"
	default:
		return "no answer of quorate's"
	}
}
