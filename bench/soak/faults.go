//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// witness is the node that is never started again, so that whatever grows in a
// process for as long as it lives grows there.
const witness = 1

// fault is something that is done to a node and taken back after a while.
type fault struct {
	name   string
	often  int
	mortal bool // the process ends by it
	least  time.Duration
	most   time.Duration
	strike func(*node) error
	heal   func(*node) error
}

// faults overlap: each node has its own.
var faults = []fault{
	{"killed", 3, true, 0, 15 * time.Second, (*node).kill, (*node).start},
	{"stopped", 2, true, 0, 15 * time.Second, (*node).stop, (*node).start},
	{"frozen", 3, false, 200 * time.Millisecond, 6 * time.Second, (*node).freeze, (*node).thaw},
	{"cut off", 3, false, 200 * time.Millisecond, 6 * time.Second, (*node).cut, (*node).mend},
}

func (n *node) kill() error   { return n.process.kill() }
func (n *node) stop() error   { return n.process.stop() }
func (n *node) freeze() error { return n.process.cmd.Process.Signal(syscall.SIGSTOP) }
func (n *node) thaw() error   { return n.process.cmd.Process.Signal(syscall.SIGCONT) }
func (n *node) cut() error    { _, err := n.process.tell(orderCut); return err }
func (n *node) mend() error   { _, err := n.process.tell(orderMend); return err }

// torment strikes a node again and again until the context ends. What it draws
// follows from the seed; what the node does at that time does not.
func (n *node) torment(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(n.seed, uint64(n.number)))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(rng.Int64N(int64(most-least)))
	}
	for pause(ctx, between(n.pause/2, 3*n.pause/2)) {
		f := draw(rng, n.number != witness)
		hold := between(f.least, f.most)
		begun := time.Now()
		if err := f.strike(n); err != nil {
			return fmt.Errorf("node %d, %s: %w", n.number, f.name, err)
		}
		pause(ctx, hold) // at the end all is healed at once
		healing := time.Now()
		if err := f.heal(n); err != nil {
			return fmt.Errorf("node %d, after it was %s: %w", n.number, f.name, err)
		}
		n.diary("node %d %s %.1f s after the beginning, for %.1f s, and %.1f s to be back",
			n.number, f.name, begun.Sub(n.begun).Seconds(), healing.Sub(begun).Seconds(), time.Since(healing).Seconds())
		n.count(f.name)
	}
	return nil
}

func draw(rng *rand.Rand, mortal bool) fault {
	some := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.mortal && !mortal })
	sum := 0
	for _, f := range some {
		sum += f.often
	}
	at := rng.IntN(sum)
	for _, f := range some {
		if at -= f.often; at < 0 {
			return f
		}
	}
	panic("not reached: the sum is that of all")
}

// pause waits, and reports whether the context goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
