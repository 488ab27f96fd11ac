package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/internal/cputime"
	"github.com/quorate-db/quorate/internal/freeport"
)

// lasting is a cluster of one group that keeps its whole log, and that a second
// process can open again in the same directory.
type lasting interface {
	cluster
	applied() uint64 // up to which entry the state machines of all nodes have come
}

// recovered is what it took to come back with a long log.
type recovered struct {
	CPU     float64 // microseconds of one entry on one node
	Seconds float64 // until all state machines were where they had been
}

// recovery has each contestant that can do so write a log of so many entries in one
// process and come back with it in another.
func recovery(ctx context.Context, who []string, o options) (map[string]recovered, error) {
	all := map[string]recovered{}
	for _, name := range who {
		c, err := find(name)
		if err != nil {
			return nil, err
		}
		if c.lasting == nil || o.entries == 0 {
			continue
		}
		if all[name], err = recoverOnce(ctx, name, o); err != nil {
			return nil, fmt.Errorf("recovery: %w", err)
		}
	}
	return all, nil
}

func recoverOnce(ctx context.Context, name string, o options) (r recovered, err error) {
	dir, err := os.MkdirTemp(o.dir, "quorate-bench")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, phase := range []string{phaseWrite, phaseRecover} {
		t := task{Who: name, Dir: dir, Groups: 1, Entries: o.entries, Phase: phase, Profiles: o.profiles}
		if err := ask(ctx, o.dir, t, func(results *json.Decoder) error { return results.Decode(&r) }); err != nil {
			return r, err
		}
	}
	return r, nil
}

// The two processes of a recovery, and the one of a log that only grows.
const (
	phaseWrite   = "write"
	phaseRecover = "recover"
	phaseAppend  = "append"
)

// serveRecovery is what each of them does.
func serveRecovery(out *json.Encoder, who contestant, t task) (err error) {
	begun, spent := time.Now(), cputime.Now()
	c, err := who.lasting(t.Dir, t.Groups)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if t.Phase == phaseAppend {
		return serveAppend(out, c, t)
	}
	if t.Phase == phaseWrite {
		crowd, err := ready(c, t.Groups)
		if err != nil {
			return err
		}
		if err := crowd.write(t.Entries, batching); err != nil {
			return err
		}
		return c.have(t.Entries)
	}
	stop, err := startProfile(t.profile(0))
	if err != nil {
		return err
	}
	defer stop()
	if err := c.start(0, 0); err != nil {
		return err
	}
	if err := c.have(t.Entries); err != nil {
		return err
	}
	return out.Encode(recovered{
		CPU: micro(cputime.Now()-spent) / float64(replicas*t.Entries), Seconds: time.Since(begun).Seconds(),
	})
}

// durable is a lasting cluster with what both contestants do alike.
type durable struct{ lasting }

// have returns when all state machines have come that far.
func (d durable) have(entries int) error {
	return until(fmt.Sprintf("apply %d entries on all nodes", entries), func() (bool, error) {
		return d.applied() >= uint64(entries), nil
	})
}

// batching is how many clients make good batches.
const batching = 1024

// write has so many clients propose so many commands together.
func (w *crowd) write(commands, clients int) error {
	var left atomic.Int64
	left.Store(int64(commands))
	failed := make([]error, clients)
	var all sync.WaitGroup
	for id := range failed {
		all.Go(func() {
			for left.Add(-1) >= 0 && failed[id] == nil {
				_, failed[id] = w.propose(0, make([]byte, commandBytes))
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// lastingAddresses are the nodes' addresses, the same for every process that opens
// the directory.
func lastingAddresses(dir string) ([]string, error) {
	file := filepath.Join(dir, "addresses")
	if text, err := os.ReadFile(file); err == nil {
		return strings.Fields(string(text)), nil
	}
	free, err := freeport.Addresses(replicas)
	if err != nil {
		return nil, err
	}
	return free, os.WriteFile(file, []byte(strings.Join(free, " ")), 0o600)
}

// lastingOurs is our hosts without snapshots.
type lastingOurs struct{ *ours }

func openLastingOurs(dir string, groups int) (durable, error) {
	addresses, err := lastingAddresses(dir)
	if err != nil {
		return durable{}, err
	}
	c, err := openOursWith(dir, groups, func(node int, cfg *quorate.Config) {
		cfg.Listen, cfg.SnapshotEntries, cfg.SnapshotBytes, cfg.MaxLogBytes = addresses[node], 1<<40, 1<<50, 1<<50
	})
	return durable{lastingOurs{c}}, err
}

func (c lastingOurs) applied() uint64 {
	least := ^uint64(0)
	for _, g := range c.groups[0] {
		least = min(least, uint64(g.Status().Applied))
	}
	return least
}

func openLastingDragonboat(dir string, groups int) (durable, error) {
	addresses, err := lastingAddresses(dir)
	if err != nil {
		return durable{}, err
	}
	c, err := openDragonboatAt(dir, groups, addresses)
	return durable{c}, err
}

func (c *dragon) applied() uint64 {
	least := ^uint64(0)
	for i := range c.done {
		least = min(least, c.done[i].Load())
	}
	return least
}

// recoveryTable prints what was seen of recovery.
func recoveryTable(w io.Writer, who []string, seen map[string]recovered, entries int) {
	if len(seen) == 0 {
		return
	}
	fmt.Fprintf(w, "Coming back with %d entries of %d B on each of three nodes, in one process:\n\n", entries, commandBytes)
	for _, name := range who {
		if r, ok := seen[name]; ok {
			fmt.Fprintf(w, "%-12s %6.2f us of CPU for an entry on a node  %6.1f s\n", name, r.CPU, r.Seconds)
		}
	}
	fmt.Fprintln(w)
}

func recoveryGoals(who []string, seen map[string]recovered) []score {
	if !slices.Contains(who, nameOurs) || seen[nameDragonboat].CPU == 0 {
		return nil
	}
	return atMost("host_recovery_cpu_ratio", seen[nameOurs].CPU/seen[nameDragonboat].CPU, 1.0, 0.4)
}
