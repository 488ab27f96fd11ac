// Command explorer searches the setups of package explore and prints what it
// finds. It exits with 2 if a state must not be.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/raft/explore"
)

func main() {
	states := flag.Int("states", 2_000_000, "visit at most this many distinct states of each setup")
	only := flag.String("setup", "", "visit this setup only (names with commas between them)")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "goroutines that search")
	wanted := flag.Int("goal", 0, "print a GOAL line: the setups of three voters together shall have this many distinct states")
	quiet := flag.Bool("quiet", false, "print results only")
	script := flag.String("play", "", "play the script in this file instead, and say whether it shows a violation")
	flag.Parse()
	if *script != "" {
		os.Exit(play(*script))
	}
	debug.SetGCPercent(400) // most of what is made is garbage at once

	e := explorer{states: *states, workers: *workers, quiet: *quiet}
	for _, setup := range explore.Setups {
		if *only != "" && !strings.Contains(","+*only+",", ","+setup.Name+",") {
			continue
		}
		if err := e.search(setup); err != nil {
			fmt.Fprintln(os.Stderr, "explorer:", err)
			os.Exit(1)
		}
		if e.found {
			os.Exit(2)
		}
	}
	if *wanted > 0 {
		goal.AtLeast(os.Stdout, "explored_states", float64(e.total), float64(*wanted))
	}
}

// play plays a script and returns the exit code.
func play(name string) int {
	script, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "explorer:", err)
		return 1
	}
	transcript, err := explore.Play(string(script))
	fmt.Print(transcript)
	if err != nil {
		fmt.Println("violation:", err)
		return 2
	}
	return 0
}

// explorer goes from setup to setup.
type explorer struct {
	states, workers int
	quiet           bool
	total           int
	found           bool
}

func (e *explorer) search(setup explore.Setup) error {
	begun := time.Now()
	told := begun
	result, err := explore.Run(setup, e.states, e.workers, func(r explore.Result) {
		if !e.quiet && time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Printf("  %s\n", line(r, time.Since(begun)))
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", setup.Name, err)
	}
	end := "stopped at its number of states"
	if result.Complete {
		end = "every state within its limits"
	}
	if result.Finding != nil {
		end = "a finding"
	}
	fmt.Printf("%-12s %s: %s\n", setup.Name, line(result, time.Since(begun)), end)
	if setup.Voters == 3 {
		e.total += result.States
	}
	if f := result.Finding; f != nil {
		e.found = true
		fmt.Printf("FOUND %s %d %d %s\n%s", setup.Name, result.States, f.Steps, f.Reason, f.Script)
	}
	return nil
}

// line is how far a search has come, at what pace and in how much memory.
func line(r explore.Result, took time.Duration) string {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return fmt.Sprintf("%9d states, depth %2d, %10d transitions, %6.0f states/s, %5d MiB",
		r.States, r.Depth, r.Transitions, float64(r.States)/took.Seconds(), mem.HeapSys>>20)
}
