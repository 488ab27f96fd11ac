package quorate_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// busyCrowd is how many groups elect under load: CROWD says it, for make crowd.
func busyCrowd(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("CROWD"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CROWD=%q is no number of groups", text)
		}
		return n
	}
	if testing.Short() {
		return crowdSize
	}
	return busyCrowdSize
}

// tired is a state machine that is still at its first commands when the story ends.
type tired struct {
	list
	until <-chan struct{}
}

func (m *tired) Apply(batch []quorate.Command) error {
	<-m.until
	return m.list.Apply(batch)
}

// press lets somebody on each node propose in each group, again and again, without ever
// waiting for an answer for long, until the context ends. It returns what waits for that.
func (c *crowd) press(ctx context.Context, commands *atomic.Int64) (wait func()) {
	var all sync.WaitGroup
	for _, groups := range c.groups { //order: all at once
		for g, group := range groups {
			all.Go(func() {
				time.Sleep(time.Duration(g%250) * time.Millisecond)
				for ctx.Err() == nil {
					short, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
					_, _ = group.Propose(short, make([]byte, 200)) // that nobody says what became of it is the point
					<-short.Done()
					cancel()
					commands.Add(1)
				}
			})
		}
	}
	return all.Wait
}

// Elections do not wait for data: commands come in all groups, no state machine has come
// any further, and the node that leads a third of the groups falls silent. All of these
// elect, once or twice, and no others; that is counted, and takes no time in a bubble.
// The node comes back, and disturbs nobody.
func TestE19AllGroupsOfAHostElectUnderLoad(t *testing.T) {
	size := busyCrowd(t)
	released := sync.OnceValue(func() chan struct{} { return make(chan struct{}) }) // in the bubble
	inCrowdOf(t, size, func() quorate.StateMachine { return &tired{until: released()} }, func(c *crowd) {
		defer close(released())
		var commands atomic.Int64
		ctx, stop := context.WithCancel(c.t.Context())
		wait := c.press(ctx, &commands)
		defer wait()
		defer stop()
		time.Sleep(2 * time.Second)
		was, led := make([]quorate.Status, size), 0
		for g := range size {
			if was[g] = c.groups[2][g].Status(); was[g].Leader == 1 {
				led++
			}
			if was[g].Commit <= was[g].Applied {
				t.Fatalf("group %d has nothing that waits for its state machine", g)
			}
		}
		if led == 0 || led == size {
			t.Fatalf("node 1 leads %d of %d groups", led, size)
		}
		c.tap.during(0)
		begun, before := time.Now(), commands.Load()
		c.Cut(1)
		c.until("all groups have another leader, who commits", func(g int) bool {
			s := c.groups[2][g].Status()
			return s.Leader > 1 && s.Commit > was[g].Commit && c.groups[3][g].Status().Leader == s.Leader
		})
		took, during := time.Since(begun), commands.Load()-before
		asked := c.tap.requests(2, 3)
		elected := c.elected(was)
		t.Logf("%d of %d groups had another leader after %v, %d terms and %d requests for votes; %d commands came meanwhile", led, size, took, elected, asked, during)
		if elected > 2*led || asked > 16*led {
			t.Errorf("%d groups needed %d terms and %d requests for votes", led, elected, asked)
		}
		for g := range size {
			was[g] = c.groups[2][g].Status()
		}
		c.Heal()
		c.until("the node that was silent follows", func(g int) bool {
			s, at := c.groups[1][g].Status(), c.groups[2][g].Status()
			return s.Leader == at.Leader && s.Term == at.Term && s.Commit > was[g].Commit
		})
		if again := c.elected(was); again > 0 {
			t.Errorf("once it was back there were %d terms more", again)
		}
	})
}

// elected returns by how much terms have risen, all in all. Only groups that node 1 led
// may elect.
func (c *crowd) elected(was []quorate.Status) (terms int) {
	c.t.Helper()
	for g := range c.size {
		now := c.groups[2][g].Status()
		if was[g].Leader != 1 && now.Term != was[g].Term {
			c.t.Errorf("group %d was led by node %d in term %d, and is in term %d", g, was[g].Leader, was[g].Term, now.Term)
		}
		terms += int(now.Term - was[g].Term)
	}
	return terms
}
