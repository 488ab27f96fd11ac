package main

import (
	"strings"
	"testing"

	"github.com/quorate-db/quorate/bench/core/load"
)

// TestBothCoresDoTheWork runs the cases that are over at once on each core: a
// refusal or a stuck group would show there as it would in the others.
func TestBothCoresDoTheWork(t *testing.T) {
	for _, who := range []contestant{linked("ours", newOurs), linked("etcd's", newEtcd)} {
		elect, err := who.run(load.Case{Work: load.Elect})
		if err != nil || elect.CPU <= 0 || elect.Allocs <= 0 {
			t.Errorf("%s core: an election cost %+v, %v", who.name, elect, err)
		}
		weigh, err := who.run(load.Case{Work: load.Weigh})
		if err != nil || weigh.Bytes <= 0 {
			t.Errorf("%s core: a replica weighs %+v, %v", who.name, weigh, err)
		}
	}
}

func TestAGoalIsHeldAgainstTheWorstSize(t *testing.T) {
	f := figures{costs: map[load.Case][][]load.Cost{}}
	for _, c := range load.Cases() {
		ours := load.Cost{CPU: 10, Allocs: 0.1, Bytes: 5000}
		if c.Size == 1024 {
			ours.CPU = 15
		}
		f.cases = append(f.cases, c)
		f.costs[c] = [][]load.Cost{{ours, ours, {CPU: 900}}, {{CPU: 100}, {CPU: 100}, {CPU: 100}}, {{CPU: 50}, {CPU: 50}, {CPU: 50}}}
	}
	var out strings.Builder
	for _, g := range goals(&f) {
		g.print(&out)
	}
	for _, want := range []string{
		"GOAL core_cpu_ratio_1_in_flight 0.3 0.2 short\n",  // against the faster peer
		"GOAL core_cpu_ratio_256_in_flight 0.15 0.15 ok\n", // against the newer
		"GOAL core_allocs_per_entry_16_in_flight 0.1 0.2 ok\n",
		"GOAL core_allocs_per_entry_16_in_flight_stretch 0.1 0.001 short\n",
		"GOAL core_idle_replica_bytes 5000 4096 short\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}

// BenchmarkOurs is what main measures of our core, for a look with a profile:
//
//	go test ./core -run '^$' -bench 'Ours/128_B,_256' -cpuprofile cpu.out
func BenchmarkOurs(b *testing.B) {
	for _, c := range load.Cases() {
		b.Run(c.String(), func(b *testing.B) {
			var sum load.Cost
			for b.Loop() {
				cost := load.Run(c, newOurs)
				sum.CPU, sum.Bytes, sum.Allocs = sum.CPU+cost.CPU, sum.Bytes+cost.Bytes, sum.Allocs+cost.Allocs
			}
			b.ReportMetric(sum.CPU/float64(b.N), "cpu-ns/one")
			b.ReportMetric(sum.Bytes/float64(b.N), "B/one")
			b.ReportMetric(sum.Allocs/float64(b.N), "allocs/one")
			b.ReportMetric(0, "ns/op")
		})
	}
}
