// Command measure measures the simulator: how much simulated time a second of one
// processor buys, for whole clusters under faults and for bare cores, and whether
// many seeds find a violation. It prints a line for each goal.
//
//	make bench-sim
//	make sim RUNS=100000
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
	"runtime/debug"
	"sync"
	"time"

	"github.com/quorate-db/quorate/internal/cputime"
	"github.com/quorate-db/quorate/internal/goal"
	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

func main() {
	first := flag.Uint64("first", 1, "the first seed")
	runs := flag.Int("runs", 0, "look for violations in so many runs, rather than measure speed")
	jobs := flag.Int("jobs", runtime.GOMAXPROCS(0), "runs at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// A run makes much garbage and keeps little: memory is cheaper than collecting it.
	debug.SetGCPercent(400)
	measure := func() error { return speed(os.Stdout) }
	if *runs > 0 {
		measure = func() error { return hunt(ctx, os.Stdout, *first, *runs, *jobs) }
	}
	err := measure()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

// How much is measured.
const (
	clusters = 120              // runs of whole clusters
	virtual  = 20 * time.Minute // of bare cores
)

// speed prints how fast simulated time goes by, on one processor.
func speed(w io.Writer) error {
	runtime.GOMAXPROCS(1) // or the collector would use a processor that nobody else does
	rate, err := whole(w, "one group", func(p *sim.Plan) { p.Groups = 0 })
	if err != nil {
		return err
	}
	if _, err := whole(w, "1 to 5 groups", func(*sim.Plan) {}); err != nil {
		return err
	}
	cpu := cputime.Now()
	entries, err := bare(5, virtual)
	if err != nil {
		return err
	}
	bareRate := virtual.Seconds() / (cputime.Now() - cpu).Seconds()
	fmt.Fprintf(w, "5 bare cores, 10 ms a tick, 50 proposals a second: %d entries in %v simulated, %.0f s for each second of a processor\n", entries, virtual, bareRate)
	goal.AtLeast(w, "sim_seconds_per_cpu_second", rate, 200)
	goal.AtLeast(w, "sim_seconds_per_cpu_second_stretch", rate, 500)
	goal.AtLeast(w, "bare_core_seconds_per_cpu_second", bareRate, 1200)
	return nil
}

// whole measures whole clusters, whose plans are adjusted.
func whole(w io.Writer, what string, adjust func(*sim.Plan)) (rate float64, err error) {
	cpu, simulated := cputime.Now(), time.Duration(0)
	for i := range uint64(clusters) {
		plan := sim.Draw(1+i, sim.Limits{Nodes: 3 + int(i%5)})
		adjust(plan)
		r, err := sim.Execute(plan, sim.Setup{})
		if err != nil {
			return 0, err
		}
		if r.Err != nil {
			return 0, fmt.Errorf("seed %d: %w", plan.Seed, r.Err)
		}
		simulated += r.Elapsed
	}
	rate = simulated.Seconds() / (cputime.Now() - cpu).Seconds()
	fmt.Fprintf(w, "%d clusters of 3 to 7 nodes, %s, with faults, everything checked: %v simulated, %.0f s for each second of a processor\n",
		clusters, what, simulated.Round(time.Second), rate)
	return rate, nil
}

// hunt looks for violations, half of the runs with the real key-value store. Of
// every hundredth run it looks whether it can be repeated.
func hunt(ctx context.Context, w io.Writer, first uint64, runs, jobs int) error {
	h := &hunting{ctx: ctx, w: w, next: first, end: first + uint64(runs), began: time.Now()}
	var all sync.WaitGroup
	for range jobs {
		all.Go(h.run)
	}
	all.Wait()
	goal.AtLeast(w, "sim_runs", float64(h.done), float64(runs))
	goal.AtLeast(w, "sim_runs_repeated", float64(h.repeated), float64(runs/100))
	fmt.Fprintf(w, "in %d runs a log moved what quiet groups need out of old segments\n", h.moved)
	goal.AtMost(w, "sim_violations", float64(len(h.failures)), 0)
	return errors.Join(h.failures...)
}

type hunting struct {
	ctx   context.Context
	w     io.Writer
	end   uint64
	began time.Time

	mu       sync.Mutex
	next     uint64
	done     int
	repeated int
	told     time.Time
	elapsed  time.Duration
	moved    int // runs in which a log moved entries
	failures []error
}

func (h *hunting) run() {
	for {
		h.mu.Lock()
		seed := h.next
		over := seed >= h.end || h.ctx.Err() != nil || len(h.failures) > 0
		if !over {
			h.next++
		}
		h.mu.Unlock()
		if over {
			return
		}
		h.tell(h.try(seed))
	}
}

// try carries out one seed, and tells whether it was repeated.
func (h *hunting) try(seed uint64) (r *sim.Result, repeated bool, err error) {
	setup := sim.Setup{}
	if seed%2 == 0 {
		setup.Store = simulate.New
	}
	plan := sim.Draw(seed, sim.Limits{})
	if r, err = sim.Execute(plan, setup); err != nil || r.Err != nil {
		if err == nil {
			small := sim.Shrink(r, setup, 200)
			err = fmt.Errorf("seed %d: %w\n%s", seed, small.Err, small.Plan.Encode())
		}
		return r, false, err
	}
	if seed%100 != 0 {
		return r, false, nil
	}
	again, err := sim.Execute(plan, setup)
	if err == nil && again.Sum != r.Sum {
		err = fmt.Errorf("seed %d: two runs of the same plan differ: %x and %x", seed, r.Sum, again.Sum)
	}
	return r, true, err
}

func (h *hunting) tell(r *sim.Result, repeated bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failures = append(h.failures, err)
		return
	}
	h.done++
	if repeated {
		h.repeated++
	}
	h.elapsed += r.Elapsed
	if r.Counts.Moved > 0 {
		h.moved++
	}
	if now := time.Now(); now.Sub(h.told) > 30*time.Second {
		h.told = now
		fmt.Fprintf(h.w, "%d runs, %v simulated, %.0f s a second\n", h.done, h.elapsed.Round(time.Second), h.elapsed.Seconds()/now.Sub(h.began).Seconds())
	}
}
