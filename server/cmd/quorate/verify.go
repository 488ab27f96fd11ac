package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/workload"
)

// verification is what verify can be told.
type verification struct {
	remote
	clients   int
	keys      int
	rate      float64 // operations a second, of all clients
	limit     int     // operations
	duration  time.Duration
	checkTime time.Duration // for one key
	prefix    string
	seed      uint64
	stale     bool
	history   string // a file
	html      string // a file
	faults    faults
}

// verdictError is a run that ended without the verdict that one hopes for.
type verdictError struct {
	code int
	text string
}

func (e verdictError) Error() string { return e.text }

func verifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Put load on your cluster and check that it is linearizable",
		Long: "verify lets several clients read and write a few keys of your cluster through all endpoints at once, records\n" +
			"when each call began and ended, and then looks for one order of all calls that explains every answer.\n\n" +
			"The keys are new ones below --prefix, and are removed afterwards. Commands that you supply with --kill and\n" +
			"--restart, or --pause and --resume, are run by sh at random moments; $QUORATE_VERIFY_INDEX tells them which\n" +
			"endpoint is meant, from 0, and $QUORATE_VERIFY_ENDPOINT its URL. What was stopped is started again at the end.\n\n" +
			"Exit codes: 0 linearizable, 1 NOT linearizable, 2 wrong command line or a failing command, 5 the cluster did\n" +
			"not serve, 6 no verdict within --check-time.",
		Example: "  quorate verify --endpoints http://127.0.0.1:2379,http://127.0.0.1:2389,http://127.0.0.1:2399\n" +
			"  quorate verify --endpoints ... --duration 1m --kill ./kill.sh --restart ./restart.sh",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := v.check(); err != nil {
				return err
			}
			// Whoever interrupts it wants the nodes back and the keys gone.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return v.run(ctx, cmd)
		},
	}
	v.flags(cmd)
	return cmd
}

func (v *verification) flags(cmd *cobra.Command) {
	v.remote.flags(cmd)
	fs := cmd.Flags()
	fs.Lookup("timeout").Usage = "how long one operation may take"
	fs.IntVar(&v.clients, "clients", 8, "how many clients work at once")
	fs.IntVar(&v.keys, "keys", 16, "how many keys they share")
	fs.Float64Var(&v.rate, "rate", 500, "operations a second of all clients together; 0: as fast as they can")
	fs.IntVar(&v.limit, "max-operations", 20_000, "stop after so many operations")
	fs.DurationVar(&v.duration, "duration", 10*time.Second, "stop after this time")
	fs.DurationVar(&v.checkTime, "check-time", 20*time.Second, "how long to look for an order of the operations of one key")
	fs.StringVar(&v.prefix, "prefix", "verify/", "what the keys begin with")
	fs.Uint64Var(&v.seed, "seed", 0, "what is drawn at random follows from it; 0: a new one, which is printed")
	fs.BoolVar(&v.stale, "stale", false, "also read stale: no endpoint may go back to an older revision")
	fs.StringVar(&v.history, "history", "", "write all operations to this file, one JSON object a line")
	fs.StringVar(&v.html, "html", "quorate-verify.html", "write a picture of a contradiction to this file; nothing is written without one")
	fs.StringVar(&v.faults.kill.strike, "kill", "", "a shell command that kills a node")
	fs.StringVar(&v.faults.kill.heal, "restart", "", "a shell command that starts it again")
	fs.StringVar(&v.faults.pause.strike, "pause", "", "a shell command that freezes a node")
	fs.StringVar(&v.faults.pause.heal, "resume", "", "a shell command that lets it go on")
	fs.DurationVar(&v.faults.every, "every", 3*time.Second, "how often one of these begins, on average")
}

func (v *verification) check() error {
	switch {
	case v.clients < 1 || v.clients > 1000:
		return usagef("--clients %d: it is from 1 to 1000", v.clients)
	case v.keys < 1 || v.keys > 100_000:
		return usagef("--keys %d: it is from 1 to 100000", v.keys)
	case !(v.rate >= 0 && v.rate <= 1e6):
		return usagef("--rate %v: it is from 0, which means no limit, to 1000000", v.rate)
	case v.limit < 1 || v.limit > 10_000_000:
		return usagef("--max-operations %d: it is from 1 to 10000000", v.limit)
	case v.duration <= 0 || v.checkTime <= 0 || v.faults.every <= 0:
		return usagef("--duration, --check-time and --every must be positive")
	case v.faults.kill.strike == "" && v.faults.kill.heal != "":
		return usagef("--restart without --kill: nothing would be stopped")
	case (v.faults.pause.strike == "") != (v.faults.pause.heal == ""):
		return usagef("--pause and --resume go together: a node that stays frozen proves little")
	}
	if v.seed == 0 {
		v.seed = rand.Uint64()>>1 + 1
	}
	return v.remote.check()
}

// run does all of it: load, healing, last reads, clean-up, verdict.
func (v *verification) run(ctx context.Context, cmd *cobra.Command) error {
	l, err := v.newLoad()
	if err != nil {
		return usageError{fmt.Errorf("--endpoints: %w", err)}
	}
	defer l.Close()
	if err := v.reachable(ctx, l.Prefix); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d clients work on %d keys below %s for at most %v; --seed %d\n",
		v.clients, v.keys, l.Prefix, v.duration, v.seed)
	struck, err := v.underLoad(ctx, l)
	v.settle(ctx, l)
	if err != nil {
		return usageError{err}
	}
	history := l.History()
	if err := v.writeHistory(history); err != nil {
		return err
	}
	result, err := linear.Check(history, v.checkTime)
	if err != nil {
		return fmt.Errorf("the history cannot be judged: %w; please report it with the file that --history writes", err)
	}
	s := v.summarize(l, history, struck, &result)
	if err := v.show(cmd.OutOrStdout(), s, s.table); err != nil {
		return err
	}
	return v.conclude(cmd.OutOrStdout(), s, &result)
}

// underLoad lets clients and faults go until the time is up, and returns how
// often each command was run. It returns early if one of them fails.
func (v *verification) underLoad(ctx context.Context, l *workload.Load) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, v.duration)
	defer cancel()
	type outcome struct {
		counts map[string]int
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		counts, err := v.faults.run(ctx, v.seed, v.endpoints)
		if err != nil {
			cancel()
		}
		ended <- outcome{counts, err}
	}()
	l.Run(ctx)
	cancel() // the operations may have been used up before the time
	o := <-ended
	return o.counts, o.err
}

// conclude turns the verdict into the end of the program.
func (v *verification) conclude(out io.Writer, s *summary, r *linear.Result) error {
	switch {
	case r.Verdict == linear.NotLinearizable:
		if v.output == "table" {
			fmt.Fprintf(out, "\nNo order explains these operations:\n\n%s\n", linear.Text(r.Smallest))
		}
		if err := v.writePicture(r.Smallest); err != nil {
			return err
		}
		return verdictError{exitFailed, fmt.Sprintf("NOT linearizable: %d operations on the key %s contradict each other%s",
			len(r.Smallest), r.Key, v.whereShown())}
	case s.Stale.WentBack > 0 && v.faults.kill.strike == "":
		return verdictError{exitFailed, fmt.Sprintf("%d stale reads at one endpoint saw an older revision than stale reads there before them", s.Stale.WentBack)}
	case s.Answered == 0:
		return verdictError{exitUnavailable, "no operation was answered, so nothing is proved: look at quorate status, and try again when it has a leader"}
	case r.Verdict == linear.Undecided:
		return verdictError{exitUnknown, fmt.Sprintf("no verdict on %d keys within --check-time %v: allow more time, or spread the load over more --keys",
			len(r.Undecided), v.checkTime)}
	}
	return nil
}

func (v *verification) whereShown() string {
	if v.html == "" {
		return "; they are listed above"
	}
	return "; " + v.html + " shows them"
}

// reachable returns an error unless every endpoint serves: one that never does is
// more likely a mistake than a fault.
func (v *verification) reachable(ctx context.Context, key string) error {
	for _, url := range v.endpoints {
		c, err := client.New(v.config([]string{url}))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, v.timeout)
		_, err = c.Get(ctx, []byte(key))
		cancel()
		c.Close()
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (v *verification) newLoad() (*workload.Load, error) {
	l, err := workload.New(workload.Config{
		Clients: v.clients, Keys: v.keys, Rate: v.rate, Limit: v.limit, Timeout: v.timeout,
		Prefix: v.prefix, Seed: v.seed, Stale: v.stale, Endpoints: v.endpoints, Caller: v.config(nil),
	})
	if err == nil {
		v.endpoints = l.Endpoints
	}
	return l, err
}

// settleTime is how long a node that was struck may take to serve again.
const settleTime = 15 * time.Second

// settle reads all keys once more, and removes them. A key that nobody could read
// again has its history up to then.
func (v *verification) settle(ctx context.Context, l *workload.Load) {
	reading, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	l.LastReads(reading)
	// Who interrupted the run wants the keys gone all the same.
	removing, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	l.RemoveKeys(removing)
}
