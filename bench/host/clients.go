package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/bench/memory"
	"github.com/quorate-db/quorate/internal/cputime"
)

// commandBytes is the size of every command.
const commandBytes = 128

// cost is what a window has shown of one load.
type cost struct {
	CPU      float64 // of an operation, in microseconds of the whole process
	Rate     float64 // operations a second
	P50, P99 float64 // of an operation's time, in microseconds
	Memory   float64 // resident at the end, in MB
	Retries  int     // operations that met a node that did not lead
}

// crowd is clients that propose in a closed loop, each to the groups in turn,
// beginning with another one.
type crowd struct {
	cluster cluster
	leaders []atomic.Int32 // the node of each group that is tried first
	over    atomic.Bool
}

func newCrowd(c cluster, groups int) *crowd {
	w := &crowd{cluster: c, leaders: make([]atomic.Int32, groups)}
	for g := range w.leaders {
		w.leaders[g].Store(int32(firstLeader(g)))
	}
	return w
}

// firstLeader spreads the leaders over the nodes.
func firstLeader(group int) int { return group % replicas }

// measure lets so many clients work for a window.
func (w *crowd) measure(clients int, window time.Duration, profile string) (cost, error) {
	stop, err := startProfile(profile)
	if err != nil {
		return cost{}, err
	}
	defer stop()
	tallies, failed := make([]tally, clients), make([]error, clients)
	runtime.GC()
	begin, spent := time.Now(), cputime.Now()
	w.over.Store(false)
	var all sync.WaitGroup
	for id := range clients {
		all.Go(func() { failed[id] = w.client(id, &tallies[id]) })
	}
	time.Sleep(window)
	resident := memory.Resident()
	w.over.Store(true)
	all.Wait()
	spent, took := cputime.Now()-spent, time.Since(begin)
	for _, err := range failed {
		if err != nil {
			return cost{}, err
		}
	}
	sum := total(tallies)
	done := float64(sum.done())
	return cost{
		CPU: micro(spent) / done, Rate: done / took.Seconds(), P50: micro(sum.quantile(0.5)), P99: micro(sum.quantile(0.99)),
		Memory: float64(resident) / 1e6, Retries: sum.retries,
	}, nil
}

func (w *crowd) client(id int, t *tally) error {
	for op := id; !w.over.Load(); op++ {
		begin := time.Now()
		retries, err := w.propose(op%len(w.leaders), make([]byte, commandBytes))
		if err != nil {
			return err
		}
		t.note(time.Since(begin))
		t.retries += retries
	}
	return nil
}

// propose insists until some node has carried the command out.
func (w *crowd) propose(group int, command []byte) (retries int, err error) {
	for end := time.Now().Add(patience); ; retries++ {
		node := w.leaders[group].Load()
		if err = w.cluster.propose(group, int(node), command); err == nil {
			return retries, nil
		}
		if time.Now().After(end) {
			return retries, fmt.Errorf("group %d has carried out no command for %v: %w", group, patience, err)
		}
		w.leaders[group].CompareAndSwap(node, (node+1)%replicas)
		time.Sleep(time.Millisecond)
	}
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// startProfile writes a CPU profile until the returned function is called.
func startProfile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, fmt.Errorf("write a profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close() // a profile cut short is seen by who reads it
	}, nil
}
