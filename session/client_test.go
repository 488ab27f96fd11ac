package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft"
)

// lossy is a group of one whose answers get lost.
type lossy struct {
	machine *machine

	mu    sync.Mutex
	index raft.Index
	fate  func(attempt int) (carryOut bool, err error)
	tried int
}

func (g *lossy) Propose(_ context.Context, data []byte) (any, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried++
	carryOut, err := g.fate(g.tried)
	batch := []quorate.Command{{Index: g.index + 1, Data: data}}
	if carryOut {
		g.index++
		if err := g.machine.Apply(batch); err != nil {
			return nil, err
		}
	}
	return batch[0].Result, err
}

func begin(t *testing.T) (*Client, *lossy, *journal) {
	t.Helper()
	m, j := wrap(t, 0)
	g := &lossy{machine: m, fate: func(int) (bool, error) { return true, nil }}
	c, err := Open(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	g.tried = 0
	return c, g, j
}

// What is unknown is proposed again, and counts once whatever became of the first attempts.
func TestTheOutcomeIsFoundOut(t *testing.T) {
	c, g, j := begin(t)
	g.fate = func(attempt int) (bool, error) {
		if attempt%5 == 0 {
			return true, nil
		}
		return attempt%2 == 0, quorate.ErrUnknownOutcome
	}
	for i := range 3 {
		if got, err := c.Propose(t.Context(), fmt.Append(nil, i)); string(got) != fmt.Sprint(i+1) || err != nil {
			t.Errorf("command %d: %q, %v", i, got, err)
		}
	}
	if j.String() != "0 1 2" || g.tried != 15 {
		t.Errorf("after %d attempts the journal says %q", g.tried, j)
	}
}

// A refusal is one only if no attempt before it may count.
func TestUnknownIsNeverCalledRefused(t *testing.T) {
	for _, first := range []error{nil, quorate.ErrUnknownOutcome} {
		c, g, _ := begin(t)
		g.fate = func(attempt int) (bool, error) {
			if attempt == 1 && first != nil {
				return false, first
			}
			return false, quorate.ErrStopped
		}
		_, err := c.Propose(t.Context(), nil)
		if !errors.Is(err, quorate.ErrStopped) || errors.Is(err, quorate.ErrUnknownOutcome) != (first != nil) {
			t.Errorf("first %v, then stopped: %v", first, err)
		}
	}
	c, g, j := begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	g.fate = func(int) (bool, error) {
		cancel()
		return true, fmt.Errorf("%w: %w", quorate.ErrUnknownOutcome, context.Canceled)
	}
	if _, err := c.Propose(ctx, []byte("x")); !errors.Is(err, quorate.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if j.String() != "x" {
		t.Errorf("the journal says %q", j)
	}
}

// Nor is it left unknown because the group is busy for a while.
func TestARefusalForNowDoesNotEndTheSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, j := begin(t)
		g.fate = func(attempt int) (bool, error) {
			switch {
			case attempt == 1:
				return true, quorate.ErrUnknownOutcome
			case attempt < 5:
				return false, []error{quorate.ErrBusy, quorate.ErrDiskFull}[attempt%2]
			}
			return true, nil
		}
		if got, err := c.Propose(t.Context(), []byte("x")); string(got) != "1" || err != nil || j.String() != "x" {
			t.Errorf("%q, %v, and the journal says %q", got, err, j)
		}
		g.tried = 0
		g.fate = func(attempt int) (bool, error) {
			if attempt == 1 {
				return true, quorate.ErrUnknownOutcome
			}
			return false, quorate.ErrBusy
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Propose(ctx, []byte("y")); !errors.Is(err, quorate.ErrUnknownOutcome) || ctx.Err() == nil {
			t.Errorf("busy for good: %v", err)
		}
	})
}

func TestASessionThatIsClosed(t *testing.T) {
	c, g, j := begin(t)
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Propose(t.Context(), []byte("x")); !errors.Is(err, ErrExpired) || errors.Is(err, quorate.ErrUnknownOutcome) || j.String() != "" {
		t.Errorf("%v, and the journal says %q", err, j)
	}
	g.fate = func(attempt int) (bool, error) { return attempt > 3, quorate.ErrUnknownOutcome }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, g); !errors.Is(err, quorate.ErrUnknownOutcome) {
		t.Errorf("a session that may be open: %v", err)
	}
}

// A group whose machine is not wrapped says so at once.
func TestTheMachineMustBeWrapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 1, func(int) quorate.StateMachine { return &journal{} })
		if _, err := Open(t.Context(), c.Group(1)); err == nil || !strings.Contains(err.Error(), "must be a session.Machine") {
			t.Error(err)
		}
	})
}

// More than a window of commands never are under way, however the first one hangs.
func TestTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g, j := begin(t)
		hangs := make(chan struct{})
		slow := slowFirst{lossy: g, hangs: hangs}
		c.group = &slow
		var callers sync.WaitGroup
		for i := range 3 * Window {
			callers.Go(func() {
				if _, err := c.Propose(t.Context(), fmt.Append(nil, i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := len(j.words); n != Window-1 {
			t.Errorf("%d were carried out beside one that hangs", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Propose(ctx, nil); !errors.Is(err, quorate.ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		close(hangs)
		callers.Wait()
		if n := len(j.words); n != 3*Window {
			t.Errorf("%d were carried out in the end", n)
		}
	})
}

type slowFirst struct {
	*lossy
	hangs chan struct{}
	begun atomic.Bool
}

func (s *slowFirst) Propose(ctx context.Context, data []byte) (any, error) {
	if !s.begun.Swap(true) {
		<-s.hangs
	}
	return s.lossy.Propose(ctx, data)
}
