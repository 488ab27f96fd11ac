package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/quorate-db/quorate/bench/memory"
	"github.com/quorate-db/quorate/internal/cputime"
)

// growth is what is asked of our own host alone: that an operation costs the same
// however much there is.
type growth struct {
	groups  []int
	entries []int // in the log
	clients int
	writes  int // measured at least behind so many entries
}

// upTo leaves out what is larger.
func (g growth) upTo(groups, entries int) growth {
	g.groups = slices.DeleteFunc(slices.Clone(g.groups), func(n int) bool { return n > groups })
	g.entries = slices.DeleteFunc(slices.Clone(g.entries), func(n int) bool { return n > entries })
	return g
}

// curve is what an operation cost at each size: in microseconds of CPU time, and what
// the process held meanwhile, in MB.
type curve struct {
	what   string
	sizes  []int
	costs  []float64
	memory []float64
}

// note adds the next size's rounds.
func (c *curve) note(size int, rounds []cost) {
	var cpu, memory []float64
	for _, r := range rounds {
		cpu, memory = append(cpu, r.CPU), append(memory, r.Memory)
	}
	c.sizes, c.costs, c.memory = append(c.sizes, size), append(c.costs, middle(cpu)), append(c.memory, middle(memory))
}

// grow measures both curves.
func grow(ctx context.Context, w io.Writer, o options) error {
	if o.rounds < 1 || len(o.growth.groups) == 0 || len(o.growth.entries) == 0 {
		return errors.New("-rounds, -most-groups and -most-entries leave nothing to measure: they take at least 1, 1 and 1000")
	}
	printMachine(w)
	o.loads = nil
	for _, n := range o.growth.groups {
		o.loads = append(o.loads, load{n, o.growth.clients})
	}
	f, err := contest(ctx, []string{nameOurs}, o)
	if err != nil {
		return err
	}
	groups := curve{what: "groups"}
	for _, l := range o.loads {
		groups.note(l.groups, f.costs[l][0])
	}
	log, err := longer(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "What a command costs %s, in us of CPU time; %d clients, medians of %d rounds.\n\n", nameOurs, o.growth.clients, o.rounds)
	for _, c := range []curve{groups, log} {
		c.table(w)
	}
	for _, c := range []curve{groups, log} {
		c.goal().print(w)
	}
	return nil
}

// longer measures what a command costs behind a log of so many entries that is not
// compacted. Each length has processes of its own, and all have their turn in each round.
func longer(ctx context.Context, o options) (curve, error) {
	costs := make([][]cost, len(o.growth.entries))
	for range o.rounds {
		for i, entries := range o.growth.entries {
			t := task{Who: nameOurs, Groups: 1, Clients: []int{o.growth.clients}, Entries: entries, Phase: phaseAppend, Profiles: o.profiles}
			t.Writes = max(o.growth.writes, entries/4)
			if err := ask(ctx, o.dir, t, func(results *json.Decoder) error {
				var c cost
				err := results.Decode(&c)
				if err == nil {
					costs[i] = append(costs[i], c)
				}
				return err
			}); err != nil {
				return curve{}, err
			}
		}
	}
	log := curve{what: "log"}
	for i, rounds := range costs {
		log.note(o.growth.entries[i], rounds)
	}
	return log, nil
}

// serveAppend writes a log of so many entries, and measures so many more: with a log
// grow arrays that are copied now and then, and what the collector looks at, so that
// a few would not show what all of them cost.
func serveAppend(out *json.Encoder, c durable, t task) error {
	crowd, err := ready(c, t.Groups)
	if err != nil {
		return err
	}
	if err := crowd.write(t.Entries, t.Clients[0]); err != nil {
		return err
	}
	stop, err := startProfile(t.profile(t.Clients[0]))
	if err != nil {
		return err
	}
	defer stop()
	begun, spent := time.Now(), cputime.Now()
	if err := crowd.write(t.Writes, t.Clients[0]); err != nil {
		return err
	}
	n := float64(t.Writes)
	return out.Encode(cost{
		CPU: micro(cputime.Now()-spent) / n, Rate: n / time.Since(begun).Seconds(), Memory: float64(memory.Resident()) / 1e6,
	})
}

func (c curve) table(w io.Writer) {
	for i, size := range c.sizes {
		fmt.Fprintf(w, "%-6s %10d %8.3f us %8.0f MB\n", c.what, size, c.costs[i], c.memory[i])
	}
	fmt.Fprintln(w)
}

// goal is that the largest cost is at most a fifth above the smallest. Its name says
// how far the curve goes.
func (c curve) goal() score {
	name := fmt.Sprintf("growth_%s_%d_to_%d_cpu", c.what, c.sizes[0], c.sizes[len(c.sizes)-1])
	return score{name, slices.Max(c.costs) / slices.Min(c.costs), 1.2, false}
}
