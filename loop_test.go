package quorate

import "testing"

func TestProposalsWaitWhileAWriteIsUnderWay(t *testing.T) {
	var g gate
	for i, step := range []struct {
		current, written, ticks uint64
		open                    bool
		why                     string
	}{
		{0, 0, 0, true, "nothing is being written"},
		{0, 0, 0, true, "still nothing"},
		{1, 0, 0, false, "the first write has begun"},
		{2, 1, 0, true, "it has ended, and the second has begun"},
		{2, 1, 0, false, "the second is under way"},
		{2, 1, 1, true, "for a whole tick"},
		{2, 1, 1, false, "within the next tick"},
		{0, 2, 1, true, "nothing is being written"},
	} {
		if got := g.open(step.current, step.written, step.ticks); got != step.open {
			t.Errorf("step %d, %s: open is %t", i, step.why, got)
		}
	}
}
