package quoratetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/quoratetest"
)

// A leader is cut off. The others elect another one and go on; it cannot know, and
// must not say, what becomes of a command that it took in. A minute passes in
// no time.
func TestALeaderThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &words{} })
		must(t, c, "before")
		old := c.Leader()
		c.Cut(old)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Group(old).Propose(ctx, []byte("alone")); !errors.Is(err, quorate.ErrUnknownOutcome) {
			t.Errorf("the leader that was cut off says: %v", err)
		}
		if c.Leader() == old {
			t.Error("it still leads")
		}
		must(t, c, "meanwhile")
		c.Heal()
		if _, err := c.Group(old).Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.Machine(old).(*words).String(); got != "before meanwhile" {
			t.Errorf("once it is back it has %q", got)
		}
	})
}
