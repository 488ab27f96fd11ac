package main

import (
	"slices"

	"github.com/quorate-db/quorate/bench/core/load"
)

// contestant is one core.
type contestant struct {
	name string
	run  func(load.Case) (load.Cost, error)
}

// linked is a core that is part of this program.
func linked[M any](name string, cluster func(electionTicks int) *load.Cluster[M]) contestant {
	return contestant{name, func(c load.Case) (load.Cost, error) { return load.Run(c, cluster), nil }}
}

// figures are what was measured: costs[case][contestant][round].
type figures struct {
	cases []load.Case
	costs map[load.Case][][]load.Cost
}

// contest has all contestants do all the work, so many rounds of it. They take
// turns at each case, each round another one first: the machine may be slow for a
// while, but then for all of them.
func contest(all []contestant, rounds int) (figures, error) {
	f := figures{cases: load.Cases(), costs: map[load.Case][][]load.Cost{}}
	for _, c := range f.cases {
		f.costs[c] = make([][]load.Cost, len(all))
	}
	for round := range rounds {
		for _, c := range f.cases {
			for turn := range all {
				who := (round + turn) % len(all)
				cost, err := all[who].run(c)
				if err != nil {
					return f, err
				}
				f.costs[c][who] = append(f.costs[c][who], cost)
			}
		}
	}
	return f, nil
}

// median is the middle one of a figure's rounds.
func (f *figures) median(c load.Case, who int, figure func(load.Cost) float64) float64 {
	var values []float64
	for _, cost := range f.costs[c][who] {
		values = append(values, figure(cost))
	}
	return middle(values)
}

// ratio is the middle one of the ratios, round by round, of two contestants.
func (f *figures) ratio(c load.Case, ours, theirs int, figure func(load.Cost) float64) float64 {
	var values []float64
	for round, cost := range f.costs[c][ours] {
		values = append(values, figure(cost)/figure(f.costs[c][theirs][round]))
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func cpu(c load.Cost) float64    { return c.CPU }
func bytes(c load.Cost) float64  { return c.Bytes }
func allocs(c load.Cost) float64 { return c.Allocs }
