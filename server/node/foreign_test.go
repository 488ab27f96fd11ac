package node

import (
	"slices"
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
		{args: []string{"--metrics=extensive"}, warns: []string{"--metrics-compat"}},
		{args: []string{"--metrics=extensive", "--metrics-compat=etcd"}},
		{args: []string{"--pre-vote=false", "--unsafe-no-fsync"}, warns: []string{"--pre-vote", "always on disk"}},
		{environ: []string{"QUORATE_WAL_DIR=/ssd"}, warns: []string{"QUORATE_WAL_DIR"}},
		{environ: []string{"ETCD_WAL_DIR=/ssd", "ETCD_PRE_VOTE=true"}, warns: []string{"ETCD_WAL_DIR"}},
		{environ: []string{"ETCD_VERSION=v3.7.3", "ETCD_UNSUPPORTED_ARCH=arm", "ETCD_SERVICE_HOST=10.0.0.1", "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS=x"}},
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

// What sets up etcd by variables sets up a node, unless ours or a flag say otherwise.
func TestVariablesOfEtcdCount(t *testing.T) {
	environ := []string{
		"QUORATE_DATA_DIR=/ours", "ETCD_DATA_DIR=/theirs", "ETCD_NAME=b", "ETCD_INITIAL_CLUSTER=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380",
		"ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.2:2380", "ETCD_ELECTION_TIMEOUT=3000", "ETCD_SNAPSHOT_COUNT=", "ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379",
		"ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL=7s", "ETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.2:2379",
	}
	for range 2 { // whichever of two comes first
		got, err := load(t, []string{"--election-timeout=5000"}, environ, "")
		if err != nil || len(got.Warnings) != 0 {
			t.Fatal(err, got.Warnings)
		}
		if got.DataDir != "/ours" || got.Name != "b" || len(got.Bootstrap.Cluster) != 2 || got.Election != 5*time.Second ||
			got.SnapshotCount != 10000 || got.Client.Listen[0] != "http://0.0.0.0:2379" || got.Etcd.WatchProgress != 7*time.Second {
			t.Errorf("%+v", got)
		}
		slices.Reverse(environ)
	}
	if _, err := load(t, nil, []string{"ETCD_ELECTION_TIMEOUT=soon"}, ""); err == nil || !strings.Contains(err.Error(), "ETCD_ELECTION_TIMEOUT") {
		t.Errorf("an error does not name the variable: %v", err)
	}
	if _, err := load(t, nil, []string{"ETCD_FORCE_NEW_CLUSTER=true"}, ""); err == nil || !strings.Contains(err.Error(), "ETCD_FORCE_NEW_CLUSTER") {
		t.Errorf("a refusal does not name the variable: %v", err)
	}
	if _, err := load(t, nil, []string{"ETCD_CONFIG_FILE=/is/not/there"}, ""); err == nil {
		t.Error("ETCD_CONFIG_FILE is not read")
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
