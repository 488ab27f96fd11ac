//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
)

// TestMain lets the test's own program be a node, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestNothingIsLostInAShortRun is an hour's run in small. How much a process grows
// within seconds says nothing, so that only the other goals count.
func TestNothingIsLostInAShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three processes for 20 seconds")
	}
	o := options{duration: 20 * time.Second, groups: 12, rate: 300, clients: 8, seed: 1, pause: 2 * time.Second, dir: t.TempDir()}
	var out strings.Builder
	err := run(context.Background(), &out, o.paced())
	if err != nil && !strings.Contains(err.Error(), "short") {
		t.Error(err)
	}
	for _, promise := range promises {
		if !strings.Contains(out.String(), "GOAL soak_"+promise+" 0 0 ok\n") {
			t.Errorf("%s is not kept", promise)
		}
	}
	for _, want := range []string{"  propose\n", "  read\n", "  stale read\n", "  look\n", "GOAL soak_memory_growth ", "GOAL soak_goroutine_growth "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// TestTheJudgeSeesWhatIsWrong shows it nodes that have lost, kept or done twice what
// they should not have.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	good := func() [][]state {
		states := make([][]state, replicas)
		for i := range states {
			for g := range 2 {
				states[i] = append(states[i], state{Group: quorate.GroupID(g + 1), Index: 9, Sum: []byte{1}, Whole: true, Writers: []*writer{{ID: 5, Last: 3, Gaps: []uint32{2}}}})
			}
		}
		return states
	}
	for _, c := range []struct {
		broken string
		spoil  func(s *soak, states [][]state)
	}{
		{"", func(*soak, [][]state) {}},
		{writesLost, func(s *soak, _ [][]state) { s.done.add(5, &write{1, 2}) }},
		{writesLost, func(_ *soak, states [][]state) { states[2][0].Writers = nil }},
		{writesFalse, func(s *soak, _ [][]state) { s.refused.add(5, &write{1, 1}) }},
		{writesFalse, func(_ *soak, states [][]state) { states[1][1].Twice = 1 }},
		{hashesDiffer, func(_ *soak, states [][]state) { states[2][1].Sum = []byte{2} }},
		{groupsStuck, func(_ *soak, states [][]state) { states[2][1].Index = 8 }},
		{groupsStuck, func(_ *soak, states [][]state) { states[0][0].Whole = false }},
		{groupsStuck, func(_ *soak, states [][]state) { states[0][0].Err = "no leader" }},
	} {
		s := &soak{options: options{groups: 2}, notes: newNotes(), out: &strings.Builder{}}
		s.done.add(5, &write{1, 1})
		s.done.add(5, &write{1, 3})
		s.refused.add(5, &write{1, 2})
		states := good()
		c.spoil(s, states)
		if s.settled(states) != (c.broken != groupsStuck) {
			t.Errorf("%s: settled: %v", c.broken, s.settled(states))
		}
		s.compare(states)
		if (c.broken == "") != (len(s.broken) == 0) || c.broken != "" && s.broken[c.broken] == 0 {
			t.Errorf("%q is %v", c.broken, s.broken)
		}
	}
}

func TestADamagedDiskIsBad(t *testing.T) {
	dir := t.TempDir()
	c := &child{plan: plan{Node: 1, Dir: dir, Addresses: []string{"127.0.0.1:0"}, Groups: 1}, mouth: newMouth(&bytes.Buffer{})}
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	for range 2 * snapshotEntries {
		if err := newClient(c, 0).propose(t.Context(), c.wards[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.host.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := checkDisk(dir, 1); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"wal/*.wal", "snap/1/*.snap"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		whole, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		hurt := bytes.Clone(whole)
		hurt[200] ^= 1
		for _, content := range [][]byte{hurt, whole} {
			if err := os.WriteFile(files[0], content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := checkDisk(dir, 1); (err == nil) != bytes.Equal(content, whole) {
				t.Errorf("%s: %v", files[0], err)
			}
		}
	}
}

// TestGrowthIsMeasuredOnceAllIsWarm has a node that fills up at first, is disturbed
// for a moment, and is as it was in the end; and one that doubles.
func TestGrowthIsMeasuredOnceAllIsWarm(t *testing.T) {
	s := &soak{options: options{duration: time.Hour}, notes: newNotes()}
	for minute := range 60 {
		even := 100.0
		if minute < 8 || minute == 57 {
			even = 10 * float64(minute)
		}
		at := time.Duration(minute) * time.Minute
		s.samples = append(s.samples, sample{1, at, &figures{Resident: even}}, sample{2, at, &figures{Resident: 100 + 3*float64(minute)}})
	}
	of := func(node int) float64 {
		return s.growth(func(f *figures) float64 { return f.Resident }, func(x sample) bool { return x.node == node })
	}
	if one, two := of(1), of(2); one != 1 || two <= flat {
		t.Errorf("one grew to %v times, one to %v times", one, two)
	}
}
