package main

import (
	"fmt"
	"io"

	"github.com/quorate-db/quorate/internal/goal"
)

// score is a figure and its limit.
type score struct {
	name  string
	value float64
	limit float64
	more  bool // the limit is the least, rather than the most
}

func (s score) print(w io.Writer) {
	if s.more {
		goal.AtLeast(w, s.name, s.value, s.limit)
	} else {
		goal.AtMost(w, s.name, s.value, s.limit)
	}
}

// atMost are the goals of a figure that should be small.
func atMost(name string, value, firm, stretch float64) []score {
	return []score{{name, value, firm, false}, {name + "_stretch", value, stretch, false}}
}

// aims are what our figures should be as parts of those of the best peer.
var aims = []struct {
	load          load
	of            measure
	firm, stretch float64
}{
	{load{1, 1024}, cpuOf, 0.70, 0.50},
	{load{1, 1024}, rateOf, 1.4, 2.0},
	{load{1, 64}, cpuOf, 0.60, 0.45},
	{load{1, 64}, rateOf, 1.4, 2},
	{load{1, 64}, p50Of, 0.7, 0.5},
	{load{1, 1}, cpuOf, 0.75, 0.6},
	{load{1, 1}, p50Of, 0.9, 0.7},
	{load{48, 1024}, cpuOf, 0.25, 0.16},
	{load{48, 1024}, rateOf, 4, 8},
	{load{48, 64}, cpuOf, 0.12, 0.06},
	{load{48, 64}, rateOf, 6, 12},
}

// goals holds each aim against the peer beside which we look worst. Without a peer,
// or without us, there are none.
func (f *figures) goals() (all []score) {
	if f.who[0] != nameOurs {
		return nil
	}
	for _, a := range aims {
		if f.costs[a.load] == nil || len(f.who) < 2 {
			continue
		}
		name := fmt.Sprintf("host_%s_ratio_%d_%s_%d_%s", a.of.name, a.load.groups, plural("group", a.load.groups), a.load.clients, plural("client", a.load.clients))
		value := f.hardest(a.load, a.of)
		all = append(all, score{name, value, a.firm, a.of.more}, score{name + "_stretch", value, a.stretch, a.of.more})
	}
	if one, many := (load{1, 1024}), (load{48, 1024}); f.costs[one] != nil && f.costs[many] != nil {
		value := f.median(many, 0, cpuOf.figure) / f.median(one, 0, cpuOf.figure)
		all = append(all, atMost("host_cpu_48_groups_by_1", value, 1.4, 1.15)...)
	}
	return all
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
