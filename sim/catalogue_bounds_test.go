package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
)

// crowd is a cluster of many groups whose logs may together take little memory.
type crowd struct {
	*story
	size    int   // of a value
	written []int // in each group
	most    int64 // that the logs of a node have taken
}

const crowdLimit = 256 << 10

func gather(t *testing.T, seed uint64) *crowd {
	t.Helper()
	s := begin(t, seed, 3, func(o *Options) { o.Groups, o.LogBytes, o.Durable = 16, crowdLimit, seed%2 == 0 })
	return &crowd{story: s, size: 1000, written: make([]int, 16)}
}

// press lets a node propose in all groups, some more in the first ones, each client until its
// command is taken, for so long.
func (c *crowd) press(n *node, span time.Duration) {
	c.t.Helper()
	end := c.world.now + span
	for g, r := range n.replicas {
		for client := range 2 + 8/(1+g) {
			n.do(time.Hour, func(ctx context.Context) {
				for i := 0; c.world.now < end; i++ {
					o := linear.Operation{Kind: linear.Put, Key: fmt.Sprintf("by %d in %v", client, c.world.now), Value: strings.Repeat("x", c.size)}
					switch _, err := r.group.Propose(ctx, r.store.Command(0, 0, &o)); {
					case err == nil:
						c.written[g]++
					case errors.Is(err, quorate.ErrUnknownOutcome): // a snapshot came instead of the entry
					case errors.Is(err, quorate.ErrBusy):
						n.sleep(5 * time.Millisecond)
					default:
						c.t.Errorf("seed %d: group %d: %v", c.cfg.Seed, g, err)
						return
					}
				}
			})
		}
	}
	for c.world.now < end {
		c.pass(time.Millisecond)
		for _, n := range c.nodes {
			if n.host != nil {
				c.most = max(c.most, n.host.Vitals().LogBytes)
			}
		}
	}
}

// bounded checks that no node's logs were too long, by more than what each group may have
// in any case and what arrives at once, and that all groups went on.
func (c *crowd) bounded() {
	c.t.Helper()
	if slack := int64(len(c.written) * (c.size + 100)); c.most > crowdLimit+slack || c.most < crowdLimit/2 {
		c.t.Errorf("seed %d: the logs of a node took up to %d bytes; %d are allowed", c.cfg.Seed, c.most, crowdLimit)
	}
	sum := 0
	for g, n := range c.written {
		if sum += n; n < 5 {
			c.t.Errorf("seed %d: group %d has only %d commands: %v", c.cfg.Seed, g, n, c.written)
		}
	}
	if sum*c.size < 3*crowdLimit {
		c.t.Errorf("seed %d: only %d commands went through the logs: %v", c.cfg.Seed, sum, c.written)
	}
}

// What all groups' logs take of a host's memory is bounded, and no group is kept from
// going on.
func TestTheLogsOfAllGroupsAreBounded(t *testing.T) {
	for seed := range seeds(2) {
		c := gather(t, seed)
		c.press(c.nodes[0], 2*time.Second)
		c.bounded()
		c.ends()
	}
}

// A follower that was away while the logs were pressed is served all the same: with
// snapshots, since the price of the bound is that little is kept for it.
func TestAFollowerOfPressedLogsIsServed(t *testing.T) {
	for seed := range seeds(2) {
		c := gather(t, seed)
		away := c.besides(c.nodes[0])[0]
		before := away.last
		c.isolate(away)
		c.pass(5 * election) // until others lead what it led
		c.press(c.nodes[0], 2*time.Second)
		c.bounded()
		if base := c.judges[0].ghost(c.nodes[0].id).saved.Base.ID.Index; base <= before {
			t.Errorf("seed %d: the log begins after %d, and who was away has %d: nothing was compacted", seed, base, before)
		}
		c.heal()
		c.ends()
	}
}

// A node whose state machines are slow can let go of little. It takes no more than its
// memory allows, and the others go on.
func TestSlowStateMachinesOfPressedLogsHoldUpNobody(t *testing.T) {
	for seed := range seeds(2) {
		c := gather(t, seed)
		c.nodes[1].slow = 500 * time.Millisecond
		c.press(c.nodes[0], 2*time.Second)
		c.bounded()
		c.ends()
	}
}
