package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-db/quorate/internal/goal"
)

// failure is how the leader fails.
type failure string

// A killed process's connections are reset at once; those of a silent one, which is
// stopped and later goes on, stand, and nothing comes.
const (
	killed failure = "killed"
	silent failure = "silent"
)

var failures = []failure{killed, silent}

// outages are how many failures are looked at, and how.
type outages struct {
	each    int           // failures of a kind in each round
	writers int           // clients in a closed loop
	timeout time.Duration // of one write; gaps come in steps of it
	steady  time.Duration // of writing before the failure
	after   time.Duration // of writing after it, at least
}

// gaps are the longest times without a successful write, of each failure and
// contestant.
type gaps map[failure]map[string][]time.Duration

func failover(ctx context.Context, o options, out io.Writer) error {
	seen := gaps{killed: {}, silent: {}}
	err := o.inTurns(func(name string) (err error) {
		c, err := start(ctx, o, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		for i := range len(failures) * o.outages.each {
			how := failures[i%len(failures)]
			gap, err := c.fail(ctx, how, o.outages)
			if err != nil {
				return fmt.Errorf("a leader that is %s: %w", how, err)
			}
			seen[how][name] = append(seen[how][name], gap)
		}
		return nil
	})
	if err == nil {
		seen.print(out, o.outages)
	}
	return err
}

// fail has the leader fail under load, and mends it again.
func (c *cluster) fail(ctx context.Context, how failure, o outages) (gap time.Duration, err error) {
	leader, err := c.settled(ctx)
	if err != nil {
		return 0, err
	}
	w, err := write(ctx, c.endpoints, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	time.Sleep(o.steady)
	struck := time.Now()
	if how == killed {
		err = c.kill(leader)
	} else {
		err = c.processes[leader].Process.Signal(syscall.SIGSTOP)
	}
	if err == nil {
		err = w.resumed(ctx, struck, o.after)
	}
	w.stop()
	if how == killed {
		err = errors.Join(err, c.launch(ctx, leader))
	} else {
		err = errors.Join(err, c.processes[leader].Process.Signal(syscall.SIGCONT))
	}
	return longestGap(w.done, struck), err
}

// longestGap is the longest time between two successes, of those that ended after
// the failure. The times are in order.
func longestGap(done []time.Time, struck time.Time) (gap time.Duration) {
	for i, at := range done {
		if i > 0 && at.After(struck) {
			gap = max(gap, at.Sub(done[i-1]))
		}
	}
	return gap
}

// writers put in a closed loop, each on another node after every write that was not
// answered in time. They do not wait for what they cannot know: where the leader is.
type writers struct {
	nodes []*clientv3.Client
	end   context.CancelFunc
	all   sync.WaitGroup

	mu   sync.Mutex
	done []time.Time // when a write succeeded
}

func write(ctx context.Context, endpoints []string, o outages) (*writers, error) {
	w := &writers{}
	ctx, w.end = context.WithCancel(ctx)
	for _, endpoint := range endpoints {
		client, err := connect(endpoint)
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.nodes = append(w.nodes, client)
	}
	for id := range o.writers {
		w.all.Go(func() {
			for node := id; ctx.Err() == nil; {
				if !w.put(ctx, node%len(w.nodes), key(id), o.timeout) {
					node++
					time.Sleep(time.Millisecond) // a refusal comes at once
				}
			}
		})
	}
	return w, nil
}

func (w *writers) put(ctx context.Context, node int, key string, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := w.nodes[node].Put(ctx, key, "value"); err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, time.Now())
	return true
}

// resumed returns when a write has succeeded that long after the failure, or later.
func (w *writers) resumed(ctx context.Context, struck time.Time, after time.Duration) error {
	for time.Since(struck) < patience && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		w.mu.Lock()
		resumed := len(w.done) > 0 && w.done[len(w.done)-1].Sub(struck) >= after
		w.mu.Unlock()
		if resumed {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("no write has succeeded %v after it", time.Since(struck)), ctx.Err())
}

// stop ends the writing; from then on done does not change.
func (w *writers) stop() {
	w.end()
	w.all.Wait()
}

func (w *writers) close() (err error) {
	w.stop()
	for _, client := range w.nodes {
		err = errors.Join(err, client.Close())
	}
	return err
}

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (g gaps) print(out io.Writer, o outages) {
	fmt.Fprintf(out, "The longest time without a successful write when the leader fails, in ms; %d clients, %v for each write.\n\n",
		o.writers, o.timeout)
	fmt.Fprintf(out, "| leader | | median | least | most | failures |\n|---|---|---|---|---|---|\n")
	for _, how := range failures {
		for _, name := range contestants {
			all := g[how][name]
			fmt.Fprintf(out, "| %s | %s | %.0f | %.0f | %.0f | %d |\n", how, name,
				g.median(how, name), milli(slices.Min(all)), milli(slices.Max(all)), len(all))
		}
	}
	fmt.Fprintln(out)
	for _, aim := range []struct {
		how           failure
		name          string
		firm, stretch float64
	}{{killed, "failover_gap_ratio", 0.25, 0.05}, {silent, "failover_silent_gap_ratio", 1.0, 0.85}} {
		ratio := g.median(aim.how, nameOurs) / g.median(aim.how, nameEtcd)
		goal.AtMost(out, aim.name, ratio, aim.firm)
		goal.AtMost(out, aim.name+"_stretch", ratio, aim.stretch)
	}
}

// median is in milliseconds. Failures do not come in pairs: when one finds its
// followers in their timeouts is chance.
func (g gaps) median(how failure, name string) float64 {
	var all []float64
	for _, gap := range g[how][name] {
		all = append(all, milli(gap))
	}
	return median(all)
}
