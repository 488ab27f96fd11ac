package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestPutsAndGetsAreMeasured(t *testing.T) {
	o := usual().quick()
	o.dir, o.rounds = t.TempDir(), 2
	var out strings.Builder
	if err := run(context.Background(), &out, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n| 100 | ", "\n| 1000 | ", "GOAL growth_keys_100_to_1000_put_cpu ", "GOAL growth_keys_100_to_1000_get_cpu "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
}

// TestAStoreKeepsItsSize opens one again and again, as rounds do.
func TestAStoreKeepsItsSize(t *testing.T) {
	const size = 200
	dir := t.TempDir()
	for round := range 3 {
		if _, err := measure(dir, size, round, options{puts: 500, gets: 10}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := open(dir, size, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	state, err := s.State()
	if err != nil || state.Revision < size+3*500 || state.Swept != state.Revision {
		t.Errorf("%+v, %v: the history was not cleared away", state, err)
	}
	if err := s.read(10 * size); err != nil {
		t.Error(err)
	}
}

func TestGoalsAreOfTheCostliestSize(t *testing.T) {
	var out strings.Builder
	o := options{sizes: []int{1_000, 10_000}, rounds: 3}
	report(&out, o, [][]cost{{{2, 4}, {2, 5}, {90, 4}}, {{1, 4.4}, {3, 4}, {3, 90}}})
	for _, want := range []string{
		"| 10000 | 3.00 | 4.40 |\n",
		"GOAL growth_keys_1000_to_10000_put_cpu 1.5 1.2 short\n",
		"GOAL growth_keys_1000_to_10000_get_cpu 1.1 1.2 ok\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := run(context.Background(), &out, options{rounds: 1}); err == nil {
		t.Error("nothing to measure is no error")
	}
}
