//go:build unix

package e2e

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// goal is a figure to be reached, and how far we are.
type goal struct {
	name  string
	limit float64
	least bool // the value should be at least the limit, not at most

	reported bool
	measured bool
	value    float64
}

func (g *goal) met() bool {
	if g.least {
		return g.measured && g.value >= g.limit
	}
	return g.measured && g.value <= g.limit
}

// board is all goals, in the order in which they are printed.
type board struct {
	mu   sync.Mutex
	list []*goal
}

var goals = board{list: []*goal{
	{name: "writes_lost", limit: 0},
	{name: "hashes_equal", limit: 1, least: true},
	{name: "unavailability_median_election_timeouts", limit: 2},
	{name: "start_to_first_put_ms", limit: 1000},
}}

// report sets the value of a goal.
func (b *board) report(t *testing.T, name string, value float64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.list, func(g *goal) bool { return g.name == name })
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
		value, verdict := "none", "short"
		if g.measured {
			value = number(g.value)
		}
		if g.met() {
			verdict = "ok"
		}
		fmt.Fprintf(w, "GOAL %s %s %s %s\n", g.name, value, number(g.limit), verdict)
	}
}

// number writes a figure with at most two decimals.
func number(v float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'f', 2, 64), 64) // it has just been written
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
