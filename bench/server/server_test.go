package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEverythingIsMeasured takes a short look at both servers: one that refuses, or a
// part that is left out, would leave an empty place among the goals.
func TestEverythingIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds etcd, and starts 22 servers")
	}
	o := usual().quick()
	o.dir, o.profiles = t.TempDir(), filepath.Join(t.TempDir(), "profiles")
	o.programs[nameOurs] = build(t, "../..", "./server/cmd/quorate")
	o.programs[nameEtcd] = build(t, ".", "go.etcd.io/etcd/server/v3")
	var out strings.Builder
	if err := run(context.Background(), o, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| put, 512 | ratio |", "GOAL server_cpu_ratio_put_512 ",
		"| killed | etcd |", "| silent | quorate |", "GOAL failover_gap_ratio ", "GOAL failover_silent_gap_ratio_stretch ",
		"three that hold 4 MiB", "GOAL snapshot_time_ratio ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if got, err := filepath.Glob(filepath.Join(o.profiles, "*-put-512-clients-n?.prof")); err != nil || len(got) != 2*replicas {
		t.Errorf("profiles: %v, %v", got, err)
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
}

// build builds a program from a directory, in the module or workspace that this
// belongs to.
func build(t *testing.T, dir, path string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "quorate-bench", strings.ReplaceAll(path, "/", "-"))
	cmd := exec.Command("go", "build", "-o", program, path)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), map[string]string{".": "GOWORK=off", "../..": "GOWORK="}[dir])
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", path, err, said)
	}
	return program
}

func TestAGapEndsAfterTheFailure(t *testing.T) {
	at := func(ms ...int) (all []time.Time) {
		for _, ms := range ms {
			all = append(all, time.UnixMilli(int64(ms)))
		}
		return all
	}
	for _, c := range []struct {
		done []time.Time
		want time.Duration
	}{
		{at(0, 500, 990, 1250, 1260), 260 * time.Millisecond}, // 490 was before
		{at(999, 1001, 1010, 1100), 90 * time.Millisecond},    // what was under way came through
		{at(0, 500), 0},
	} {
		if got := longestGap(c.done, time.UnixMilli(1000)); got != c.want {
			t.Errorf("of %v: %v, not %v", c.done, got, c.want)
		}
	}
}

func TestGoalsOfGapsAndTransfersAreOfMedians(t *testing.T) {
	ms := func(all ...time.Duration) []time.Duration {
		for i := range all {
			all[i] *= time.Millisecond
		}
		return all
	}
	var out strings.Builder
	gaps{
		killed: {nameOurs: ms(100, 50, 900), nameEtcd: ms(1000, 1200, 800)},
		silent: {nameOurs: ms(1000, 1100), nameEtcd: ms(1000, 1000)},
	}.print(&out, usual().outages)
	transfers{nameOurs: {{seconds: 4}, {seconds: 9}, {seconds: 1}}, nameEtcd: {{seconds: 8}, {seconds: 9}, {seconds: 9}}}.print(&out, usual())
	for _, want := range []string{
		"| killed | quorate | 100 | 50 | 900 | 3 |\n",
		"GOAL failover_gap_ratio 0.1 0.25 ok\n",
		"GOAL failover_gap_ratio_stretch 0.1 0.05 short\n",
		"GOAL failover_silent_gap_ratio 1.05 1 short\n",
		"| quorate | 4.00 | 268 |",
		"GOAL snapshot_time_ratio 0.5 0.6 ok\n",
		"GOAL snapshot_time_ratio_stretch 0.5 0.4 short\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	o := usual()
	o.programs = map[string]string{nameOurs: "a", nameEtcd: "b"}
	if err := o.check(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*options){
		"no part \"weather\"": func(o *options) { o.parts = "load,weather" },
		"no -work \"play\"":   func(o *options) { o.kinds = "play" },
		"at least 1":          func(o *options) { o.outages.each = 0 },
		"both programs":       func(o *options) { o.programs = nil },
	} {
		bad := o
		change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
