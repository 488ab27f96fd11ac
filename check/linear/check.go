package linear

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict is what can be said of a history.
type Verdict string

// The verdicts.
const (
	Linearizable    Verdict = "linearizable"
	NotLinearizable Verdict = "NOT linearizable"
	Undecided       Verdict = "unknown" // the time was up
)

// Result is the verdict on a history, of all its keys together.
type Result struct {
	Verdict   Verdict
	Keys      int         // in the history
	Undecided []string    // keys for which the time was up, sorted
	Key       string      // the first, by name, that contradicts; if NotLinearizable
	Smallest  []Operation // of that key: no part that could be left out was found; in the order of calls
}

// Check judges a history, each key for at most the limit, and looks for the
// smallest part that contradicts for at most twice as long. It returns an error for
// what is no history: see Operation.
func Check(history []Operation, limit time.Duration) (Result, error) {
	keys, err := byKey(history)
	if err != nil {
		return Result{}, err
	}
	r := Result{Verdict: Linearizable, Keys: len(keys)}
	for _, part := range keys {
		switch search(part, limit) {
		case porcupine.Illegal:
			r.Verdict, r.Key, r.Smallest = NotLinearizable, part[0].Key, shrink(part, limit)
			return r, nil
		case porcupine.Unknown:
			r.Verdict = Undecided
			r.Undecided = append(r.Undecided, part[0].Key)
		}
	}
	return r, nil
}

// Picture writes an HTML page that shows a history of one key, who was under way
// at the same time, and how far an order of it could be found.
func Picture(out io.Writer, history []Operation, limit time.Duration) error {
	m := model()
	_, info := porcupine.CheckOperationsVerbose(m, operations(history), limit)
	return porcupine.Visualize(m, info, out)
}

// byKey splits a history by keys, sorted by name; operations by their calls.
func byKey(history []Operation) ([][]Operation, error) {
	all := slices.Clone(history)
	slices.SortStableFunc(all, func(a, b Operation) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Call, b.Call))
	})
	var keys [][]Operation
	for len(all) > 0 {
		end := slices.IndexFunc(all, func(o Operation) bool { return o.Key != all[0].Key })
		if end < 0 {
			end = len(all)
		}
		if err := resolve(all[:end]); err != nil {
			return nil, err
		}
		keys, all = append(keys, all[:end:end]), all[end:]
	}
	return keys, nil
}

// resolve checks the operations of a key, and traces those of unknown outcome.
func resolve(part []Operation) error {
	written := map[string]bool{}
	for i := range part {
		o := &part[i]
		if err := o.check(); err != nil {
			return err
		}
		if o.Kind == Put && written[o.Value] {
			return fmt.Errorf("%w: %v", errValues, o)
		}
		written[o.Value] = written[o.Value] || o.Kind == Put
	}
	trace(part)
	return nil
}

// trace gives each put of unknown outcome the revision with which its value was
// read, if it was: then it is known to have been carried out.
func trace(part []Operation) {
	read := map[string]uint64{}
	for i := range part {
		if o := &part[i]; o.Kind == Get && o.Outcome == OK {
			read[o.Value] = o.Revision
		}
	}
	for i := range part {
		if o := &part[i]; o.Kind == Put && o.Outcome == Unknown {
			o.Revision = read[o.Value]
		}
	}
}

func search(part []Operation, limit time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model(), operations(part), limit)
}

// operations says a history in porcupine's words. What is open never returns.
func operations(part []Operation) []porcupine.Operation {
	all := make([]porcupine.Operation, 0, len(part))
	end := int64(math.MinInt64)
	for i := range part {
		end = max(end, part[i].Call, part[i].Return)
	}
	for i := range part {
		o := &part[i]
		op := porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return}
		if o.Outcome == Unknown {
			op.Return = end + 1
		}
		all = append(all, op)
	}
	return all
}
