package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
)

// printMachine says where this runs and what takes part.
func printMachine(w io.Writer) {
	fmt.Fprintf(w, "%d cores, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains([]string{"github.com/lni/dragonboat/v4", "github.com/hashicorp/raft", "github.com/hashicorp/raft-wal", "go.etcd.io/raft/v3"}, m.Path) {
				fmt.Fprintf(w, "; %s %s", m.Path, m.Version)
			}
		}
	}
	fmt.Fprint(w, "\n\n")
}

// table prints the medians, and the ratios of ours to each peer's.
func (f *figures) table(w io.Writer) error {
	fmt.Fprintf(w, "Medians of %d rounds: CPU time of an operation in us; operations a second; their time in us; resident MB;\n"+
		"operations sent again to another node. \"of\" is the median of the rounds' ratios of %s to the line's contestant.\n\n",
		len(f.costs[f.loads[0]][0]), f.who[0])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "groups, clients\t\tCPU us\tops/s\tp50 us\tp99 us\tMB\tagain\tCPU of\tops/s of\tp50 of\tp99 of\tMB of\t")
	for _, l := range f.loads {
		for who, name := range f.who {
			m := func(of measure) float64 { return f.median(l, who, of.figure) }
			fmt.Fprintf(t, "%d, %d\t%s\t%.4g\t%.0f\t%.0f\t%.0f\t%.0f\t%d", l.groups, l.clients, name, m(cpuOf), m(rateOf), m(p50Of), m(p99Of), m(memOf), f.retries(l, who))
			for _, of := range []measure{cpuOf, rateOf, p50Of, p99Of, memOf} {
				if who == 0 {
					fmt.Fprint(t, "\t")
				} else {
					fmt.Fprintf(t, "\t%.2f", f.ratio(l, who, of.figure))
				}
			}
			fmt.Fprintln(t, "\t")
		}
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// retries are those of all rounds.
func (f *figures) retries(l load, who int) (n int) {
	for _, c := range f.costs[l][who] {
		n += c.Retries
	}
	return n
}
