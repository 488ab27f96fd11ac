package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/internal/goal"
)

// results are the figures of each workload and contestant, one for each round.
type results map[workload]map[string][]figures

func (r results) add(w workload, name string, f figures) {
	if r[w] == nil {
		r[w] = map[string][]figures{}
	}
	r[w][name] = append(r[w][name], f)
}

// measures are the columns of the table, and how each is read.
var measures = []struct {
	name string
	of   func(figures) float64
}{
	{"CPU us", func(f figures) float64 { return f.cpu }},
	{"ops/s", func(f figures) float64 { return f.rate }},
	{"p50 us", func(f figures) float64 { return f.p50 }},
	{"p99 us", func(f figures) float64 { return f.p99 }},
	{"MB", func(f figures) float64 { return f.memory }},
}

// Places in measures.
const (
	cpu = iota
	rate
	p50
	p99
	memory
)

func median(all []float64) float64 {
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (r results) median(w workload, name string, m int) float64 {
	var all []float64
	for _, f := range r[w][name] {
		all = append(all, measures[m].of(f))
	}
	return median(all)
}

// ratio is the median of the rounds' ratios of ours to etcd's.
func (r results) ratio(w workload, m int) float64 {
	var all []float64
	for i := range r[w][nameOurs] {
		all = append(all, measures[m].of(r[w][nameOurs][i])/measures[m].of(r[w][nameEtcd][i]))
	}
	return median(all)
}

func (r results) print(out io.Writer, o options) {
	fmt.Fprintf(out, "Medians of %d rounds; CPU time is that of the three servers.\n\n", o.rounds)
	fmt.Fprint(out, "| work, clients | |")
	for _, m := range measures {
		fmt.Fprintf(out, " %s |", m.name)
	}
	fmt.Fprintf(out, "\n|---|---|%s\n", strings.Repeat("---|", len(measures)))
	for _, w := range workloads(o.kinds) {
		if r[w] == nil {
			continue
		}
		for _, name := range contestants {
			fmt.Fprintf(out, "| %s, %d | %s |", w.kind, w.clients, name)
			for m := range measures {
				fmt.Fprintf(out, " %.4g |", r.median(w, name, m))
			}
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "| %s, %d | ratio |", w.kind, w.clients)
		for m := range measures {
			fmt.Fprintf(out, " %.2f |", r.ratio(w, m))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	for _, a := range aims {
		if r[a.work] != nil {
			r.printGoal(out, a)
		}
	}
}

// aim is what a ratio should be.
type aim struct {
	work          workload
	of            int
	firm, stretch float64
}

var aims = []aim{
	{workload{put, 64}, cpu, 0.45, 0.20},
	{workload{put, 64}, rate, 1.8, 2.7},
	{workload{put, 512}, cpu, 0.45, 0.20},
	{workload{put, 512}, rate, 1.8, 2.7},
	{workload{put, 1}, p50, 0.60, 0.45},
	{workload{put, 1}, cpu, 0.45, 0.30},
	{workload{get, 512}, cpu, 0.80, 0.30},
	{workload{serializable, 512}, cpu, 0.85, 0.30},
	{workload{mixed, 512}, cpu, 0.55, 0.25},
	{workload{mixed, 512}, memory, 0.8, 0.5},
	{workload{swap, 512}, cpu, 0.45, 0.22},
	{workload{rangeOf1000, 8}, cpu, 0.35, 0.12},
	{workload{watch, 100}, cpu, 0.45, 0.2},
}

func (r results) printGoal(out io.Writer, a aim) {
	names := map[int]string{cpu: "cpu", rate: "rate", p50: "p50", memory: "memory"}
	name := fmt.Sprintf("server_%s_ratio_%s_%d", names[a.of], strings.NewReplacer(" ", "_", "-", "_").Replace(string(a.work.kind)), a.work.clients)
	value := r.ratio(a.work, a.of)
	for _, limit := range []struct {
		suffix string
		value  float64
	}{{"", a.firm}, {"_stretch", a.stretch}} {
		if a.of == rate {
			goal.AtLeast(out, name+limit.suffix, value, limit.value)
		} else {
			goal.AtMost(out, name+limit.suffix, value, limit.value)
		}
	}
}
