package linear

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what can be said of a history.
type Verdict string

// The verdicts.
const (
	Linearizable    Verdict = "linearizable"
	NotLinearizable Verdict = "NOT linearizable"
	Undecided       Verdict = "unknown" // the limit was reached
)

// Result is the verdict on a history, of all its keys together.
type Result struct {
	Verdict   Verdict
	Keys      int         // in the history
	Undecided []string    // keys for which the limit was reached, sorted
	Key       string      // the first, by name, that contradicts, with those that transactions tie to it; if NotLinearizable
	Smallest  []Operation // of that key: no part that could be left out was found; in the order of calls
}

// Check judges a history, each key for at most the limit, and looks for the
// smallest part that contradicts for at most twice as long. It returns an error for
// what is no history: see Operation.
func Check(history []Operation, limit time.Duration) (Result, error) {
	return judge(history, effort{time: limit})
}

// CheckSteps is Check with a limit that is the same on every machine: on how often
// an operation is tried somewhere in an order of a key's. A million takes about a
// second.
func CheckSteps(history []Operation, limit int) (Result, error) {
	return judge(history, effort{steps: limit})
}

func judge(history []Operation, limit effort) (Result, error) {
	all, err := split(history)
	if err != nil {
		return Result{}, err
	}
	r := Result{Verdict: Linearizable}
	for _, part := range all {
		r.Keys += len(part.keys)
	}
	for _, part := range all {
		switch search(part.history, limit) {
		case porcupine.Illegal:
			r.Verdict, r.Key, r.Smallest = NotLinearizable, strings.Join(part.keys, ", "), shrink(part.history, limit)
			return r, nil
		case porcupine.Unknown:
			r.Verdict = Undecided
			r.Undecided = append(r.Undecided, part.keys...)
		}
	}
	slices.Sort(r.Undecided)
	return r, nil
}

// Picture writes an HTML page that shows a history of one key, or of keys that
// transactions tie together, who was under way at the same time, and how far an
// order of it could be found.
func Picture(out io.Writer, history []Operation, limit time.Duration) error {
	m, calls := prepare(history)
	_, info := porcupine.CheckOperationsVerbose(m, calls, limit)
	return porcupine.Visualize(m, info, out)
}

// resolve checks the operations of a part, and traces those of unknown outcome.
func resolve(part []Operation) error {
	written := map[[2]string]bool{}
	for i := range part {
		o := &part[i]
		if err := o.check(); err != nil {
			return err
		}
		for _, p := range o.parts() {
			if p.Kind != Put {
				continue
			}
			if written[[2]string{p.Key, p.Value}] {
				return fmt.Errorf("%w: %v", errValues, o)
			}
			written[[2]string{p.Key, p.Value}] = true
		}
	}
	trace(part)
	return nil
}

// trace gives each write of unknown outcome the revision with which a value of it
// was read, if one was: then it is known to have been carried out.
func trace(part []Operation) {
	read := map[[2]string]uint64{}
	for i := range part {
		if part[i].Outcome != OK {
			continue
		}
		for _, p := range part[i].parts() {
			if p.Kind == Get && p.Outcome != Absent {
				read[[2]string{p.Key, p.Value}] = p.Revision
			}
		}
	}
	for i := range part {
		o := &part[i]
		if o.Outcome != Unknown || o.reads() {
			continue
		}
		o.Revision = 0
		for _, p := range o.parts() {
			if p.Kind == Put {
				o.Revision = max(o.Revision, read[[2]string{p.Key, p.Value}])
			}
		}
	}
}

// effort bounds a search: by time, or by tries of an operation.
type effort struct {
	time  time.Duration
	steps int
}

func search(part []Operation, limit effort) porcupine.CheckResult {
	m, calls := prepare(part)
	if limit.steps == 0 {
		return porcupine.CheckOperationsTimeout(m, calls, limit.time)
	}
	left, step := limit.steps, m.Step
	m.Step = func(state, input, output any) (bool, any) {
		if left == 0 {
			return false, state // so that the search soon ends
		}
		left--
		return step(state, input, output)
	}
	result := porcupine.CheckOperationsTimeout(m, calls, 0)
	if left == 0 && result == porcupine.Illegal {
		return porcupine.Unknown
	}
	return result
}

// prepare says a history in porcupine's words. What is open never returns.
func prepare(part []Operation) (porcupine.Model, []porcupine.Operation) {
	all := make([]porcupine.Operation, 0, len(part))
	end := int64(math.MinInt64)
	for i := range part {
		end = max(end, part[i].Call, part[i].Return)
	}
	cells := map[string]int{}
	for i := range part {
		o := &part[i]
		c := &call{Operation: o, what: o.parts(), pure: o.reads()}
		for _, p := range c.what {
			at, known := cells[p.Key]
			if !known {
				at = len(cells)
				cells[p.Key] = at
			}
			c.at = append(c.at, at)
		}
		op := porcupine.Operation{ClientId: o.Client, Input: c, Call: o.Call, Return: o.Return}
		if o.Outcome == Unknown {
			op.Return = end + 1
		}
		all = append(all, op)
	}
	return model(len(cells)), all
}
