package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// stillness is what was seen of groups that have nothing to do.
type stillness struct {
	cases  []idleCase
	seen   [][]rest // without groups, and with them
	failed []error  // of each case: nil, or why it needs infinitely much
}

// startIdle is how long idle groups may take to start, to settle and to be
// measured. Who needs longer cannot carry them.
const startIdle = 3 * time.Minute

// idle looks at the cases one after another, each in a process of its own.
func idle(ctx context.Context, who []string, o options) *stillness {
	s := &stillness{}
	for _, c := range o.idle {
		if !slices.Contains(who, c.who) {
			continue
		}
		var seen []rest
		t := task{Who: c.who, Groups: c.groups, Settle: o.settle, Window: 2 * o.window, Profiles: o.profiles}
		limited, cancel := context.WithTimeout(ctx, startIdle)
		err := ask(limited, o.dir, t, func(results *json.Decoder) error {
			var r rest
			err := results.Decode(&r)
			if err == nil {
				seen = append(seen, r)
			}
			return err
		})
		cancel()
		if err == nil && len(seen) != 2 {
			err = fmt.Errorf("%s measured %d times, not twice", c.who, len(seen))
		}
		if err != nil {
			seen = []rest{{}, {CPU: math.Inf(1), Memory: math.Inf(1)}}
		}
		s.cases, s.seen, s.failed = append(s.cases, c), append(s.seen, seen), append(s.failed, err)
	}
	return s
}

// each is what one more idle group costs the three nodes together.
func (s *stillness) each(i int) rest {
	empty, full, n := s.seen[i][0], s.seen[i][1], float64(s.cases[i].groups)
	return rest{CPU: (full.CPU - empty.CPU) / n, Memory: (full.Memory - empty.Memory) / n}
}

func (s *stillness) table(w io.Writer) {
	fmt.Fprint(w, "Idle groups: of one group on three nodes, CPU time in us a second and resident KB; of the process, cores and MB.\n\n")
	for i, c := range s.cases {
		if s.failed[i] != nil {
			fmt.Fprintf(w, "%-12s %6d groups: not within %v: %v\n", c.who, c.groups, startIdle, s.failed[i])
			continue
		}
		each, all := s.each(i), s.seen[i][1]
		fmt.Fprintf(w, "%-12s %6d groups: %8.2f us/s  %8.1f KB    process: %.3f cores  %.0f MB\n",
			c.who, c.groups, each.CPU, each.Memory/1e3, all.CPU/1e6, all.Memory/1e6)
		if all.Lost > 0 {
			fmt.Fprintf(w, "%-12s a node falls silent: its %d groups have other leaders after %.2f election timeouts\n", "", all.Lost, all.Reelected)
		}
	}
	fmt.Fprintln(w)
}

// find returns the place of a case, -1 if it was not looked at.
func (s *stillness) find(who string, groups int) int {
	return slices.Index(s.cases, idleCase{who, groups})
}

func (s *stillness) goals() (all []score) {
	// One more group of ours is seen best among many: few are lost in what three hosts
	// need to talk at all.
	ours, theirs := s.find(nameOurs, manyIdle), s.find(nameDragonboat, fewIdle)
	if ours >= 0 && s.failed[ours] == nil && theirs >= 0 && s.failed[theirs] == nil {
		us, them := s.each(ours), s.each(theirs)
		all = append(all, atMost("idle_group_cpu_ratio", us.CPU/them.CPU, 0.10, 0.02)...)
		all = append(all, atMost("idle_group_memory_ratio", us.Memory/them.Memory, 0.02, 0.005)...)
	}
	if many := s.find(nameOurs, manyIdle); many >= 0 {
		seen := s.seen[many][1]
		if s.failed[many] != nil {
			seen.Reelected = math.Inf(1)
		}
		all = append(all, atMost("idle_groups_cores", seen.CPU/1e6, 0.5, 0.1)...)
		all = append(all, score{"idle_groups_memory_mb", seen.Memory / 1e6, 1000, false})
		all = append(all, score{"reelect_election_timeouts", seen.Reelected, 3, false})
	}
	return all
}
