package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

// simulation is what sim can be told.
type simulation struct {
	seed    uint64
	seeds   string // A..B
	nodes   int
	minutes float64
	faults  string
	jobs    int
	script  string // a file
	trace   string // a file
	report  string // a file
	chatty  bool
}

func simCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run whole clusters in simulated time, with every fault, from a seed",
		Long: "sim runs clusters of the real store in one thread each: time, disks and the network are simulated, everything\n" +
			"else is what the server runs. A seed decides the size of the cluster, its settings, what goes wrong and when;\n" +
			"the same seed leads to the same run. Every step is checked; what clients saw must be linearizable.\n\n" +
			"A run that fails is made as small as possible. Its transcript and a script that repeats it are written to files.\n\n" +
			"Exit codes: 0 nothing found, 1 a violation, 2 wrong command line.",
		Example: "  quorate sim --seed 7 --nodes 5 --minutes 10\n" +
			"  quorate sim --seeds 1..1000 -j 4\n" +
			"  quorate sim --seed 7 --faults crash,cut,clock --trace out.ndjson\n" +
			"  quorate sim --script quorate-sim-7.txt --messages",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return s.run(ctx, cmd)
		},
	}
	fs := cmd.Flags()
	fs.Uint64Var(&s.seed, "seed", 0, "the seed of one run; 0: drawn")
	fs.StringVar(&s.seeds, "seeds", "", "run many seeds, from A to B: A..B")
	fs.IntVar(&s.nodes, "nodes", 0, "voters in the beginning; 0: drawn from 1 to 7")
	fs.Float64Var(&s.minutes, "minutes", 0, "simulated minutes in which things go wrong; 0: six seconds")
	fs.StringVar(&s.faults, "faults", "", "only these, with commas between them, or none: "+strings.Join(append(sim.Faults(), "weather"), ", ")+"; empty: drawn")
	fs.IntVarP(&s.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "runs at a time, with --seeds")
	fs.StringVar(&s.script, "script", "", "carry out the plan in this file instead")
	fs.StringVar(&s.trace, "trace", "", "write a trace of the run to this file, one JSON object a line")
	fs.StringVar(&s.report, "transcript", "", "write a transcript of the run to this file, for people; -: to the terminal")
	fs.BoolVar(&s.chatty, "messages", false, "show messages in the transcript, too")
	return cmd
}

// maxMinutes bounds one run: its history is kept in memory.
const maxMinutes = 24 * 60

func (s *simulation) run(ctx context.Context, cmd *cobra.Command) error {
	// A run makes much garbage and keeps little: memory is cheaper than collecting it.
	debug.SetGCPercent(400)
	limits, err := s.limits()
	if err != nil {
		return err
	}
	if s.seeds != "" {
		from, to, err := s.span()
		if err != nil {
			return err
		}
		return s.many(ctx, cmd.OutOrStdout(), from, to, limits)
	}
	plan, err := s.plan(limits)
	if err != nil {
		return err
	}
	return s.one(ctx, cmd.OutOrStdout(), plan)
}

func (s *simulation) limits() (sim.Limits, error) {
	l := sim.Limits{Nodes: s.nodes, Length: time.Duration(s.minutes * float64(time.Minute))}
	switch {
	case s.nodes < 0 || s.nodes > 15:
		return l, usagef("--nodes %d: a simulated cluster has 1 to 15 voters", s.nodes)
	case s.minutes < 0 || s.minutes > maxMinutes:
		return l, usagef("--minutes %g: it takes 0 to %d", s.minutes, maxMinutes)
	case s.jobs < 1:
		return l, usagef("--jobs %d: at least one run at a time is needed", s.jobs)
	case s.seeds != "" && (s.seed != 0 || s.script != "" || s.trace != "" || s.report != ""):
		return l, usagef("--seeds goes with neither --seed, --script, --trace nor --transcript: those are about one run")
	}
	if s.faults == "" {
		return l, nil
	}
	l.Faults = []string{}
	for _, name := range strings.Split(s.faults, ",") {
		name = strings.TrimSpace(name)
		if name != "none" && name != "weather" && !slices.Contains(sim.Faults(), name) {
			return l, usagef("--faults: there is no %q; there are %s, weather, none", name, strings.Join(sim.Faults(), ", "))
		}
		l.Faults = append(l.Faults, name)
	}
	return l, nil
}

func (s *simulation) span() (from, to uint64, err error) {
	a, b, found := strings.Cut(s.seeds, "..")
	from, err1 := strconv.ParseUint(a, 10, 64)
	to, err2 := strconv.ParseUint(b, 10, 64)
	if !found || err1 != nil || err2 != nil || to < from {
		return 0, 0, usagef("--seeds %q: write it like 1..1000", s.seeds)
	}
	return from, to, nil
}

func (s *simulation) plan(limits sim.Limits) (*sim.Plan, error) {
	if s.script == "" {
		if s.seed == 0 {
			s.seed = 1 + rand.Uint64N(1<<32)
		}
		return sim.Draw(s.seed, limits), nil
	}
	text, err := os.ReadFile(s.script)
	if err != nil {
		return nil, usagef("--script: %w", err)
	}
	plan, err := sim.Decode(text)
	if err != nil {
		return nil, usagef("--script %s: %w", s.script, err)
	}
	return plan, nil
}

// one carries out one plan and tells what came of it.
func (s *simulation) one(ctx context.Context, out io.Writer, plan *sim.Plan) (err error) {
	fmt.Fprintf(out, "seed        %d\n", plan.Seed)
	fmt.Fprintf(out, "cluster     %d voters, %d spare; heartbeat %v, election timeout %v%s\n", plan.Voters, plan.Spares,
		plan.Heartbeat.D(), plan.Election.D(), map[bool]string{true: "; leases"}[plan.Lease])
	fmt.Fprintf(out, "clients     %d on %d keys, a call about every %v each; %d watch\n", plan.Clients, plan.Keys, plan.Think.D().Round(time.Millisecond), plan.Watchers)
	if plan.Guests != (sim.Guests{}) {
		fmt.Fprintf(out, "guests      %d with leases, %d with rights; a quota of %d bytes (0: none)\n", plan.Tenants, plan.Users, plan.Quota)
	}
	fmt.Fprintf(out, "goes wrong  %s, in %v\n", kinds(plan), plan.Length.D())
	transcript, done, err := s.transcripts(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	began := time.Now()
	r, err := sim.Execute(plan, sim.Setup{Store: simulate.New, Transcript: transcript, Stop: ctx.Done()})
	if err != nil {
		return usageError{err}
	}
	took := time.Since(began)
	fmt.Fprintf(out, "simulated   %v in %v: %.0f seconds a second\n", r.Elapsed.Round(time.Millisecond), took.Round(time.Millisecond), r.Elapsed.Seconds()/took.Seconds())
	fmt.Fprintf(out, "happened    %d events, %d operations, %d changes told, %d entries, %d leaders, %d faults\n", r.Counts.Steps, r.Counts.Operations, r.Counts.Told, r.Counts.Commands, r.Counts.Elections, r.Counts.Actions)
	fmt.Fprintf(out, "sum         %016x\n", r.Sum)
	switch {
	case errors.Is(r.Err, sim.ErrStopped):
		return errors.New("stopped before the end; no violation until then")
	case r.Err != nil:
		return s.failed(out, r)
	}
	fmt.Fprintln(out, "violations  none")
	return nil
}

// kinds says what a plan lets go wrong, and how often.
func kinds(p *sim.Plan) string {
	var parts []string
	for _, kind := range sim.Faults() {
		n := 0
		for _, a := range p.Actions {
			if a.Do == kind {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind))
		}
	}
	if w := p.Weather; w.Drop+w.Double+w.Reorder+w.Garble > 0 {
		parts = append(parts, fmt.Sprintf("frames lost %.0f %%, doubled %.0f %%, overtaken %.0f %%, garbled %.0f %%", 100*w.Drop, 100*w.Double, 100*w.Reorder, 100*w.Garble))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// transcripts opens what the user wants to be written, and returns what ends it.
func (s *simulation) transcripts(out io.Writer) (sim.Transcript, func() error, error) {
	var all sim.Transcript
	var ends []func() error
	done := func() (err error) {
		for _, end := range ends {
			err = errors.Join(err, end())
		}
		return err
	}
	if s.report != "" {
		to, end := out, func() error { return nil }
		if s.report != "-" {
			f, err := os.Create(s.report)
			if err != nil {
				return nil, nil, usagef("--transcript: %w", err)
			}
			to, end = f, f.Close
		}
		text := sim.NewText(to)
		text.Messages = s.chatty
		all, ends = text, append(ends, text.Flush, end)
	}
	if s.trace != "" {
		f, err := os.Create(s.trace)
		if err != nil {
			return nil, nil, usagef("--trace: %w", err)
		}
		trace := sim.NewNDJSON(f)
		ends = append(ends, trace.Flush, f.Close)
		if all != nil {
			all = sim.Both(all, trace)
		} else {
			all = trace
		}
	}
	return all, done, nil
}

// failed makes a run small, and writes down what it takes to understand it.
func (s *simulation) failed(out io.Writer, r *sim.Result) error {
	fmt.Fprintf(out, "VIOLATION   %v\n", r.Err)
	setup := sim.Setup{Store: simulate.New}
	small := sim.Shrink(r, setup, shrinkRuns)
	base := fmt.Sprintf("quorate-sim-%d", r.Plan.Seed)
	if err := os.WriteFile(base+".txt", small.Plan.Encode(), 0o644); err != nil {
		return err
	}
	var story strings.Builder
	text := sim.NewText(&story)
	text.Messages = s.chatty
	setup.Transcript = text
	if _, err := sim.Execute(small.Plan, setup); err != nil {
		return err
	}
	if err := text.Flush(); err != nil {
		return err
	}
	if err := os.WriteFile(base+".transcript", []byte(story.String()), 0o644); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimRight(story.String(), "\n"), "\n")
	fmt.Fprintf(out, "smallest    %d faults, %d nodes: %v\n\n", len(small.Plan.Actions), small.Plan.Voters+small.Plan.Spares, small.Err)
	if hidden := len(lines) - shownLines; hidden > 0 {
		fmt.Fprintf(out, "... %d lines before these\n", hidden)
		lines = lines[hidden:]
	}
	fmt.Fprintln(out, strings.Join(lines, "\n"))
	fmt.Fprintf(out, "\nThe whole transcript is in %s.transcript; repeat it with: quorate sim --script %s.txt\n", base, base)
	return verdictError{exitFailed, fmt.Sprintf("seed %d: a violation was found", r.Plan.Seed)}
}

const (
	shrinkRuns = 300 // plans that are tried to make one small
	shownLines = 60  // of a transcript, on the terminal
)

// many runs seeds side by side until one fails.
func (s *simulation) many(ctx context.Context, out io.Writer, from, to uint64, limits sim.Limits) error {
	var (
		mu        sync.Mutex
		all       sync.WaitGroup
		next      = from
		runs      uint64
		simulated time.Duration
		failed    *sim.Result
		broken    error
		began     = time.Now()
		told      = began
	)
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil || broken != nil || ctx.Err() != nil || next > to || next < from {
			return 0, false
		}
		next++
		return next - 1, true
	}
	tell := func(r *sim.Result, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			broken = err
			return
		}
		if errors.Is(r.Err, sim.ErrStopped) {
			return
		}
		runs++
		simulated += r.Elapsed
		if r.Err != nil && failed == nil {
			failed = r
		}
		if now := time.Now(); now.Sub(told) > 5*time.Second {
			told = now
			fmt.Fprintf(out, "%d of %d runs, %.0f simulated seconds a second\n", runs, to-from+1, simulated.Seconds()/now.Sub(began).Seconds())
		}
	}
	for range s.jobs {
		all.Go(func() {
			for {
				seed, ok := take()
				if !ok {
					return
				}
				tell(sim.Execute(sim.Draw(seed, limits), sim.Setup{Store: simulate.New, Stop: ctx.Done()}))
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	fmt.Fprintf(out, "%d runs, %v simulated in %v: %.0f seconds a second\n", runs, simulated.Round(time.Second), took.Round(time.Millisecond), simulated.Seconds()/took.Seconds())
	switch {
	case broken != nil:
		return usageError{broken}
	case failed != nil:
		fmt.Fprintf(out, "seed        %d\n", failed.Plan.Seed)
		return s.failed(out, failed)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped after %d of %d runs, none of which found a violation", runs, to-from+1)
	}
	fmt.Fprintln(out, "violations  none")
	return nil
}
