//go:build unix

package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/internal/goal"
)

// notes are what the nodes have said.
type notes struct {
	mu      sync.Mutex
	done    writes // acknowledged
	refused writes
	samples []sample
	last    map[int]sample         // of each node
	lately  map[int]map[string]int // counted since the last row of the table
	broken  map[string]int         // promises, so often
}

// writes are the numbers of commands.
type writes map[place][]uint32

// place is a writer's part of a group.
type place struct{ writer, group uint32 }

// sample is how a node was at some time of the run.
type sample struct {
	node int
	at   time.Duration
	*figures
}

func newNotes() notes {
	return notes{done: writes{}, refused: writes{}, last: map[int]sample{}, lately: map[int]map[string]int{}, broken: map[string]int{}}
}

// hear takes in what a process says.
func (s *soak) hear(p plan, l line) {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	switch {
	case l.Done != nil:
		s.done.add(p.Writer, l.Done)
	case l.Refused != nil:
		s.refused.add(p.Writer, l.Refused)
	case l.Broken != nil:
		s.breaks(l.Broken.Promise, "%s", l.Broken.Text)
	case l.Figures != nil:
		this := sample{p.Node, time.Since(s.begun), l.Figures}
		s.samples, s.last[p.Node] = append(s.samples, this), this
		if s.lately[p.Node] == nil {
			s.lately[p.Node] = map[string]int{}
		}
		for what, n := range l.Figures.Counts {
			s.lately[p.Node][what] += n
			s.add(what, n)
		}
		this.Counts = nil
	}
}

func (w writes) add(writer uint32, this *write) {
	at := place{writer, this.Group}
	w[at] = append(w[at], this.Number)
}

// breaks counts a promise that was not kept. The notes are held.
func (s *soak) breaks(promise, format string, args ...any) {
	if s.broken[promise]++; s.broken[promise] <= 20 {
		s.print("BROKEN %s: "+format+"\n", append([]any{promise}, args...)...)
	}
}

func (s *soak) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.out, format, args...) // there is no other place to say so
}

// diary is for who wants to know what was done when.
func (s *soak) diary(format string, args ...any) {
	if s.verbose {
		s.print(format+"\n", args...)
	}
}

const row = "%9s  %4v  %8s  %7.0f  %7.0f  %10.0f  %6.0f  %5.0f  %9d  %9d  %s\n"

func (s *soak) printHeader() {
	s.print("%9s  %4s  %8s  %7s  %7s  %10s  %6s  %5s  %9s  %9s  %s\n",
		"time", "node", "age", "RSS MB", "heap MB", "goroutines", "log MB", "ops/s", "leaders", "snapshots", "failed")
}

// printRows prints how each node is, and what failed there since the last time.
func (s *soak) printRows() {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	for _, n := range s.nodes {
		l, ok := s.last[n.number]
		if !ok {
			continue
		}
		ops, failed, lately := 0, []string{}, s.lately[n.number]
		for _, what := range slices.Sorted(maps.Keys(lately)) {
			times := lately[what]
			if operation, _, fails := strings.Cut(what, ": "); isOperation(operation) {
				ops += times
				if fails {
					failed = append(failed, fmt.Sprintf("%s %d", what, times))
				}
			}
		}
		s.print(row, time.Since(s.begun).Round(time.Second), n.number, l.Age.Round(time.Second),
			l.Resident, l.Heap, l.Goroutines, l.Log, float64(ops)/s.every.Seconds(), lately[quorate.LeaderChanged.String()], lately[quorate.SnapshotInstalled.String()], strings.Join(failed, ", "))
	}
	clear(s.lately)
}

// growth is what a figure of the kept samples became towards the end, as a multiple
// of what it was once all was warm: medians of a sixth of the run each.
func (s *soak) growth(figure func(*figures) float64, keep func(sample) bool) float64 {
	median := func(from, to time.Duration) float64 {
		var all []float64
		for _, x := range s.samples {
			if keep(x) && from <= x.at && x.at < to {
				all = append(all, figure(x.figures))
			}
		}
		if len(all) == 0 {
			return math.NaN()
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return median(5*s.duration/6, s.duration) / median(s.duration/6, s.duration/3)
}

// flat is the most that something may have grown.
const flat = 1.2

// verdict prints what there was and the goals, and returns how many are short.
func (s *soak) verdict() (short int) {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	s.print("\n")
	counts := s.take()
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		s.print("%8d  %s\n", counts[what], what)
	}
	s.print("%8d  commands were acknowledged, %d refused\n\n", s.done.count(), s.refused.count())
	for _, promise := range promises {
		goal.AtMost(s.out, "soak_"+promise, float64(s.broken[promise]), 0)
		if s.broken[promise] > 0 {
			short++
		}
	}
	for _, g := range []struct {
		name   string
		figure func(*figures) float64
	}{
		{"memory", func(f *figures) float64 { return f.Resident }},
		{"heap", func(f *figures) float64 { return f.Heap }},
		{"log", func(f *figures) float64 { return f.Log }},
		{"goroutine", func(f *figures) float64 { return f.Goroutines }},
	} {
		grown := s.growth(g.figure, func(x sample) bool { return x.node == witness })
		short += s.judgeGrowth("soak_"+g.name+"_growth", grown)
		// The others began anew now and then. They are compared at the same age.
		grown = s.growth(g.figure, func(x sample) bool {
			return x.node != witness && s.duration/60 <= x.Age && x.Age < s.duration/12
		})
		short += s.judgeGrowth("soak_"+g.name+"_growth_restarted", grown)
	}
	return short
}

func (s *soak) judgeGrowth(name string, grown float64) (short int) {
	if math.IsNaN(grown) {
		goal.Unknown(s.out, name, flat)
		return 1
	}
	goal.AtMost(s.out, name, grown, flat)
	if grown > flat {
		return 1
	}
	return 0
}

func (w writes) count() (n int) {
	for _, numbers := range w {
		n += len(numbers)
	}
	return n
}
