package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/session"
)

// counter adds one for each command, and answers the sum: nothing shows better that a
// command was carried out twice.
type counter struct{ sum uint64 }

func (c *counter) Apply(batch []quorate.Command) error {
	for i := range batch {
		c.sum++
		batch[i].Result = fmt.Append(nil, c.sum)
	}
	return nil
}

type sum uint64

func (s sum) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(s)))
	return int64(n), err
}

func (sum) Close() error { return nil }

func (c *counter) Snapshot() (quorate.View, error) { return sum(c.sum), nil }

func (c *counter) Restore(r io.Reader) error {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	c.sum = binary.BigEndian.Uint64(b[:])
	return nil
}

// Callers add one at a time on whichever node leads, while each leader in its turn is cut
// off or killed, snapshots pass on what the sessions remember, and every seventh answer is
// lost. No call is left unanswered, none counts twice.
func TestExactlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine {
			m, err := session.Machine(session.Config{}, &counter{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, func(cfg *quorate.Config) { cfg.SnapshotEntries = 50 })
		const callers, each = 9, 100
		group := &untiring{Cluster: c}
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				s, err := session.Open(t.Context(), group)
				if err != nil {
					t.Error(err)
					return
				}
				for range each {
					if _, err := s.Propose(t.Context(), nil); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		for round := range 6 {
			time.Sleep(100 * time.Millisecond)
			if leader := c.Leader(); round%2 == 0 {
				c.Cut(leader)
				time.Sleep(time.Second)
				c.Heal()
			} else {
				c.Kill(leader)
				time.Sleep(time.Second)
				c.Restart(leader)
			}
		}
		all.Wait()
		answer, err := c.Propose(t.Context(), session.Plain(nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(answer.([]byte)); got != fmt.Sprint(callers*each+1) {
			t.Errorf("%d calls and one more come to %s", callers*each, got)
		}
	})
}

// untiring proposes again what was certainly not carried out, on the node that has taken
// the place of one that is gone, and loses answers.
type untiring struct {
	*quoratetest.Cluster
	answers atomic.Int64
}

func (g *untiring) Propose(ctx context.Context, command []byte) (any, error) {
	for {
		result, err := g.Cluster.Propose(ctx, command)
		if err == nil && g.answers.Add(1)%7 == 0 {
			return nil, quorate.ErrUnknownOutcome
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, quorate.ErrUnknownOutcome) {
			return result, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
