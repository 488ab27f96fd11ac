package node

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// load loads what the arguments, environment and the file's text say.
func load(t *testing.T, args, environ []string, file string) (Config, error) {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	Flags(fs)
	if file != "" {
		path := filepath.Join(t.TempDir(), "conf.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config-file="+path)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(fs, environ)
}

func TestDefaults(t *testing.T) {
	c, err := load(t, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "default" || c.DataDir != "default.quorate" || c.Heartbeat != 100*time.Millisecond || c.Election != time.Second {
		t.Errorf("%+v", c)
	}
	for _, u := range []struct {
		got  []string
		want string
	}{
		{c.Client.Listen, "http://127.0.0.1:2379"}, {c.Client.Advertise, "http://127.0.0.1:2379"},
		{c.Peer.Listen, "http://127.0.0.1:2380"}, {c.Peer.Advertise, "http://127.0.0.1:2380"},
	} {
		if !reflect.DeepEqual(u.got, []string{u.want}) {
			t.Errorf("%q, want %s", u.got, u.want)
		}
	}
	if l := c.Limits; l.KeyBytes != 4096 || l.ValueBytes != 1572864 || l.RequestTimeout != 5*time.Second {
		t.Errorf("%+v", l)
	}
}

// A flag prevails over a variable, a variable over the file, the file over the
// default.
func TestPrecedence(t *testing.T) {
	file := "name: of-file\n"
	env := []string{"QUORATE_NAME=of-variable"}
	flag := []string{"--name=of-flag"}
	for _, c := range []struct {
		args, environ []string
		file, want    string
	}{
		{nil, nil, "", "default"},
		{nil, nil, file, "of-file"},
		{nil, env, "", "of-variable"},
		{nil, env, file, "of-variable"},
		{flag, nil, "", "of-flag"},
		{flag, env, file, "of-flag"},
		{[]string{"--name=default"}, env, file, "default"},
		{nil, []string{"QUORATE_NAME="}, file, "of-file"},
	} {
		got, err := load(t, c.args, c.environ, c.file)
		if err != nil || got.Name != c.want || got.DataDir != c.want+".quorate" {
			t.Errorf("args %q, environment %q, file %q: name %q (%v), want %q", c.args, c.environ, c.file, got.Name, err, c.want)
		}
	}
}

// Every setting can be said in all three ways and comes to the same.
func TestEverySettingInEveryWay(t *testing.T) {
	files := certstest.New(t).Issue(t)
	samples := map[string]string{
		"name": "a", "data-dir": "/d", "listen-client-urls": "http://127.0.0.1:1,http://127.0.0.1:2",
		"advertise-client-urls": "http://h:1", "listen-peer-urls": "http://0.0.0.0:3", "initial-advertise-peer-urls": "http://h:3",
		"initial-cluster": "a=http://h:3,b=http://i:3", "initial-cluster-state": "existing", "initial-cluster-token": "t",
		"join": "http://j:1", "heartbeat-interval": "50", "election-timeout": "300", "snapshot-count": "5",
		"request-timeout": "2s", "max-key-bytes": "10", "max-value-bytes": "20", "max-requests": "30", "max-request-bytes": "40", "max-txn-ops": "50", "max-learners": "2",
		"watch-progress-notify-interval": "1s", "session-ttl": "1m",
		"auth-token": "simple", "auth-token-ttl": "60", "bcrypt-cost": "5", "join-token": "", "join-user": "root", "join-password-file": "/f",
		"cert-file": files.Cert, "key-file": files.Key, "trusted-ca-file": files.CA, "client-cert-auth": "true",
		"peer-cert-file": files.Cert, "peer-key-file": files.Key, "peer-trusted-ca-file": files.CA, "peer-client-cert-auth": "true", "peer-require-node": "true",
		"max-concurrent-streams": "4294967295", "grpc-keepalive-min-time": "1s", "grpc-keepalive-interval": "2s", "grpc-keepalive-timeout": "3s",
		"enable-grpc-gateway": "false", "listen-client-http-urls": "http://127.0.0.1:4", "listen-metrics-urls": "http://127.0.0.1:5", "enable-pprof": "true", "metrics-compat": "etcd", "metrics": "extensive",
		"tls-min-version": "TLS1.2", "tls-max-version": "TLS1.3", "cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"quota-backend-bytes": "1000000", "auto-compaction-mode": "revision", "auto-compaction-retention": "1000", "log-level": "warn", "log-format": "console", "log-outputs": "stdout",
	}
	var args, environ []string
	var file strings.Builder
	for _, s := range settings {
		v, ok := samples[s.name]
		if !ok {
			t.Fatalf("the test has no value for %s", s.name)
		}
		args = append(args, "--"+s.name+"="+v)
		environ = append(environ, variable(s.name)+"="+v)
		file.WriteString(s.name + ": " + v + "\n")
	}
	byFlag, err := load(t, args, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	byEnv, err := load(t, nil, environ, "")
	if err != nil || !reflect.DeepEqual(byEnv, byFlag) {
		t.Errorf("by environment (%v): %+v\nby flag: %+v", err, byEnv, byFlag)
	}
	byFile, err := load(t, nil, nil, file.String())
	if err != nil || !reflect.DeepEqual(byFile, byFlag) {
		t.Errorf("by file (%v): %+v\nby flag: %+v", err, byFile, byFlag)
	}
	// Each sample differs from the default, so nothing was left out.
	plain, err := load(t, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	a, b := reflect.ValueOf(byFlag), reflect.ValueOf(plain)
	for i := range a.NumField() {
		if name := a.Type().Field(i).Name; name != "Warnings" && reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			t.Errorf("%s was not set", name)
		}
	}
}

func TestFileMayListURLs(t *testing.T) {
	c, err := load(t, nil, nil, "listen-client-urls:\n  - http://127.0.0.1:1\n  - http://127.0.0.1:2/\n")
	if err != nil || !reflect.DeepEqual(c.Client.Listen, []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}) {
		t.Errorf("%q (%v)", c.Client.Listen, err)
	}
}

// As with etcd there is a quota unless none is wanted.
func TestQuotaLikeEtcds(t *testing.T) {
	for value, want := range map[string]int64{"": 2 << 30, "0": 2 << 30, "-1": 0, "5000000000": 5_000_000_000} {
		var flags []string
		if value != "" {
			flags = []string{"--quota-backend-bytes=" + value}
		}
		c, err := load(t, flags, nil, "")
		if err != nil || c.Space.Quota != want {
			t.Errorf("%q: %d (%v), want %d", value, c.Space.Quota, err, want)
		}
	}
}

// A variable that looks like ours and is none is named, and not refused.
func TestUnknownVariables(t *testing.T) {
	c, err := load(t, nil, []string{"QUORATE_SERVICE_HOST=h", "QUORATE_ENDPOINTS=e", "QUORATE_NAME=a", "HOME=/"}, "")
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "QUORATE_SERVICE_HOST") {
		t.Errorf("%q (%v)", c.Warnings, err)
	}
}

// What is wrong is said in one line that names where it stands and what to do.
func TestBadConfiguration(t *testing.T) {
	cluster := "--initial-cluster=a=http://127.0.0.1:2380,b=http://127.0.0.1:3380"
	for _, c := range []struct {
		args    []string
		environ []string
		file    string
		says    []string
	}{
		{args: []string{"--listen-client-urls=localhost"}, says: []string{"--listen-client-urls", "localhost", "http://"}},
		{args: []string{"--listen-client-urls=http://h:1", "--listen-peer-urls=http://h:1"}, says: []string{"--listen-client-urls", "--listen-peer-urls", "h:1", "its own"}},
		{args: []string{"--listen-client-urls=https://h:1"}, says: []string{"--listen-client-urls", "--cert-file", "--key-file"}},
		{args: []string{"--listen-client-urls=ftp://h:1"}, says: []string{"--listen-client-urls", "ftp", "http or https"}},
		{args: []string{"--cert-file=x"}, says: []string{"--cert-file", "--key-file", "together"}},
		{args: []string{"--peer-key-file=x"}, says: []string{"--peer-cert-file", "--peer-key-file", "together"}},
		{args: []string{"--client-cert-auth"}, says: []string{"--client-cert-auth", "--trusted-ca-file"}},
		{args: []string{"--peer-client-cert-auth"}, says: []string{"--peer-client-cert-auth", "--peer-trusted-ca-file"}},
		{args: []string{"--peer-require-node"}, says: []string{"--peer-require-node", "--peer-trusted-ca-file"}},
		{args: []string{"--client-cert-auth=perhaps"}, says: []string{"--client-cert-auth", "perhaps"}},
		{args: []string{"--listen-client-urls=https://h:1", "--cert-file=/no/cert", "--key-file=/no/key"}, says: []string{"--cert-file", "/no/cert"}},
		{args: []string{"--listen-peer-urls=https://h:1"}, says: []string{"--listen-peer-urls", "--peer-cert-file"}},
		{args: []string{"--listen-peer-urls=https://h:1", "--peer-cert-file=c", "--peer-key-file=k"}, says: []string{"--peer-trusted-ca-file"}},
		{args: []string{"--listen-peer-urls=https://h:1", "--peer-cert-file=/c", "--peer-key-file=/k", "--peer-trusted-ca-file=/a"}, says: []string{"--peer-cert-file", "/c"}},
		{args: []string{"--initial-advertise-peer-urls=https://h:1"}, says: []string{"--initial-advertise-peer-urls", "both"}},
		{args: []string{"--name=a", "--initial-cluster=a=http://127.0.0.1:2380,b=https://h:1"}, says: []string{"--initial-cluster", "https://h:1", "all speak TLS"}},
		{args: []string{"--listen-client-urls=http://h"}, says: []string{"--listen-client-urls", "port"}},
		{args: []string{"--listen-client-urls=http://h:99999"}, says: []string{"99999", "65535"}},
		{args: []string{"--listen-client-urls=http://h:1/path"}, says: []string{"host and a port"}},
		{args: []string{"--listen-peer-urls=http://h:1,http://h:2"}, says: []string{"--listen-peer-urls", "2 URLs"}},
		{args: []string{"--listen-peer-urls=http://0.0.0.0:1"}, says: []string{"--initial-advertise-peer-urls", "0.0.0.0", "dial"}},
		{args: []string{"--listen-client-urls=http://[::]:1"}, says: []string{"--advertise-client-urls", "dial"}},
		{args: []string{"--name=c", cluster}, says: []string{"--initial-cluster", `"c"`, "c=http://127.0.0.1:2380"}},
		{args: []string{"--name=b", cluster}, says: []string{"b", "3380", "2380", "equal"}},
		{args: []string{"--initial-cluster=a"}, says: []string{"--initial-cluster", "name=http://"}},
		{args: []string{"--initial-cluster=a=b"}, says: []string{"--initial-cluster", `"b"`}},
		{args: []string{"--name=a", cluster + ",a=http://h:1"}, says: []string{"--initial-cluster", "twice"}},
		{args: []string{"--name=a", cluster + ",c=http://127.0.0.1:3380"}, says: []string{"3380", "twice"}},
		{args: []string{"--name=a", cluster, "--join=http://h:1"}, says: []string{"--join", "--initial-cluster"}},
		{args: []string{"--join-token=t", "--join-user=u:p"}, says: []string{"--join-token", "--join-user"}},
		{args: []string{"--join-user=:p"}, says: []string{"--join-user", "name"}},
		{args: []string{"--join-password-file=/f"}, says: []string{"--join-user", "name"}},
		{args: []string{"--join-user=u"}, says: []string{"--join-user u", "--join-password-file"}},
		{args: []string{"--join-user=u:p", "--join-password-file=/f"}, says: []string{"--join-user u", "once"}},
		{args: []string{"--join=h"}, says: []string{"--join", "URL"}},
		{args: []string{"--initial-cluster-state=old"}, says: []string{"--initial-cluster-state", "new or existing"}},
		{args: []string{"--name="}, says: []string{"--name"}},
		{args: []string{"--name=a=b"}, says: []string{"--name"}},
		{args: []string{"--heartbeat-interval=fast"}, says: []string{"--heartbeat-interval", "milliseconds"}},
		{args: []string{"--heartbeat-interval=1"}, says: []string{"--heartbeat-interval", "5 ms"}},
		{args: []string{"--election-timeout=200"}, says: []string{"--election-timeout", "3 times"}},
		{args: []string{"--election-timeout=60000"}, says: []string{"--election-timeout", "50000"}},
		{args: []string{"--snapshot-count=-1"}, says: []string{"--snapshot-count"}},
		{args: []string{"--listen-client-urls=unix://localhost:2379"}, says: []string{"--listen-client-urls", "Unix socket", "not supported"}},
		{args: []string{"--listen-peer-urls=unixs:///run/peer"}, says: []string{"--listen-peer-urls", "Unix socket"}},
		{args: []string{"--request-timeout=5"}, says: []string{"--request-timeout", "500ms"}},
		{args: []string{"--request-timeout=0s"}, says: []string{"--request-timeout", "positive"}},
		{args: []string{"--max-key-bytes=5000"}, says: []string{"--max-key-bytes", "4096"}},
		{args: []string{"--max-value-bytes=2000000"}, says: []string{"--max-value-bytes", "1572864"}},
		{args: []string{"--max-requests=0"}, says: []string{"--max-requests"}},
		{args: []string{"--max-request-bytes=0"}, says: []string{"--max-request-bytes", "at least 1"}},
		{args: []string{"--max-txn-ops=0"}, says: []string{"--max-txn-ops", "1024"}},
		{args: []string{"--watch-progress-notify-interval=10ms"}, says: []string{"--watch-progress-notify-interval", "100ms"}},
		{args: []string{"--listen-metrics-urls=http://h"}, says: []string{"--listen-metrics-urls", "port"}},
		{args: []string{"--listen-client-http-urls=https://h:1"}, says: []string{"--cert-file"}},
		{args: []string{"--tls-min-version=TLS1.1"}, says: []string{"--tls-min-version", "TLS1.1"}},
		{args: []string{"--tls-max-version=TLS1.2"}, says: []string{"--tls-max-version", "--tls-min-version"}},
		{args: []string{"--cipher-suites=TLS_NONE"}, says: []string{"--cipher-suites", "TLS_NONE"}},
		{args: []string{"--grpc-keepalive-timeout=-1s"}, says: []string{"--grpc-keepalive-timeout", "negative"}},
		{args: []string{"--log-level=loud"}, says: []string{"--log-level", "loud"}},
		{args: []string{"--log-format=xml"}, says: []string{"--log-format", "xml"}},
		{args: []string{"--log-outputs="}, says: []string{"--log-outputs", "stderr"}},
		{args: []string{"--client-crl-file=x"}, says: []string{"--client-crl-file", "revoked"}},
		{args: []string{"--auto-tls"}, says: []string{"--auto-tls", "certificate"}},
		{args: []string{"--force-new-cluster=true"}, says: []string{"--force-new-cluster", "snapshot"}},
		{environ: []string{"QUORATE_DISCOVERY_SRV=example.org"}, says: []string{"QUORATE_DISCOVERY_SRV", "--initial-cluster"}},
		{file: "peer-cert-allowed-cn: a", says: []string{"peer-cert-allowed-cn", "conf.yaml"}},
		{args: []string{"--auth-token=complex"}, says: []string{"--auth-token", "complex", "simple", "jwt,"}},
		{args: []string{"--auth-token=jwt,sign-method=RS256,priv-key=/no/key"}, says: []string{"--auth-token", "priv-key", "/no/key"}},
		{args: []string{"--auth-token-ttl=0"}, says: []string{"--auth-token-ttl", "1 second"}},
		{args: []string{"--bcrypt-cost=3"}, says: []string{"--bcrypt-cost", "4 to 31"}},
		{args: []string{"--quota-backend-bytes=8G"}, says: []string{"--quota-backend-bytes", "8G"}},
		{args: []string{"--auto-compaction-mode=daily"}, says: []string{"--auto-compaction-mode", "daily"}},
		{args: []string{"--auto-compaction-retention=-1"}, says: []string{"--auto-compaction-retention", "hours"}},
		{args: []string{"--auto-compaction-mode=revision", "--auto-compaction-retention=1h"}, says: []string{"--auto-compaction-retention", "revisions"}},
		{args: []string{"--metrics-compat=consul"}, says: []string{"--metrics-compat", "consul"}},
		{args: []string{"--metrics=all"}, says: []string{"--metrics", "all", "extensive"}},
		{args: []string{"--session-ttl=1ms"}, says: []string{"--session-ttl", "1s"}},
		{environ: []string{"QUORATE_SNAPSHOT_COUNT=x"}, says: []string{"QUORATE_SNAPSHOT_COUNT", `"x"`}},
		{environ: []string{"QUORATE_CONFIG_FILE=/no/such/file"}, says: []string{"--config-file", "/no/such/file"}},
		{file: "data_dir: x", says: []string{"data_dir", "conf.yaml"}},
		{file: "heartbeat-interval: soon", says: []string{"heartbeat-interval", "conf.yaml", "soon"}},
		{file: "name: {a: b}", says: []string{"name", "map"}},
		{file: "- a\n- b", says: []string{"conf.yaml", "YAML"}},
		{file: "a: [", says: []string{"conf.yaml", "YAML"}},
	} {
		_, err := load(t, c.args, c.environ, c.file)
		if err == nil {
			t.Errorf("%q %q %q: no error", c.args, c.environ, c.file)
			continue
		}
		for _, word := range c.says {
			if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q %q %q: %q does not say %q in one line", c.args, c.environ, c.file, err, word)
			}
		}
	}
}

// etcd takes requests of any size; a node starts all the same, and says what it takes.
func TestRequestsAreBounded(t *testing.T) {
	c, err := load(t, []string{"--max-request-bytes=16777216"}, nil, "")
	if err != nil || len(c.Warnings) != 0 || c.Etcd.RequestBytes != 16777216 {
		t.Errorf("%d, %q (%v)", c.Etcd.RequestBytes, c.Warnings, err)
	}
	c, err = load(t, []string{"--max-request-bytes=33554432"}, nil, "")
	if err != nil || c.Etcd.RequestBytes != 16777216 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "33554432 counts as 16777216") {
		t.Errorf("%d, %q (%v)", c.Etcd.RequestBytes, c.Warnings, err)
	}
}

// A certificate that nobody will see is most likely a mistake in a URL.
func TestCertificatesForNothing(t *testing.T) {
	files := certstest.New(t).Issue(t)
	c, err := load(t, []string{"--cert-file=" + files.Cert, "--key-file=" + files.Key, "--peer-cert-file=" + files.Cert, "--peer-key-file=" + files.Key}, nil, "")
	if err != nil || len(c.Warnings) != 2 || !strings.Contains(c.Warnings[0], "--listen-client-urls") || !strings.Contains(c.Warnings[1], "--listen-peer-urls") {
		t.Errorf("%q (%v)", c.Warnings, err)
	}
}

// Zero entries between snapshots are the default, as in etcd.
func TestSnapshotCountZero(t *testing.T) {
	got, err := load(t, []string{"--snapshot-count=0"}, nil, "")
	if err != nil || got.SnapshotCount != 10_000 {
		t.Errorf("%d entries (%v), want 10000", got.SnapshotCount, err)
	}
}
