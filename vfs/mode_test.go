package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func needsTwoModes(t *testing.T) {
	if len(syncModes) < 2 {
		t.Skip(runtime.GOOS + " has one way to sync")
	}
}

func TestOnlyWhatIsClearlyFasterIsChosen(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		trial Trial
		want  SyncMode
	}{
		{Trial{10 * ms, 8 * ms}, DSync},
		{Trial{10 * ms, 9 * ms}, Fdatasync},
		{Trial{10 * ms, 20 * ms}, Fdatasync},
		{Trial{}, Fdatasync},
		{Trial{10 * ms, 0}, Fdatasync}, // not measured
		{Trial{0, 10 * ms}, Fdatasync},
	} {
		if got := c.trial.choose(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.trial, got, c.want)
		}
	}
}

// clock goes on by a step with each look.
func clock(step time.Duration) func() time.Time {
	now := time.Time{}
	return func() time.Time { now = now.Add(step); return now }
}

// alone fails the test if a directory holds anything.
func alone(t *testing.T, dir string) {
	t.Helper()
	if names, err := (OS{}).List(dir); err != nil || len(names) > 0 {
		t.Fatalf("the trial leaves %q behind, %v", names, err)
	}
}

func TestATrialMeasuresAndLeavesNothing(t *testing.T) {
	needsTwoModes(t)
	dir := t.TempDir()
	// What a crash has left of an earlier one.
	if err := os.WriteFile(filepath.Join(dir, trialFile), make([]byte, 10*trialBlock), 0o600); err != nil {
		t.Fatal(err)
	}
	disk, trial, err := Tune(OS{}, dir, clock(time.Microsecond))
	if want := (Trial{time.Microsecond, time.Microsecond}); err != nil || trial != want || ModeOf(disk) != Fdatasync {
		t.Fatalf("%s by %+v, %v; want fdatasync by %+v", ModeOf(disk), trial, err, want)
	}
	alone(t, dir)
}

func TestASlowDiskIsNotKeptBusyByATrial(t *testing.T) {
	needsTwoModes(t)
	dir, looks := t.TempDir(), 0
	slow := clock(trialTime / 10)
	disk, trial, err := Tune(OS{}, dir, func() time.Time { looks++; return slow() })
	if err != nil || trial != (Trial{}) || ModeOf(disk) != Fdatasync {
		t.Fatalf("%s by %+v, %v; want fdatasync, and nothing measured", ModeOf(disk), trial, err)
	}
	if looks > 20 {
		t.Fatalf("the clock was looked at %d times: the trial went on when its time was up", looks)
	}
	alone(t, dir)
}

func TestATrialThatFailsChangesNothing(t *testing.T) {
	needsTwoModes(t)
	missing := filepath.Join(t.TempDir(), "missing")
	disk, trial, err := Tune(OS{}, missing, time.Now)
	if !errors.Is(err, fs.ErrNotExist) || trial != (Trial{}) || ModeOf(disk) != Fdatasync {
		t.Fatalf("%s by %+v, %v; want fdatasync, and why", ModeOf(disk), trial, err)
	}
}

func TestOnlyARealFileSystemWithoutAModeIsTried(t *testing.T) {
	never := func() time.Time { t.Fatal("something is measured"); return time.Time{} }
	for _, disk := range []FS{NewMem(), Inject(OS{}, nil), OS{Mode: syncModes[0]}} {
		if got, _, err := Tune(disk, t.TempDir(), never); err != nil || ModeOf(got) != ModeOf(disk) {
			t.Fatalf("%T became %T, %v", disk, got, err)
		}
	}
	if got := ModeOf(Inject(OS{Mode: "strange"}, nil)); got != syncModes[0] {
		t.Fatalf("an unknown mode is %q", got)
	}
}
