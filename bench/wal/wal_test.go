package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestEveryFileIsMeasured(t *testing.T) {
	o := options{dir: t.TempDir(), rounds: 2, window: 5 * time.Millisecond, age: 4 << 20}
	var out bytes.Buffer
	if err := run(context.Background(), &out, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"our log", "allocated file, ", "growing file, fsync", "the least: written file, ", "our log, ", "GOAL wal_append_p50_ratio ", "GOAL wal_append_p50_ratio_stretch "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("files stay behind: %v, %v", left, err)
	}
}

// TestOurLogWritesOverUsedFiles: were its files new, the figure would be that of a
// log that has just begun.
func TestOurLogWritesOverUsedFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 128 MiB")
	}
	l, err := openLog(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.grow(128 << 20); err != nil {
		t.Fatal(err)
	}
	if s := l.log.Status(); s.Spares == 0 || s.Segments > 4 {
		t.Errorf("%+v", s)
	}
}

func TestTheGoalIsTheMedianOfRatios(t *testing.T) {
	all := []contestant{{name: "us"}, {name: "them"}}
	seen := []times{
		{p50: []time.Duration{200, 900, 210}, p99: []time.Duration{1, 1, 1}},
		{p50: []time.Duration{400, 900, 420}, p99: []time.Duration{1, 1, 1}},
	}
	var out bytes.Buffer
	if err := report(&out, all, seen); err != nil {
		t.Fatal(err)
	}
	const want = "GOAL wal_append_p50_ratio 0.5 0.6 ok\nGOAL wal_append_p50_ratio_stretch 0.5 0.4 short\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s", out.String())
	}
}
