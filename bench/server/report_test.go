package main

import (
	"strings"
	"testing"
)

func TestAGoalIsTheMedianOfTheRoundsRatios(t *testing.T) {
	seen := results{}
	w := workload{put, 64}
	for _, round := range [][2]figures{
		{{cpu: 10, rate: 90}, {cpu: 20, rate: 100}},
		{{cpu: 30, rate: 400}, {cpu: 100, rate: 100}},
		{{cpu: 90, rate: 200}, {cpu: 100, rate: 100}},
	} {
		seen.add(w, nameOurs, round[0])
		seen.add(w, nameEtcd, round[1])
	}
	var out strings.Builder
	seen.print(&out, options{rounds: 3, kinds: "put"})
	for _, want := range []string{
		"| put, 64 | ratio | 0.50 | 2.00 |",
		"GOAL server_cpu_ratio_put_64 0.5 0.45 short\n",
		"GOAL server_rate_ratio_put_64 2 1.8 ok\n",
		"GOAL server_rate_ratio_put_64_stretch 2 2.7 short\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "watch") {
		t.Errorf("a goal of what was not measured:\n%s", out.String())
	}
}

func TestKindsOfWorkAreChosen(t *testing.T) {
	if got := workloads("put,watch"); len(got) != 4 {
		t.Errorf("%v", got)
	}
	if got := workloads("nothing"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
