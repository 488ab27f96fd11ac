// Command core measures our consensus core and etcd's on the same work, in turns:
// see package load for what that is. It prints what one operation cost each of
// them, the ratios, and a line for each goal.
//
//	make bench-core
//
// Only ratios within one run mean something: the machine may be busy. CPU time is
// this process's own, on one processor, with what collecting the garbage costs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/quorate-db/quorate/bench/core/load"
)

func main() {
	rounds := flag.Int("rounds", 5, "how often everything is measured; medians are printed")
	peer := flag.String("raft36", "", "`program` built from ../raft36, to take part too")
	flag.Parse()
	if err := run(os.Stdout, *rounds, *peer); err != nil {
		fmt.Fprintln(os.Stderr, "core:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, rounds int, peer string) (err error) {
	if rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	runtime.GOMAXPROCS(1) // or the collector would use a processor that nobody else does
	all := []contestant{linked("quorate", newOurs), linked("etcd raft 3.7", newEtcd)}
	if peer != "" {
		c, err2 := startChild(peer)
		if err2 != nil {
			return err2
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		all = append(all, contestant{"etcd raft 3.6", c.run})
	}
	f, err := contest(all, rounds)
	if err != nil {
		return err
	}
	if err := table(w, all, &f); err != nil {
		return err
	}
	size, err := wasm()
	if err != nil {
		return err
	}
	size.print(w)
	for _, g := range append(goals(&f), score{"core_wasm_brotli_kb", float64(size.packed) / 1000, 620}) {
		g.print(w)
	}
	return nil
}

// table prints the medians.
func table(w io.Writer, all []contestant, f *figures) error {
	fmt.Fprintf(w, "Medians of %d rounds. CPU time in ns, bytes and allocations of one operation: for\n"+
		"\"N B, K in flight\" one command of N bytes, its own bytes not counted, applied on three replicas.\n\n", len(f.costs[f.cases[0]][0]))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, who := range all {
		if i > 0 {
			fmt.Fprint(t, "\tratio")
		}
		fmt.Fprintf(t, "\t%s: ns\tB\tallocs", who.name)
	}
	fmt.Fprintln(t, "\t")
	for _, c := range f.cases {
		fmt.Fprint(t, c)
		for i := range all {
			if i > 0 {
				fmt.Fprintf(t, "\t%.3f", f.ratio(c, 0, i, figureOf(c)))
			}
			fmt.Fprintf(t, "\t%.0f\t%.0f\t%.3g", f.median(c, i, cpu), f.median(c, i, bytes), f.median(c, i, allocs))
		}
		fmt.Fprintln(t, "\t")
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// figureOf is what counts in a case.
func figureOf(c load.Case) func(load.Cost) float64 {
	if c.Work == load.Weigh {
		return bytes
	}
	return cpu
}
