package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"
)

// faults are the commands with which the user disturbs the cluster.
type faults struct {
	kill, pause fault
	every       time.Duration
}

// fault is a command, and the one that takes it back; either may be empty.
type fault struct{ strike, heal string }

// commandTime is how long one command may take.
const commandTime = time.Minute

// run strikes at random moments until the context ends, each time one node, and
// heals it before the next. It returns how often each command was run, and an
// error if one of them failed. What it struck is healed when it returns.
func (f *faults) run(ctx context.Context, seed uint64, endpoints []string) (map[string]int, error) {
	counts := map[string]int{}
	kinds := f.kinds()
	rng := rand.New(rand.NewPCG(seed, 0))
	about := func(d time.Duration) time.Duration { return d/2 + time.Duration(rng.Int64N(int64(d)+1)) }
	for len(kinds) > 0 && pause(ctx, about(f.every)) {
		k := kinds[rng.IntN(len(kinds))]
		victim := rng.IntN(len(endpoints))
		if err := execute(k.names[0], k.strike, victim, endpoints); err != nil {
			return counts, err
		}
		counts[k.names[0]]++
		pause(ctx, about(f.every/2)) // the end of the run heals at once
		if k.heal == "" {
			continue
		}
		if err := execute(k.names[1], k.heal, victim, endpoints); err != nil {
			return counts, err
		}
		counts[k.names[1]]++
	}
	return counts, nil
}

// namedFault is a fault with the flags that gave its commands.
type namedFault struct {
	fault
	names [2]string
}

func (f *faults) kinds() (all []namedFault) {
	if f.kill.strike != "" {
		all = append(all, namedFault{f.kill, [2]string{"kill", "restart"}})
	}
	if f.pause.strike != "" {
		all = append(all, namedFault{f.pause, [2]string{"pause", "resume"}})
	}
	return all
}

// execute runs one command to its end, whoever interrupts us meanwhile: half a
// restart helps nobody.
func execute(flag, command string, victim int, endpoints []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), fmt.Sprint("QUORATE_VERIFY_INDEX=", victim), "QUORATE_VERIFY_ENDPOINT="+endpoints[victim])
	// A command that leaves a server behind leaves it our pipe: do not wait for that.
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if err == nil || cmd.ProcessState != nil && cmd.ProcessState.Success() {
		return nil
	}
	lines := strings.Join(strings.Fields(said.String()), " ")
	return fmt.Errorf("--%s: the command for endpoint %d failed: %w: %s", flag, victim, err, lines[max(0, len(lines)-300):])
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
