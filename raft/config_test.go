package raft

import "testing"

// A leader's lease is over before the earliest moment at which one of its voters may
// help another node to lead, whatever the clocks do within MaxDrift (RD3). It begins
// at a tick of the leader, on the slowest clock. The voter has the heartbeat at once,
// on the fastest clock, just before a tick: of the ticks that it waits for, all but
// the first take their time. And the lease is no more than a tick or two shorter than
// need be.
func TestALeaseEndsBeforeTheEarliestVote(t *testing.T) {
	for ticks := 2; ticks <= 200; ticks++ {
		for drift := 1; drift < 50; drift++ {
			c, err := Config{ID: 1, ElectionTicks: ticks, MaxDrift: drift, Lease: true}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			// Both sides are multiplied by the two clocks' speeds.
			lease, promise := int(c.leaseTicks())*(100+drift), (ticks-1)*(100-drift)
			if lease > promise {
				t.Errorf("%d election ticks, %d percent: a lease of %d ticks is too long", ticks, drift, c.leaseTicks())
			}
			if lease+2*(100+drift) <= promise {
				t.Errorf("%d election ticks, %d percent: a lease of %d ticks is shorter than need be", ticks, drift, c.leaseTicks())
			}
		}
	}
}
