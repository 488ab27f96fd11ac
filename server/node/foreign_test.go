package node

import (
	"strings"
	"testing"
	"time"
)

// What etcd is told and means nothing here is taken, with a line that says so; what
// says only what is so anyway, without.
func TestFlagsOfEtcdAreTaken(t *testing.T) {
	for _, c := range []struct {
		args, environ []string
		file          string
		warns         []string // of each warning a part
	}{
		{args: []string{"--max-wals=5", "--max-snapshots", "5"}, warns: []string{"--max-snapshots", "--max-wals"}},
		{args: []string{"--pre-vote", "--strict-reconfig-check=true", "--logger=zap", "--metrics=basic", "--unsafe-no-fsync=FALSE", "--host-whitelist=*"}},
		{args: []string{"--pre-vote=false", "--unsafe-no-fsync"}, warns: []string{"--pre-vote", "always on disk"}},
		{environ: []string{"QUORATE_WAL_DIR=/ssd"}, warns: []string{"QUORATE_WAL_DIR"}},
		{environ: []string{"ETCD_NAME=a", "ETCD_DATA_DIR=/d", "ETCD_EMPTY=", "ETCDCTL_API=3"}, warns: []string{"ETCD_DATA_DIR, ETCD_NAME"}},
		{file: "wal-dir: /ssd\nfeature-gates: AllBeta=true\n", warns: []string{"wal-dir in ", "feature-gates in "}},
	} {
		got, err := load(t, c.args, c.environ, c.file)
		if err != nil || len(got.Warnings) != len(c.warns) {
			t.Errorf("%q %q %q: %q (%v), want %d warnings", c.args, c.environ, c.file, got.Warnings, err, len(c.warns))
			continue
		}
		for i, part := range c.warns {
			if w := got.Warnings[i]; !strings.Contains(w, part) || strings.Contains(w, "\n") {
				t.Errorf("%q %q %q: %q does not say %q in one line", c.args, c.environ, c.file, w, part)
			}
		}
	}
}

// A flag that had another name in etcd is known under both, and the one of today
// prevails.
func TestOlderNamesOfFlags(t *testing.T) {
	const was, is = "--experimental-watch-progress-notify-interval=", "--watch-progress-notify-interval="
	for _, c := range []struct {
		args []string
		want time.Duration
	}{
		{[]string{was + "5s"}, 5 * time.Second},
		{[]string{was + "5s", is + "7s"}, 7 * time.Second},
		{nil, 10 * time.Minute},
	} {
		got, err := load(t, c.args, nil, "")
		if err != nil || got.Etcd.WatchProgress != c.want || len(got.Warnings) != 0 {
			t.Errorf("%q: %v, %q (%v)", c.args, got.Etcd.WatchProgress, got.Warnings, err)
		}
	}
}
