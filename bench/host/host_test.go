package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program be a contestant, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEveryContestantDoesTheWork runs a short contest: a peer that refuses, or a
// load that is left out, would leave an empty place in the table.
func TestEveryContestantDoesTheWork(t *testing.T) {
	if testing.Short() {
		t.Skip("starts twelve nodes and syncs their logs")
	}
	o := usual().quick()
	o.dir, o.profiles = t.TempDir(), t.TempDir()
	o.loads = []load{{1, 3}, {2, 8}}
	who, err := chosen("")
	if err != nil {
		t.Fatal(err)
	}
	f, err := contest(context.Background(), who, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range o.loads {
		for i, name := range who {
			c := f.costs[l][i]
			if len(c) != 1 || c[0].CPU <= 0 || c[0].Rate <= 0 || c[0].P50 <= 0 || c[0].P99 < c[0].P50 || c[0].Memory <= 0 {
				t.Errorf("%s with %+v: %+v", name, l, c)
			}
		}
	}
	if _, err := os.Stat(o.profiles + "/quorate-2-groups-8-clients.prof"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
	still := idle(context.Background(), who, o)
	if len(still.seen) != 1 || len(still.seen[0]) != 2 || still.failed[0] != nil || still.seen[0][1].Memory <= 0 || still.seen[0][1].Lost == 0 || still.seen[0][1].Reelected <= 0 {
		t.Errorf("idle groups: %+v, %v", still.seen, still.failed)
	}
}

func TestARefusingContestantIsAnError(t *testing.T) {
	err := ask(context.Background(), t.TempDir(), task{Who: "nobody", Groups: 1}, func(d *json.Decoder) error { return d.Decode(new(cost)) })
	if err == nil || !strings.Contains(err.Error(), "nobody with 1 groups") {
		t.Errorf("got %v", err)
	}
}

// figuresOf has three rounds of every load, in which ours and two peers need so
// much CPU time; operations a second are the inverse.
func figuresOf(ours, one, two float64) *figures {
	f := &figures{who: []string{nameOurs, "one", "two"}, loads: usual().loads, costs: map[load][][]cost{}}
	for _, l := range f.loads {
		for _, cpu := range []float64{ours, one, two} {
			c := cost{CPU: cpu, Rate: 1000 / cpu, P50: cpu}
			outlier := cost{CPU: 1000 * cpu, Rate: 1, P50: 1}
			f.costs[l] = append(f.costs[l], []cost{c, outlier, c})
		}
	}
	return f
}

func TestAGoalIsHeldAgainstTheBestPeer(t *testing.T) {
	var out strings.Builder
	for _, g := range figuresOf(10, 40, 20).goals() {
		g.print(&out)
	}
	for _, want := range []string{
		"GOAL host_cpu_ratio_1_group_1024_clients 0.5 0.7 ok\n",
		"GOAL host_cpu_ratio_1_group_1024_clients_stretch 0.5 0.5 ok\n",
		"GOAL host_rate_ratio_1_group_1024_clients 2 1.4 ok\n",
		"GOAL host_p50_ratio_1_group_1_client 0.5 0.9 ok\n",
		"GOAL host_cpu_ratio_48_groups_64_clients 0.5 0.12 short\n",
		"GOAL host_rate_ratio_48_groups_64_clients 2 6 short\n",
		"GOAL host_cpu_48_groups_by_1 1 1.15 ok\n",
	} {
		if !strings.Contains(out.String(), strings.Replace(want, "by_1 1 1.15", "by_1_stretch 1 1.15", 1)) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}

func TestIdleGoalsAreOfOneGroup(t *testing.T) {
	s := &stillness{
		cases: []idleCase{{nameOurs, fewIdle}, {nameDragonboat, fewIdle}, {nameOurs, manyIdle}},
		seen: [][]rest{
			{{CPU: 5, Memory: 1e6}, {CPU: 1005, Memory: 11e6}},
			{{CPU: 0, Memory: 100e6}, {CPU: 20_000, Memory: 900e6}},
			{{}, {CPU: 600_000, Memory: 2e9, Reelected: 2.5}},
		},
		failed: make([]error, 3),
	}
	var out strings.Builder
	for _, g := range s.goals() {
		g.print(&out)
	}
	for _, want := range []string{
		"GOAL idle_group_cpu_ratio 0.6 0.1 short\n",
		"GOAL idle_group_memory_ratio 0.05 0.02 short\n",
		"GOAL idle_groups_cores 0.6 0.5 short\n",
		"GOAL idle_groups_memory_mb 2000 1000 short\n",
		"GOAL reelect_election_timeouts 2.5 3 ok\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}

// TestWhoCannotCarryIdleGroupsIsSaid has a process end where it should measure.
func TestWhoCannotCarryIdleGroupsIsSaid(t *testing.T) {
	o := options{dir: t.TempDir(), idle: []idleCase{{"nobody", manyIdle}}, window: time.Second, settle: time.Second}
	s := idle(context.Background(), []string{"nobody"}, o)
	var out strings.Builder
	s.table(&out)
	s.cases[0].who = nameOurs
	for _, g := range s.goals() {
		g.print(&out)
	}
	for _, want := range []string{"nobody        10000 groups: not within", "GOAL idle_groups_cores +Inf 0.5 short\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestTallyKeepsTheOrderOfDurations(t *testing.T) {
	for bucket := range buckets - 1 {
		begin := startOf(bucket)
		if bucketOf(begin) != bucket || bucketOf(startOf(bucket+1)-1) != bucket {
			t.Fatalf("bucket %d begins with %d and ends before %d", bucket, begin, startOf(bucket+1))
		}
	}
	var one, other tally
	for n := range 1000 {
		one.note(time.Duration(n+1) * time.Millisecond)
	}
	other.note(time.Hour)
	other.retries = 2
	sum := total([]tally{one, other})
	near := func(got, want time.Duration) bool { return (got - want).Abs() <= want/32 }
	if p50, p99 := sum.quantile(0.5), sum.quantile(0.99); !near(p50, 500*time.Millisecond) || !near(p99, 990*time.Millisecond) {
		t.Errorf("of 1 to 1000 ms, half took %v and all but a hundredth %v", p50, p99)
	}
	if sum.done() != 1001 || sum.retries != 2 {
		t.Errorf("%d operations, %d retries", sum.done(), sum.retries)
	}
}

func TestRecoveryIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts twelve nodes")
	}
	o := usual().quick()
	o.dir = t.TempDir()
	who := []string{nameOurs, nameDragonboat, nameHashicorp}
	seen, err := recovery(context.Background(), who, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[nameOurs].CPU <= 0 || seen[nameDragonboat].CPU <= 0 {
		t.Errorf("recovery: %+v", seen)
	}
	if got := recoveryGoals(who, seen); len(got) != 2 {
		t.Errorf("goals: %v", got)
	}
}

func TestGrowthIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("starts twelve nodes")
	}
	o := usual().quick()
	o.dir = t.TempDir()
	var out strings.Builder
	if err := grow(context.Background(), &out, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"GOAL growth_groups_1_to_10_cpu ", "GOAL growth_log_100_to_1000_cpu "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
}

func TestACurveIsFlatWithinAFifth(t *testing.T) {
	var out strings.Builder
	for _, c := range []curve{
		{what: "log", sizes: []int{10, 100}, costs: []float64{6, 5}},
		{what: "groups", sizes: []int{1, 10, 100}, costs: []float64{5, 4, 8}},
	} {
		c.goal().print(&out)
	}
	const want = "GOAL growth_log_10_to_100_cpu 1.2 1.2 ok\nGOAL growth_groups_1_to_100_cpu 2 1.2 short\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	if g := usual().growth.upTo(100, 5_000); len(g.groups) != 3 || len(g.entries) != 1 {
		t.Errorf("not what was asked for: %+v", g)
	}
}
