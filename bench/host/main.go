// Command host measures our host and its peers, dragonboat, hashicorp/raft and etcd's
// raft, on the same work, in turns: three replicas in one process, over loopback TCP, every
// command on a majority's disks before it is answered. It prints what an operation
// cost each of them, the ratios, and a line for each goal.
//
//	make bench-host
//	make bench-growth: ours alone, with more and more groups and entries
//
// Only ratios within one run mean something: the machine may be busy. Each
// contestant is a process of its own, started anew for each turn, so that no
// one's memory or garbage collector weighs on another.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		out := os.Stdout
		os.Stdout = os.Stderr // what a peer prints must not get between the results
		exitOn(serve(out, os.Args[2]))
		return
	}
	o := usual()
	flag.IntVar(&o.rounds, "rounds", o.rounds, "how often everything is measured; medians are printed")
	flag.DurationVar(&o.window, "window", o.window, "how long one load is measured at a time")
	flag.StringVar(&o.dir, "dir", o.dir, "`directory` for the logs, on the disk that is to be measured; the system's for temporary files if empty")
	flag.StringVar(&o.only, "only", o.only, "comma-separated `names` of contestants; all if empty")
	flag.IntVar(&o.entries, "entries", o.entries, "how many entries to come back with after a stop; 0: do not measure that")
	flag.StringVar(&o.profiles, "profiles", o.profiles, "`directory` for CPU profiles, one for each contestant and load; none if empty")
	growing := flag.Bool("growth", false, "measure ours alone, with more and more groups and longer and longer logs, instead")
	groups := flag.Int("most-groups", 1_000, "of these at most so many `groups`")
	entries := flag.Int("most-entries", 10_000_000, "and so many `entries` to begin with, all of which three replicas keep in memory and on disk")
	quick := flag.Bool("quick", false, "a short look at few groups, to see that everything works")
	flag.Parse()
	if *quick {
		o = o.quick()
	}
	o.growth = o.growth.upTo(*groups, *entries)
	measure := run
	if *growing {
		measure = grow
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	exitOn(measure(ctx, os.Stdout, o))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

// options are how much is measured.
type options struct {
	rounds   int
	loads    []load
	warm     time.Duration
	window   time.Duration
	idle     []idleCase
	settle   time.Duration // before idle groups are looked at: what a host remembers of them for a while is gone by then
	entries  int           // to come back with
	growth   growth
	dir      string
	only     string
	profiles string
}

// idleCase is a contestant with so many groups that have nothing to do.
type idleCase struct {
	who    string
	groups int
}

func usual() options {
	return options{
		rounds: 5, warm: 300 * time.Millisecond, window: 2 * time.Second, settle: time.Minute, entries: 1_000_000,
		loads: []load{{1, 1}, {1, 64}, {1, 1024}, {48, 1}, {48, 64}, {48, 1024}},
		idle:  []idleCase{{nameOurs, fewIdle}, {nameDragonboat, fewIdle}, {nameOurs, 1_000}, {nameOurs, manyIdle}},
		growth: growth{
			groups: []int{1, 10, 100, 1_000}, entries: []int{1_000, 10_000, 100_000, 1_000_000, 10_000_000},
			clients: 1024, writes: 50_000,
		},
	}
}

// How many idle groups are compared with a peer's, which takes minutes to start
// more of them, and how many we must carry.
const (
	fewIdle  = 200
	manyIdle = 10_000
)

func (o options) quick() options {
	o.rounds, o.warm, o.window, o.settle = 1, 20*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	o.loads = []load{{1, 1}, {1, 64}, {2, 64}}
	o.idle, o.entries = []idleCase{{nameOurs, 5}}, 2_000
	o.growth = growth{groups: []int{1, 10}, entries: []int{100, 1_000}, clients: 64, writes: 1_000}
	return o
}

func run(ctx context.Context, w io.Writer, o options) error {
	if o.rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	who, err := chosen(o.only)
	if err != nil {
		return err
	}
	printMachine(w)
	f, err := contest(ctx, who, o)
	if err != nil {
		return err
	}
	if err := f.table(w); err != nil {
		return err
	}
	still := idle(ctx, who, o)
	still.table(w)
	back, err := recovery(ctx, who, o)
	if err != nil {
		return err
	}
	recoveryTable(w, who, back, o.entries)
	for _, g := range slices.Concat(f.goals(), still.goals(), recoveryGoals(who, back)) {
		g.print(w)
	}
	return nil
}

// chosen returns the contestants of these names, ours first.
func chosen(names string) (who []string, err error) {
	for _, c := range contestants {
		who = append(who, c.name)
	}
	if names == "" {
		return who, nil
	}
	var some []string
	for name := range strings.SplitSeq(names, ",") {
		if _, err := find(name); err != nil {
			return nil, err
		}
		some = append(some, name)
	}
	return some, nil
}

func decodeTask(text string) (t task, err error) {
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return t, fmt.Errorf("read the task %q: %w", text, err)
	}
	return t, nil
}
