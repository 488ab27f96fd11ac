// Command server measures the quorate server and etcd on the same work, in turns:
// three processes each on this machine, with their own disks' directories, and
// etcd's own client. It prints throughput, latency, what an operation cost the
// servers' processes, their memory; how long writes stop when the leader fails; how
// long a new member takes to have everything; the ratios, and a line for each goal.
//
//	make bench-server bench-failover bench-snapshot
//
// Only ratios within one run mean something. The clients work on the same machine,
// in this process; their time is not counted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options are how much is measured.
type options struct {
	programs   map[string]string // contestant -> its program
	parts      string            // of what can be measured, with commas
	dir        string
	rounds     int
	warm       time.Duration
	window     time.Duration
	kinds      string // of work, with commas; all if empty
	profiles   string // directory; none if empty
	alone      string // who is measured, alone; both if empty
	outages    outages
	snapshotMB int // MiB
}

// The contestants, ours first.
const (
	nameOurs = "quorate"
	nameEtcd = "etcd"
)

var contestants = []string{nameOurs, nameEtcd}

// parts are what can be measured, in this order.
var parts = []struct {
	name    string
	measure func(context.Context, options, io.Writer) error
}{{"load", loads}, {"failover", failover}, {"snapshot", newMember}}

func usual() options {
	return options{
		programs: map[string]string{}, parts: "load,failover,snapshot", rounds: 5, warm: 500 * time.Millisecond, window: 2 * time.Second,
		outages:    outages{each: 2, writers: 6, timeout: 20 * time.Millisecond, steady: time.Second, after: 4 * time.Second},
		snapshotMB: 1024,
	}
}

// quick is a look at everything, to see that it works.
func (o options) quick() options {
	o.rounds, o.warm, o.window, o.kinds = 1, 10*time.Millisecond, 100*time.Millisecond, string(put)
	o.outages = outages{each: 1, writers: 3, timeout: 100 * time.Millisecond, steady: 100 * time.Millisecond, after: 100 * time.Millisecond}
	o.snapshotMB = 4
	return o
}

func main() {
	o := usual()
	ours := flag.String("quorate", "", "quorate's `program`")
	etcd := flag.String("etcd", "", "etcd's `program`")
	flag.StringVar(&o.parts, "parts", o.parts, "comma-separated `parts` of what is measured")
	flag.StringVar(&o.dir, "dir", "", "`directory` for the data, on the disk that is to be measured; the system's for temporary files if empty")
	flag.IntVar(&o.rounds, "rounds", o.rounds, "how often everything is measured; medians are printed")
	flag.DurationVar(&o.warm, "warm", o.warm, "how long each load runs before it is measured")
	flag.DurationVar(&o.window, "window", o.window, "how long it is measured")
	flag.StringVar(&o.kinds, "work", "", "comma-separated `kinds` of work for the load; all if empty")
	flag.StringVar(&o.profiles, "profiles", "", "`directory` for profiles of all servers under each load, and while a new member comes up; none if empty")
	flag.IntVar(&o.outages.each, "failures", o.outages.each, "how often the leader fails in a round, in each way")
	flag.DurationVar(&o.outages.timeout, "timeout", o.outages.timeout, "how long a write may take while it does")
	flag.IntVar(&o.snapshotMB, "snapshot", o.snapshotMB, "`MiB` that a new member is to get; above 1024, etcd comes near to its limit")
	flag.StringVar(&o.alone, "alone", "", "`contestant` that is to get a new member alone, to look at it; both if empty")
	quick := flag.Bool("quick", false, "a short look at everything, to see that it works")
	flag.Parse()
	if *quick {
		o = o.quick()
	}
	o.programs[nameOurs], o.programs[nameEtcd] = *ours, *etcd
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func (o options) check() error {
	switch {
	case o.programs[nameOurs] == "" || o.programs[nameEtcd] == "":
		return errors.New("name both programs, -quorate and -etcd; make bench-server builds them")
	case o.rounds < 1 || o.outages.each < 1 || o.snapshotMB < 1:
		return errors.New("-rounds, -failures and -snapshot must be at least 1")
	case o.alone != "" && (!slices.Contains(contestants, o.alone) || o.parts != "snapshot"):
		return fmt.Errorf("-alone %q: it is one of %s, and for -parts snapshot", o.alone, strings.Join(contestants, ", "))
	case len(workloads(o.kinds)) == 0:
		return fmt.Errorf("there is no -work %q", o.kinds)
	}
	for name := range strings.SplitSeq(o.parts, ",") {
		if !strings.Contains(","+usual().parts+",", ","+name+",") {
			return fmt.Errorf("there is no part %q; there are %s", name, usual().parts)
		}
	}
	return nil
}

func run(ctx context.Context, o options, out io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d cores, %s, %s/%s.\n\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, part := range parts {
		if !slices.Contains(strings.Split(o.parts, ","), part.name) {
			continue
		}
		if err := part.measure(ctx, o, out); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// inTurns has the contestants do something, in each round another one first.
func (o options) inTurns(do func(name string) error) error {
	for round := range o.rounds {
		for i := range contestants {
			name := contestants[(i+round)%len(contestants)]
			if o.alone != "" && name != o.alone {
				continue
			}
			if err := do(name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// loads measures all workloads.
func loads(ctx context.Context, o options, out io.Writer) error {
	seen := results{}
	err := o.inTurns(func(name string) error { return measure(ctx, o, name, seen) })
	if err == nil {
		seen.print(out, o)
	}
	return err
}

// measure starts a cluster, puts it through all workloads, and stops it.
func measure(ctx context.Context, o options, name string, seen results) (err error) {
	var flags []string
	if o.profiles != "" {
		flags = append(flags, "--enable-pprof")
	}
	c, err := start(ctx, o, name, flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	load, err := newLoad(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, load.close()) }()
	for _, w := range workloads(o.kinds) {
		if _, err := load.run(ctx, w, o.warm); err != nil {
			return fmt.Errorf("%v: %w", w, err)
		}
		profiled := make(chan error, 1)
		go func() { profiled <- c.profile(ctx, o.profiles, name, w.String(), o.window) }()
		figures, err := load.run(ctx, w, o.window)
		if err = errors.Join(err, <-profiled); err != nil {
			return fmt.Errorf("%v: %w", w, err)
		}
		seen.add(w, name, figures)
	}
	return nil
}
