package quorate_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/vfs"
)

// modeOf opens a host, writes, and returns how it syncs and why.
func modeOf(t *testing.T, adjust func(*quorate.Config)) (vfs.SyncMode, vfs.Trial) {
	t.Helper()
	c := newCluster(t, 1, adjust)
	c.propose(c.nodes[0], "x")
	log, _ := c.nodes[0].host.Stats()
	return log.SyncMode, c.nodes[0].host.Vitals().SyncTrial
}

func TestHowSyncsAreMadeIsChosenAtTheStart(t *testing.T) {
	mode, trial := modeOf(t, nil)
	want := vfs.ModeOf(vfs.OS{})
	if trial.DSync > 0 && trial.DSync < trial.Fdatasync-trial.Fdatasync/10 {
		want = vfs.DSync
	}
	if mode != want {
		t.Fatalf("%s by %+v, want %s", mode, trial, want)
	}
}

func TestHowSyncsAreMadeMayBeSaid(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip(runtime.GOOS + " has one way to sync")
	}
	for _, want := range []vfs.SyncMode{vfs.Fdatasync, vfs.DSync} {
		mode, trial := modeOf(t, func(cfg *quorate.Config) { cfg.FS = vfs.OS{Mode: want} })
		if mode != want || trial != (vfs.Trial{}) {
			t.Errorf("%s by %+v, want %s without a trial", mode, trial, want)
		}
	}
}

func TestAHostStartsWhereSyncsCannotBeMeasured(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip(runtime.GOOS + " has nothing to measure")
	}
	var said bytes.Buffer
	mode, trial := modeOf(t, func(cfg *quorate.Config) {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, "sync-trial.tmp", "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	})
	if mode != vfs.Fdatasync || trial != (vfs.Trial{}) {
		t.Errorf("%s by %+v, want fdatasync", mode, trial)
	}
	if !strings.Contains(said.String(), "sync-trial.tmp") {
		t.Errorf("the log does not name what is in the way:\n%s", &said)
	}
}
