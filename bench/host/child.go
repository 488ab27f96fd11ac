package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/quorate-db/quorate/bench/memory"
	"github.com/quorate-db/quorate/internal/cputime"
)

// childCommand makes this program a contestant: the next argument is its task, and
// it prints one JSON value for each thing measured.
const childCommand = "child"

// task is what a contestant is asked to measure: some loads on so many groups, or
// what groups without any load need.
type task struct {
	Who      string
	Dir      string // for its files; empty: one that is removed afterwards
	Groups   int
	Clients  []int // one load after another
	Warm     time.Duration
	Window   time.Duration
	Settle   time.Duration // not zero: measure idle groups, after so long
	Profiles string        // directory; none if empty
	Entries  int           // not zero: measure recovery with so many, or what more of them cost
	Writes   int           // so many more
	Phase    string        // which of these
}

// profile is the file for a profile of so many clients; empty if none is wanted.
func (t *task) profile(clients int) string {
	if t.Profiles == "" {
		return ""
	}
	return filepath.Join(t.Profiles, fmt.Sprintf("%s-%d-groups-%d-clients.prof", t.Who, t.Groups, clients))
}

// ask runs a task in a process of its own and calls each for every result.
func ask(ctx context.Context, parent string, t task, each func(*json.Decoder) error) (err error) {
	if t.Dir == "" {
		if t.Dir, err = os.MkdirTemp(parent, "quorate-bench"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(t.Dir)) }()
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, childCommand, string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	results := json.NewDecoder(out)
	for err = nil; err == nil; {
		err = each(results)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("%s with %d groups: %w", t.Who, t.Groups, err)
	}
	return nil
}

// serve is what a contestant's process does.
func serve(w io.Writer, text string) (err error) {
	t, err := decodeTask(text)
	if err != nil {
		return err
	}
	who, err := find(t.Who)
	if err != nil {
		return err
	}
	if t.Entries > 0 {
		return serveRecovery(json.NewEncoder(w), who, t)
	}
	open := who.open
	if t.Settle > 0 && who.idle != nil {
		open = who.idle
	}
	c, err := open(t.Dir, t.Groups)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	out := json.NewEncoder(w)
	if t.Settle > 0 {
		return serveIdle(out, c, t)
	}
	crowd, err := ready(c, t.Groups)
	if err != nil {
		return err
	}
	for _, clients := range t.Clients {
		if _, err := crowd.measure(clients, t.Warm, ""); err != nil {
			return err
		}
		cost, err := crowd.measure(clients, t.Window, t.profile(clients))
		if err != nil {
			return err
		}
		if err := out.Encode(cost); err != nil {
			return err
		}
	}
	return nil
}

// starters is how many groups are started at a time: some, since each waits for
// syncs and elections.
const starters = 100

// ready starts the groups; each has carried out one command on each node's log.
func ready(c cluster, groups int) (*crowd, error) {
	w := newCrowd(c, groups)
	failed := make([]error, starters)
	var all sync.WaitGroup
	for first := range starters {
		all.Go(func() {
			for group := first; group < groups && failed[first] == nil; group += starters {
				if failed[first] = c.start(group, firstLeader(group)); failed[first] == nil {
					_, failed[first] = w.propose(group, make([]byte, commandBytes))
				}
			}
		})
	}
	all.Wait()
	return w, errors.Join(failed...)
}

// rest is what a process needs while nothing happens.
type rest struct {
	CPU    float64 // microseconds a second
	Memory float64 // resident bytes, once the collector has given back what it can

	// After a node has fallen silent: how long it takes until all groups that it led
	// have another leader, in election timeouts. Zero where that is not measured.
	Reelected float64
	Lost      int // so many groups
}

// serveIdle tells what the process needs without groups, and then with them.
func serveIdle(out *json.Encoder, c cluster, t task) error {
	if err := out.Encode(look(t.Window)); err != nil {
		return err
	}
	if _, err := ready(c, t.Groups); err != nil {
		return err
	}
	time.Sleep(t.Settle)
	stop, err := startProfile(t.profile(0))
	if err != nil {
		return err
	}
	seen := look(t.Window)
	stop()
	if m, ok := c.(*mutable); ok {
		if seen.Reelected, seen.Lost, err = m.silence(); err != nil {
			return err
		}
	}
	return out.Encode(seen)
}

func look(window time.Duration) rest {
	debug.FreeOSMemory()
	spent := cputime.Now()
	time.Sleep(window)
	spent = cputime.Now() - spent
	return rest{CPU: micro(spent) / window.Seconds(), Memory: float64(memory.Resident())}
}
