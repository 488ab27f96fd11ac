// Command growth measures what a put and a get cost the key-value store on disk while
// it holds more and more keys: CPU time, which should not depend on how many there
// are. It prints a line for each goal.
//
//	make bench-growth
//
// The store stands alone, without a log in front of it: batches of commands are
// applied as a node applies them, and keys are read as a node reads them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
)

// options are how much is measured.
type options struct {
	sizes  []int // keys
	rounds int
	puts   int // in each round
	gets   int
	dir    string
}

func usual() options {
	return options{sizes: []int{1_000, 10_000, 100_000, 1_000_000, 10_000_000}, rounds: 3, puts: 50_000, gets: 50_000}
}

func main() {
	o := usual()
	flag.IntVar(&o.rounds, "rounds", o.rounds, "how often each size is measured, in turns; medians are printed")
	flag.StringVar(&o.dir, "dir", o.dir, "`directory` for the stores, 4 GB for 10 million keys; the system's for temporary files if empty")
	most := flag.Int("most", o.sizes[len(o.sizes)-1], "at most so many `keys`")
	quick := flag.Bool("quick", false, "a short look at few keys, to see that everything works")
	flag.Parse()
	if *quick {
		o = o.quick()
	}
	o.sizes = slices.DeleteFunc(o.sizes, func(n int) bool { return n > *most })
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func (o options) quick() options {
	o.sizes, o.rounds, o.puts, o.gets = []int{100, 1_000}, 1, 1_000, 1_000
	return o
}

// cost is of one operation, in microseconds of CPU time.
type cost struct{ put, get float64 }

func run(ctx context.Context, w io.Writer, o options) (err error) {
	if o.rounds < 1 || len(o.sizes) == 0 {
		return errors.New("-rounds must be at least 1, and -most at least 1000")
	}
	dir, err := os.MkdirTemp(o.dir, "quorate-growth")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	costs := make([][]cost, len(o.sizes))
	for round := range o.rounds {
		for i, size := range o.sizes {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c, err := measure(filepath.Join(dir, fmt.Sprint(size)), size, round, o)
			if err != nil {
				return fmt.Errorf("%d keys: %w", size, err)
			}
			costs[i] = append(costs[i], c)
		}
	}
	report(w, o, costs)
	return nil
}

// measure opens the store of a size, fills it if it is new, and has it work. Only one
// is open at a time: nothing that another would do in the background is counted.
func measure(dir string, size, round int, o options) (c cost, err error) {
	s, err := open(dir, size, uint64(round))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if round == 0 {
		err = s.fill()
	}
	if err == nil {
		c.put, err = s.puts(o.puts)
	}
	if err == nil {
		c.get, err = s.gets(o.gets)
	}
	return c, err
}

func report(w io.Writer, o options, costs [][]cost) {
	fmt.Fprintf(w, "CPU time of a put and of a get, in us; medians of %d rounds, %s.\n\n| keys | put | get |\n|---|---|---|\n",
		o.rounds, time.Now().Format(time.DateOnly))
	var puts, gets []float64
	for i, size := range o.sizes {
		puts = append(puts, middle(costs[i], func(c cost) float64 { return c.put }))
		gets = append(gets, middle(costs[i], func(c cost) float64 { return c.get }))
		fmt.Fprintf(w, "| %d | %.2f | %.2f |\n", size, puts[i], gets[i])
	}
	fmt.Fprintln(w)
	span := fmt.Sprintf("growth_keys_%d_to_%d", o.sizes[0], o.sizes[len(o.sizes)-1])
	goal.AtMost(w, span+"_put_cpu", slices.Max(puts)/slices.Min(puts), flat)
	goal.AtMost(w, span+"_get_cpu", slices.Max(gets)/slices.Min(gets), flat)
}

// flat is how much the largest cost may be above the smallest.
const flat = 1.2

func middle(costs []cost, of func(cost) float64) float64 {
	var all []float64
	for _, c := range costs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
