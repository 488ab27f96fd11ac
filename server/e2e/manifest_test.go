//go:build unix

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// What kubeadm writes for etcd starts a node: its manifest's arguments, but for
// addresses and paths. The probes that stand beside them are answered.
func TestArgumentsOfKubeadm(t *testing.T) {
	files := certstest.New(t).Issue(t)
	client, peer, watch := secureURL(t), secureURL(t), freeURL(t)
	m := startManifest(t, "kubeadm", kubeadm(t, files, "master", client, peer, watch, "--initial-cluster=master="+peer)...)
	m.warned("--feature-gates")
	for _, path := range []string{"/livez", "/readyz", "/health?serializable=true", "/metrics"} {
		m.answers(http.DefaultClient, watch+path, http.StatusOK)
	}
	m.answers(http.DefaultClient, watch+"/v1/kv", http.StatusNotFound)
	m.answers(withCertificate(t, files), client+"/version", http.StatusOK)
	m.ends()
}

// And what it writes for the next control plane, after it has added the member as a learner, which
// it promotes then: the new node has the peer URLs of all, and nothing else to find its cluster by.
func TestArgumentsOfKubeadmForTheNextControlPlane(t *testing.T) {
	files := certstest.New(t).Issue(t)
	clients, peers, watches := []string{secureURL(t), secureURL(t)}, []string{secureURL(t), secureURL(t)}, []string{freeURL(t), freeURL(t)}
	first := startManifest(t, "first", kubeadm(t, files, "first", clients[0], peers[0], watches[0], "--initial-cluster=first="+peers[0])...)
	ask := func(path, body string) (answer []byte, err error) {
		response, err := withCertificate(t, files).Post(clients[0]+"/v3/cluster/member/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		answer, err = io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", response.Status, answer)
		}
		return answer, err
	}
	answer, err := ask("add", fmt.Sprintf(`{"peerURLs":[%q],"isLearner":true}`, peers[1]))
	if err != nil {
		t.Fatal(err)
	}
	var added struct{ Member struct{ ID string } }
	if err := json.Unmarshal(answer, &added); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	args := kubeadm(t, files, "second", clients[1], peers[1], watches[1],
		"--initial-cluster=first="+peers[0]+",second="+peers[1], "--initial-cluster-state=existing")
	second := startManifest(t, "second", args...)
	eventually(t, "promoted", func() error { // refused until it has caught up
		_, err := ask("promote", fmt.Sprintf(`{"ID":%q}`, added.Member.ID))
		return err
	})
	second.answers(http.DefaultClient, watches[1]+"/readyz", http.StatusOK) // not before it votes
	second.ends()
	second = startManifest(t, "again", args...)
	second.ends()
	first.ends()
}

// kubeadm is what it writes of a node at these URLs.
func kubeadm(t *testing.T, files certs.Files, name, client, peer, watch string, more ...string) []string {
	return append([]string{
		"--advertise-client-urls=" + client, "--cert-file=" + files.Cert, "--client-cert-auth=true", "--data-dir=" + filepath.Join(t.TempDir(), name),
		"--feature-gates=InitialCorruptCheck=true", "--initial-advertise-peer-urls=" + peer,
		"--key-file=" + files.Key, "--listen-client-urls=" + client, "--listen-metrics-urls=" + watch, "--listen-peer-urls=" + peer, "--name=" + name,
		"--peer-cert-file=" + files.Cert, "--peer-client-cert-auth=true", "--peer-key-file=" + files.Key, "--peer-trusted-ca-file=" + files.CA,
		"--snapshot-count=10000", "--trusted-ca-file=" + files.CA, "--watch-progress-notify-interval=5s",
	}, more...)
}

func secureURL(t *testing.T) string { return strings.Replace(freeURL(t), "http", "https", 1) }

// So do the arguments of a unit file from etcd's documentation, with what
// distributions and guides add.
func TestArgumentsOfAUnitFile(t *testing.T) {
	client, plain, peer := freeURL(t), freeURL(t), freeURL(t)
	m := startManifest(t, "unit",
		"--name", "infra0", "--data-dir", t.TempDir(), "--wal-dir", filepath.Join(t.TempDir(), "wal"),
		"--initial-advertise-peer-urls", peer, "--listen-peer-urls", peer, "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-client-http-urls", plain, "--initial-cluster-token", "etcd-cluster-1", "--initial-cluster", "infra0="+peer,
		"--initial-cluster-state", "new", "--heartbeat-interval", "250", "--election-timeout", "2500", "--snapshot-count", "50000",
		"--max-snapshots", "5", "--max-wals", "5", "--max-txn-ops", "256", "--logger", "zap", "--log-outputs", "stderr", "--log-level", "info",
		"--metrics", "extensive", "--enable-pprof", "--pre-vote", "--strict-reconfig-check", "--grpc-keepalive-min-time", "10s",
		"--grpc-keepalive-interval", "1h", "--grpc-keepalive-timeout", "10s", "--experimental-watch-progress-notify-interval", "5s",
		"--backend-batch-limit", "1000", "--socket-reuse-address", "--quota-backend-bytes", "8589934592",
		"--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1", "--host-whitelist", "*")
	m.warned("--wal-dir", "--max-snapshots", "--max-wals", "--backend-batch-limit", "--metrics")
	m.answers(http.DefaultClient, plain+"/version", http.StatusOK)
	m.answers(http.DefaultClient, plain+"/debug/pprof/cmdline", http.StatusOK)
	if r, err := http.Get(client + "/version"); err == nil {
		r.Body.Close()
		t.Errorf("plain HTTP is still answered where only gRPC is to be: %s", r.Status)
	}
	m.ends()
}

// manifest is a node that was started with etcd's arguments.
type manifest struct {
	t    *testing.T
	log  string
	node *process
}

func startManifest(t *testing.T, name string, args ...string) *manifest {
	t.Helper()
	m := &manifest{t: t, log: filepath.Join(t.TempDir(), name+".log")}
	m.node = launch(t, m.log, append([]string{binary, "serve"}, args...)...)
	eventually(t, "ready", func() error {
		if lines := m.lines(); !slices.ContainsFunc(lines, func(l line) bool { return l.Msg == "ready to serve client requests" }) {
			return fmt.Errorf("the log is %v", lines)
		}
		return nil
	})
	return m
}

// line is one of the log.
type line struct{ Level, Msg string }

func (m *manifest) lines() (all []line) {
	text, err := os.ReadFile(m.log)
	if err != nil {
		m.t.Fatal(err)
	}
	for one := range strings.Lines(string(text)) {
		l := line{Msg: one} // what is no JSON was told to a person
		_ = json.Unmarshal([]byte(one), &l)
		all = append(all, l)
	}
	return all
}

// warned claims that there is one warning for each of the flags, and no other.
func (m *manifest) warned(flags ...string) {
	m.t.Helper()
	var got []string
	for _, l := range m.lines() {
		if l.Level == "WARN" {
			got = append(got, l.Msg)
		}
	}
	if len(got) != len(flags) {
		m.t.Errorf("warnings are %q, want one for each of %q", got, flags)
	}
	for _, flag := range flags {
		if !slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, flag+" ") }) {
			m.t.Errorf("no warning names %s: %q", flag, got)
		}
	}
}

func (m *manifest) answers(c *http.Client, url string, status int) {
	m.t.Helper()
	eventually(m.t, url, func() error {
		r, err := c.Get(url)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if body, err := io.ReadAll(r.Body); err != nil || r.StatusCode != status {
			return fmt.Errorf("%s: %s (%v)", r.Status, body, err)
		}
		return nil
	})
}

func (m *manifest) ends() {
	m.t.Helper()
	if code := m.node.signal(m.t, syscall.SIGTERM); code != 0 {
		m.t.Errorf("exit code %d after SIGTERM: %v", code, m.lines())
	}
}

func withCertificate(t *testing.T, files certs.Files) *http.Client {
	t.Helper()
	own, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files.CA)
	if err != nil {
		t.Fatal(err)
	}
	ca := x509.NewCertPool()
	ca.AppendCertsFromPEM(text)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: ca}}}
}
