//go:build unix

// Command soak runs three hosts with very many groups under mixed load for an hour,
// kills, stops, freezes and cuts them off, and looks whether anything grows or is lost.
//
//	make soak
//
// Each node is a process, with real files and connections, default settings but for
// how often it compacts, and clients of its own. They propose, read, hand over
// leadership and take members out and in again, on groups of which a few are busy
// and most sleep most of the time. The first node is never started again. In the end
// every command that was acknowledged must be there and none that was refused, all
// nodes must hold the same, and their disks must pass every check; memory and
// goroutines must not have grown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

// childCommand makes this program a node; its plan is the next argument.
const childCommand = "child"

// options are what a run is like.
type options struct {
	duration time.Duration
	groups   int
	rate     float64 // operations a second, on all nodes together
	clients  int     // on each node, at most so many operations at a time
	seed     uint64
	pause    time.Duration // between faults of a node
	every    time.Duration // a row of the table
	interval time.Duration // figures
	dir      string
	verbose  bool
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		exitOn(serve(os.Stdin, os.Stdout, os.Args[2]))
		return
	}
	var o options
	flag.DurationVar(&o.duration, "for", time.Hour, "how long load and faults go on")
	flag.IntVar(&o.groups, "groups", 1000, "how many groups there are")
	flag.Float64Var(&o.rate, "rate", 600, "operations a second, on all nodes together")
	flag.IntVar(&o.clients, "clients", 32, "how many operations a node may have under way")
	flag.DurationVar(&o.pause, "pause", 40*time.Second, "how long a node is left alone between faults, on average")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "faults and load follow from it, but for when they come")
	flag.StringVar(&o.dir, "dir", "", "`directory` for the nodes' files; the system's for temporary files if empty")
	flag.BoolVar(&o.verbose, "v", false, "tell of each fault")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	exitOn(run(ctx, os.Stdout, o.paced()))
}

// paced sets how often a run of this length is looked at.
func (o options) paced() options {
	o.every = max(o.duration/60, 5*time.Second)
	o.interval = min(max(o.duration/720, time.Second/4), 5*time.Second)
	return o
}

func exitOn(err error) {
	if errors.Is(err, context.Canceled) {
		os.Exit(130) // the user knows
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}
