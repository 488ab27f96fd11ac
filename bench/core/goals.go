package main

import (
	"fmt"
	"io"

	"github.com/quorate-db/quorate/bench/core/load"
	"github.com/quorate-db/quorate/internal/goal"
)

// score is a figure that should be at most its limit.
type score struct {
	name  string
	value float64
	limit float64
}

func (s score) print(w io.Writer) { goal.AtMost(w, s.name, s.value, s.limit) }

// goals judges the figures. Our core is the first contestant; it is held against
// the others at the size of commands at which it looks worst: where one proposal is
// under way, against the best of them; where many are, against the newest, which is
// the second contestant.
func goals(f *figures) (all []score) {
	for _, g := range []struct {
		inFlight      int
		against       func(load.Case) float64
		firm, stretch float64 // of the peer's CPU time
	}{{1, f.ratioToBest, 0.20, 0.10}, {16, f.ratioToNewest, 0.15, 0.06}, {256, f.ratioToNewest, 0.15, 0.06}} {
		name, value := fmt.Sprintf("core_cpu_ratio_%d_in_flight", g.inFlight), f.worst(g.inFlight, g.against)
		all = append(all, score{name, value, g.firm}, score{name + "_stretch", value, g.stretch})
	}
	allocated := func(c load.Case) float64 { return f.median(c, 0, allocs) }
	for _, g := range []struct {
		inFlight      int
		firm, stretch float64 // allocations
	}{{1, 6, 1}, {16, 0.2, 0}, {256, 0.2, 0}} {
		name, value := fmt.Sprintf("core_allocs_per_entry_%d_in_flight", g.inFlight), f.worst(g.inFlight, allocated)
		// A log cannot grow for ever without allocating; one array per thousands
		// of entries is what we call none.
		all = append(all, score{name, value, g.firm}, score{name + "_stretch", value, max(g.stretch, 0.001)})
	}
	return append(all, score{"core_idle_replica_bytes", f.median(load.Case{Work: load.Weigh}, 0, bytes), 4096})
}

// worst is the largest value among the sizes of commands.
func (f *figures) worst(inFlight int, value func(load.Case) float64) (worst float64) {
	for _, c := range f.cases {
		if c.InFlight == inFlight {
			worst = max(worst, value(c))
		}
	}
	return worst
}

func (f *figures) ratioToNewest(c load.Case) float64 { return f.ratio(c, 0, 1, cpu) }

func (f *figures) ratioToBest(c load.Case) (ratio float64) {
	for theirs := 1; theirs < len(f.costs[c]); theirs++ {
		ratio = max(ratio, f.ratio(c, 0, theirs, cpu))
	}
	return ratio
}
