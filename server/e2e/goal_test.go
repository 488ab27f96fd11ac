//go:build unix

package e2e

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
)

// aim is a figure to be reached, and how far we are.
type aim struct {
	name  string
	limit float64
	least bool // the value should be at least the limit, not at most

	reported bool
	measured bool
	value    float64
}

// board is all goals, in the order in which they are printed.
type board struct {
	mu   sync.Mutex
	list []*aim
}

var goals = board{list: []*aim{
	{name: "writes_lost", limit: 0},
	{name: "hashes_equal", limit: 1, least: true},
	{name: "unavailability_median_election_timeouts", limit: 2},
	{name: "start_to_first_put_ms", limit: 1000},
}}

// floods are what TestFlood… lets come over a node.
var floods = []string{"large_bodies", "stream_resets", "half_requests", "silent_connections", "abandoned_streams", "slow_readers", "slow_watchers"}

func init() {
	for _, f := range floods {
		goals.list = append(goals.list, &aim{name: f + "_goroutines_left", limit: moreGoroutines}, &aim{name: f + "_heap_left_mib", limit: moreHeap / mib})
		if strings.HasPrefix(f, "slow_") {
			goals.list = append(goals.list, &aim{name: f + "_heap_held_mib", limit: mostHeld / mib})
		}
	}
}

// report sets the value of a goal.
func (b *board) report(t *testing.T, name string, value float64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.list, func(g *aim) bool { return g.name == name })
	if i < 0 {
		t.Fatalf("no goal is called %q", name)
	}
	b.list[i].reported, b.list[i].measured, b.list[i].value = true, true, value
}

// unmeasured has the goals printed, too, whose test ended too early to say.
func (b *board) unmeasured() {
	for _, g := range b.list {
		g.reported = true
	}
}

func (b *board) print(w io.Writer) {
	for _, g := range b.list {
		if !g.reported {
			continue
		}
		switch {
		case !g.measured:
			goal.Unknown(w, g.name, g.limit)
		case g.least:
			goal.AtLeast(w, g.name, g.value, g.limit)
		default:
			goal.AtMost(w, g.name, g.value, g.limit)
		}
	}
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
