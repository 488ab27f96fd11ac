// Command server measures the quorate server and etcd on the same work, in turns:
// three processes each on this machine, with their own disks' directories, and
// etcd's own client. It prints throughput, latency, what an operation cost the
// servers' processes, their memory, the ratios, and a line for each goal.
//
//	make bench-server
//
// Only ratios within one run mean something. The clients work on the same machine,
// in this process; their time is not counted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are how much is measured.
type options struct {
	programs map[string]string // contestant -> its program
	dir      string
	rounds   int
	warm     time.Duration
	window   time.Duration
	cases    []workload
}

// The contestants, ours first.
const (
	nameOurs = "quorate"
	nameEtcd = "etcd"
)

var contestants = []string{nameOurs, nameEtcd}

func main() {
	o := options{programs: map[string]string{}}
	ours := flag.String("quorate", "", "quorate's `program`")
	etcd := flag.String("etcd", "", "etcd's `program`")
	flag.StringVar(&o.dir, "dir", "", "`directory` for the data, on the disk that is to be measured; the system's for temporary files if empty")
	flag.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; medians are printed")
	flag.DurationVar(&o.warm, "warm", 500*time.Millisecond, "how long each load runs before it is measured")
	flag.DurationVar(&o.window, "window", 2*time.Second, "how long it is measured")
	kinds := flag.String("work", "", "comma-separated `kinds` of work; all if empty")
	flag.Parse()
	o.cases = workloads(*kinds)
	o.programs[nameOurs], o.programs[nameEtcd] = *ours, *etcd
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.rounds < 1 || len(o.cases) == 0 || o.programs[nameOurs] == "" || o.programs[nameEtcd] == "" {
		return errors.New("name both programs, at least one round, and kinds of work that there are; see -help")
	}
	seen := results{}
	for round := range o.rounds {
		for i := range contestants {
			name := contestants[(i+round)%len(contestants)] // each comes first in its turn
			if err := measure(ctx, o, name, seen); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	seen.print(os.Stdout, o)
	return nil
}

// measure starts a cluster, puts it through all workloads, and stops it.
func measure(ctx context.Context, o options, name string, seen results) (err error) {
	c, err := start(ctx, o, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	load, err := newLoad(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, load.close()) }()
	for _, w := range o.cases {
		if _, err := load.run(ctx, w, o.warm); err != nil {
			return fmt.Errorf("%v: %w", w, err)
		}
		figures, err := load.run(ctx, w, o.window)
		if err != nil {
			return fmt.Errorf("%v: %w", w, err)
		}
		seen.add(w, name, figures)
	}
	return nil
}
