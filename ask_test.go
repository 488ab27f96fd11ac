package quorate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft"
)

// sage is a list that says who it is.
type sage struct {
	list
	node int
}

func (s *sage) Answer(_ context.Context, question []byte) ([]byte, error) {
	if string(question) == "riddle" {
		return nil, errors.New("nobody knows")
	}
	return fmt.Appendf(nil, "%s: %d", question, s.node), nil
}

// ask asks on each node, and wants the answer of the one that leads.
func ask(t *testing.T, c *quoratetest.Cluster, leader int, nodes ...int) {
	t.Helper()
	for _, node := range nodes {
		answer, err := c.Group(node).Ask(t.Context(), []byte("who"))
		if want := fmt.Sprintf("who: %d", leader); err != nil || string(answer) != want {
			t.Errorf("asked on %d: %q, %v; want %q", node, answer, err, want)
		}
	}
}

func TestTheLeaderAnswersWhereverItIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(node int) quorate.StateMachine { return &sage{node: node} })
		old := c.Leader()
		ask(t, c, old, 1, 2, 3)
		for node := 1; node <= 3; node++ {
			if _, err := c.Group(node).Ask(t.Context(), []byte("riddle")); err == nil || errors.Is(err, quorate.ErrNoLeader) {
				t.Errorf("a riddle, asked on %d: %v", node, err)
			}
		}
		c.Kill(old)
		// Who asks meanwhile waits for the next leader.
		other := old%3 + 1
		if _, err := c.Group(other).Ask(t.Context(), []byte("who")); err != nil {
			t.Errorf("asked between two leaders: %v", err)
		}
		ask(t, c, c.Leader(), other, other%3+1)
		next := c.Leader()
		c.Kill(next)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Group(6-old-next).Ask(ctx, []byte("who")); !errors.Is(err, quorate.ErrNoLeader) {
			t.Errorf("asked where nobody can lead: %v", err)
		}
	})
}

func TestWhoKnowsNothingSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &list{} })
		c.Leader()
		for node := 1; node <= 3; node++ {
			if _, err := c.Group(node).Ask(t.Context(), nil); err == nil || errors.Is(err, quorate.ErrNoLeader) {
				t.Errorf("asked on %d: %v", node, err)
			}
		}
	})
}

// What was decided in a term is carried out in that term or never.
func TestProposeInATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &list{} })
		old := c.Leader()
		_, term := c.Group(old).Leader()
		if _, err := c.Group(old).ProposeIn(t.Context(), term, []byte("now")); err != nil {
			t.Fatal(err)
		}
		for node := 1; node <= 3; node++ {
			for _, in := range []raft.Term{term - 1, term, term + 1} {
				if in == term && node == old {
					continue
				}
				if _, err := c.Group(node).ProposeIn(t.Context(), in, []byte("never")); !errors.Is(err, raft.ErrNotLeader) {
					t.Errorf("node %d in term %d: %v", node, in, err)
				}
			}
		}
		// A leader that does not know yet that it was deposed.
		c.Cut(old)
		refused := make(chan error)
		go func() {
			_, err := c.Group(old).ProposeIn(t.Context(), term, []byte("never"))
			refused <- err
		}()
		next := c.Leader()
		if _, err := c.Group(next).Propose(t.Context(), []byte("then")); err != nil {
			t.Fatal(err)
		}
		c.Heal()
		if err := <-refused; !errors.Is(err, raft.ErrNotLeader) {
			t.Errorf("the old leader: %v", err)
		}
		if _, err := c.Group(old).Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(c.Machine(old).(*list).all()); got != "[now then]" {
			t.Errorf("carried out: %s", got)
		}
	})
}
