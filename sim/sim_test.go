package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate/sim"
)

var (
	first = flag.Uint64("sim.first", 1, "the first seed")
	count = flag.Int("sim.count", 0, "how many seeds; 0: 300, or 60 under the race detector or with -short")
)

// TestSeeds carries out the plans of many seeds. A failure prints the plan, made
// as small as possible, as a script.
func TestSeeds(t *testing.T) {
	n := *count
	if n == 0 {
		n = 300
		if slow || testing.Short() {
			n = 60
		}
	}
	var next, failed atomic.Int64
	var simulated atomic.Int64
	began := time.Now()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for failed.Load() == 0 {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				r := execute(t, sim.Draw(*first+uint64(i), sim.Limits{}), sim.Setup{})
				simulated.Add(int64(r.Elapsed))
				if r.Err != nil && failed.Add(1) == 1 {
					t.Errorf("seed %d, run %d: %v\n%s", *first+uint64(i), i+1, r.Err, report(r))
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d runs, %v simulated in %v", min(int(next.Load()), n), time.Duration(simulated.Load()).Round(time.Second), time.Since(began).Round(time.Millisecond))
}

func execute(t *testing.T, p *sim.Plan, setup sim.Setup) *sim.Result {
	t.Helper()
	r, err := sim.Execute(p, setup)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// report is a failed run made small.
func report(r *sim.Result) string {
	small := sim.Shrink(r, sim.Setup{}, 200)
	text := fmt.Sprintf("the smallest plan found, of %d actions, fails with: %v\n%s", len(small.Plan.Actions), small.Err, small.Plan.Encode())
	if p, ok := small.Err.(*sim.Panic); ok {
		text += p.Stack
	}
	return text
}

func TestTheSamePlanLeadsToTheSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		p := sim.Draw(seed, sim.Limits{Length: 5 * time.Second})
		a, b := execute(t, p, sim.Setup{}), execute(t, p, sim.Setup{Transcript: silent{}})
		if a.Sum != b.Sum || a.Elapsed != b.Elapsed || a.Counts != b.Counts {
			t.Errorf("seed %d: %x after %v, then %x after %v", seed, a.Sum, a.Elapsed, b.Sum, b.Elapsed)
		}
	}
}

// A log moves what quiet groups need out of old segments, while machines crash.
func TestQuietGroupsMove(t *testing.T) {
	moved := 0
	for seed := uint64(1); seed <= 200; seed++ {
		p := sim.Draw(seed, sim.Limits{})
		crashes := slices.ContainsFunc(p.Actions, func(a sim.Action) bool { return a.Keep != "" })
		if p.Busy == 0 || !crashes {
			continue
		}
		r := execute(t, p, sim.Setup{})
		if r.Err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, r.Err, report(r))
		}
		if r.Counts.Moved > 0 {
			moved++
		}
	}
	if moved < 3 {
		t.Errorf("in %d runs anything has moved, want 3 at least", moved)
	}
}

func TestAScriptIsThePlan(t *testing.T) {
	for seed := uint64(1); seed <= 50; seed++ {
		p := sim.Draw(seed, sim.Limits{})
		again, err := sim.Decode(append([]byte("# a comment\n\n"), p.Encode()...))
		if err != nil {
			t.Fatal(err)
		}
		if string(again.Encode()) != string(p.Encode()) {
			t.Errorf("seed %d: the script says\n%s, its plan\n%s", seed, p.Encode(), again.Encode())
		}
	}
}

func TestScriptsThatAreNone(t *testing.T) {
	legal := string(sim.Draw(1, sim.Limits{Faults: []string{}}).Encode())
	for _, c := range []struct{ script, says string }{
		{"", "voters"},
		{"{", "line 1"},
		{`{"voters":3,"colour":"red"}`, "colour"},
		{strings.Replace(legal, `"heartbeat":"`, `"heartbeat":"-`, 1), "heartbeat"},
		{strings.Replace(legal, `"clients":`, `"busy":99,"clients":`, 1), "groups"},
		{strings.Replace(legal, `"think":`, `"watchers":99,"think":`, 1), "99 watchers"},
		{legal + `{"at":"1s","do":"sing","nodes":[1]}`, "sing"},
		{legal + `{"at":"1s","do":"crash","nodes":[77]}`, "numbered"},
	} {
		if _, err := sim.Decode([]byte(c.script)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want a word of %q", c.script, err, c.says)
		}
	}
}

// TestFoundBefore carries out the plans that once failed: see docs/found-by-sim.md.
func TestFoundBefore(t *testing.T) {
	scripts, err := filepath.Glob("testdata/found/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p, err := sim.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if r := execute(t, p, sim.Setup{}); r.Err != nil {
				t.Errorf("%v", r.Err)
			}
		})
	}
}
