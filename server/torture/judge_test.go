//go:build linux

package torture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// scores say how far the goals are met, over all runs.
type scores struct {
	begun, judged        int // runs
	lost                 int // acknowledged writes
	linearizable, equals int // 1 while all were
}

var goals = scores{linearizable: 1, equals: 1}

// print writes one line for each goal, if there was a run.
func (s *scores) print(w io.Writer) {
	if s.begun == 0 {
		return
	}
	line := func(name string, value, limit int) {
		if s.judged < s.begun { // a run that broke off proves nothing
			goal.Unknown(w, "torture_"+name, float64(limit))
			return
		}
		goal.Print(w, "torture_"+name, float64(value), float64(limit), value == limit)
	}
	line("writes_lost", s.lost, 0)
	line("linearizable", s.linearizable, 1)
	line("hashes_equal", s.equals, 1)
}

// begin notes that there is a run, which has to come to a judgement.
func (s *scores) begin() {
	s.begun++
}

// record adds what one run came to.
func (s *scores) record(lost int, linearizable, equal bool) {
	s.judged++
	s.lost += lost
	if !linearizable {
		s.linearizable = 0
	}
	if !equal {
		s.equals = 0
	}
}

// checkTime is how long an order of the operations of one key is looked for.
const checkTime = time.Minute

// auditors is how many acknowledged writes are looked up at a time.
const auditors = 8

// audit looks every acknowledged write up at the revision that its client was
// told, on one node after the other: the store keeps what was written over. It
// returns how many were acknowledged and those that are not there.
func audit(ctx context.Context, nodes []*node, history []linear.Operation) (acked int, lost []linear.Operation, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	writes := make(chan linear.Operation)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range auditors {
		wg.Go(func() {
			for o := range writes {
				is, err := holds(ctx, nodes[i%len(nodes)], o)
				if err != nil {
					stop(err)
				}
				if err == nil && !is {
					mu.Lock()
					lost = append(lost, o)
					mu.Unlock()
				}
			}
		})
	}
	for _, o := range history {
		if o.Kind != linear.Get && o.Outcome == linear.OK {
			acked++
			writes <- o
		}
	}
	close(writes)
	wg.Wait()
	return acked, lost, context.Cause(ctx)
}

// holds reports whether a node has the outcome of an acknowledged write.
func holds(ctx context.Context, n *node, o linear.Operation) (bool, error) {
	var v client.Value
	var said error
	err := eventually(ctx, func() error {
		// What this node has, not what another would know.
		v, said = n.api.Get(ctx, []byte(o.Key), client.Stale(), client.At(o.Revision))
		if errors.Is(said, client.ErrUnavailable) {
			return said // a busy machine
		}
		return nil
	})
	if err == nil {
		err = said
	}
	var answered *client.Error
	switch {
	case errors.Is(err, client.ErrNotFound):
		return o.Kind == linear.Delete, nil
	case errors.As(err, &answered) && answered.Code == wire.FutureRevision:
		return false, nil // the store has fallen behind what its clients were told
	case err != nil:
		return false, fmt.Errorf("%v, looked up at %s: %w", &o, n.name, err)
	}
	return o.Kind == linear.Put && v.ModRevision == o.Revision && string(v.Bytes) == o.Value, nil
}

// keepHistory writes all operations, one JSON object a line, and a picture of those
// that contradict each other.
func keepHistory(dir string, history, smallest []linear.Operation) error {
	slices.SortStableFunc(history, func(a, b linear.Operation) int { return cmp.Compare(a.Call, b.Call) })
	all, err := os.Create(filepath.Join(dir, "history.ndjson"))
	if err != nil {
		return err
	}
	defer all.Close()
	for enc, i := json.NewEncoder(all), 0; i < len(history) && err == nil; i++ {
		err = enc.Encode(&history[i])
	}
	if err != nil || len(smallest) == 0 {
		return err
	}
	page, err := os.Create(filepath.Join(dir, "smallest.html"))
	if err != nil {
		return err
	}
	defer page.Close()
	return linear.Picture(page, smallest, checkTime)
}
