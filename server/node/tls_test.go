package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// secured is a configuration with mutual TLS on both doors.
func secured(t *testing.T, ca *certstest.CA, name string, args ...string) *Config {
	t.Helper()
	files := ca.Issue(t)
	return configure(t, append([]string{
		"--name=" + name,
		"--listen-client-urls=https://127.0.0.1:" + freePort(t), "--listen-peer-urls=https://127.0.0.1:" + freePort(t),
		"--cert-file=" + files.Cert, "--key-file=" + files.Key, "--trusted-ca-file=" + files.CA, "--client-cert-auth",
		"--peer-cert-file=" + files.Cert, "--peer-key-file=" + files.Key, "--peer-trusted-ca-file=" + files.CA, "--peer-client-cert-auth",
		"--heartbeat-interval=20", "--election-timeout=200",
	}, args...)...)
}

// caller is a client that shows the certificate in the files.
func caller(t *testing.T, files certs.Files, urls ...string) *client.Client {
	t.Helper()
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Endpoints: urls, Certs: source, FailFast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Three nodes elect and replicate over mutual TLS; a fourth joins through an https
// URL; all of them say https of each other.
func TestAClusterOverTLS(t *testing.T) {
	ca := certstest.New(t)
	a, b, c := secured(t, ca, "a"), secured(t, ca, "b"), secured(t, ca, "c")
	for _, cfg := range []*Config{a, b, c} {
		cfg.Bootstrap.Cluster = []Seed{{"a", a.Peer.Listen[0]}, {"b", b.Peer.Listen[0]}, {"c", c.Peer.Listen[0]}}
	}
	var nodes []*running
	for _, cfg := range []*Config{a, b, c} {
		nodes = append(nodes, run(t, cfg))
	}
	for _, n := range nodes {
		n.await(Ready)
	}
	all := caller(t, ca.Issue(t), a.Client.Listen[0], b.Client.Listen[0], c.Client.Listen[0])
	if _, err := all.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
		t.Fatal(err)
	}
	d := secured(t, ca, "d", "--join="+a.Client.Listen[0])
	run(t, d).await("promoted: this member votes from now on")
	got, err := caller(t, ca.Issue(t), d.Client.Listen[0]).Get(t.Context(), []byte("k"))
	if err != nil || string(got.Bytes) != "v" {
		t.Errorf("the new member answers %v, %v", got, err)
	}
	members, err := all.Members(t.Context())
	if err != nil || len(members.Members) != 4 {
		t.Fatalf("%+v, %v", members, err)
	}
	for _, m := range members.Members {
		if !encrypted(m.PeerURL) {
			t.Errorf("%s is at %s", m.Name, m.PeerURL)
		}
	}
}

// Who does not get in is told why, and knows that nothing was done.
func TestClientsWithoutGoodCertificates(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	cfg := secured(t, ca, "a")
	a := run(t, cfg)
	a.await(Ready)
	url := cfg.Client.Listen[0]
	foreign := other.Issue(t)
	foreign.CA = ca.File
	for _, c := range []struct {
		name, url string
		files     certs.Files
		says      string
	}{
		{"no certificate", url, certs.Files{CA: ca.File}, "demands a certificate"},
		{"another CA's", url, foreign, "refuses the certificate in " + foreign.Cert},
		{"an expired one", url, ca.Issue(t, certstest.Expired), "refuses the certificate"},
		{"trusting another CA", url, certs.Files{CA: other.File}, "no CA in " + other.File},
		{"trusting this machine", url, certs.Files{}, "this machine's own store"},
		{"no TLS", strings.Replace(url, "https", "http", 1), certs.Files{}, "this port speaks TLS"},
	} {
		_, err := caller(t, c.files, c.url).Put(t.Context(), []byte("k"), []byte("v"))
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, client.ErrUnknownOutcome) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := caller(t, ca.Issue(t), url).Get(t.Context(), []byte("k")); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("the key is %v", err)
	}
	a.await("turned a client away without good credentials")
}

func TestHTTPSToAPlainNode(t *testing.T) {
	cfg := member(t, "a")
	run(t, cfg).await(Ready)
	_, err := caller(t, certs.Files{}, strings.Replace(cfg.Client.Listen[0], "http", "https", 1)).Get(t.Context(), []byte("k"))
	if e, ok := errors.AsType[*certs.Error](err); !ok || !e.Plain() {
		t.Errorf("it is told %v", err)
	}
}

// A node whose peers' certificates are of another CA joins nothing; nor does one
// that speaks to its peers in plain TCP.
func TestWhoCannotJoin(t *testing.T) {
	ca := certstest.New(t)
	cfg := secured(t, ca, "a")
	run(t, cfg).await(Ready)
	plain := secured(t, ca, "b", "--join="+cfg.Client.Listen[0])
	plain.Peer.Listen = []string{"http://127.0.0.1:" + freePort(t)}
	plain.Peer.Advertise = plain.Peer.Listen
	err := Run(t.Context(), *plain, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "speak https to each other") {
		t.Errorf("in plain TCP: %v", err)
	}
	stranger := secured(t, certstest.New(t), "c", "--join="+cfg.Client.Listen[0])
	err = Run(t.Context(), *stranger, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--join") || !strings.Contains(err.Error(), "no CA in") {
		t.Errorf("of another CA: %v", err)
	}
}

// Files that are replaced count for new clients; those who are connected stay.
func TestClientCertificatesAreReplacedWhileTheNodeRuns(t *testing.T) {
	ca := certstest.New(t)
	cfg := secured(t, ca, "a")
	run(t, cfg).await(Ready)
	files := ca.Issue(t)
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	old := caller(t, files, cfg.Client.Listen[0])
	put := func() {
		t.Helper()
		if _, err := old.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
			t.Error(err)
		}
	}
	put()
	before := serial(t, source, cfg)
	ca.Replace(t, cfg.Client.Certs)
	if after := serial(t, source, cfg); after == before {
		t.Error("the old certificate is shown")
	}
	put()
	ca.Replace(t, files, certstest.Expired)
	put() // over its old connection
	if _, err := caller(t, files, cfg.Client.Listen[0]).Get(t.Context(), []byte("k")); err == nil {
		t.Error("a new connection shows the old certificate")
	}
}

// serial is the number of the certificate that a new client is shown. It asks for
// HTTP/2, as clients of etcd do.
func serial(t *testing.T, source *certs.Source, cfg *Config) string {
	t.Helper()
	conn, err := (&tls.Dialer{Config: source.Client("127.0.0.1", "h2")}).DialContext(context.Background(), "tcp", address(cfg.Client.Listen[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		t.Errorf("the protocol is %q", state.NegotiatedProtocol)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

// TLS does not make another cluster of one.
func TestIdentityIsTheSameOverTLS(t *testing.T) {
	identity := func(scheme string) *identity {
		return bootstrapIdentity(&Config{Name: "a", Bootstrap: Bootstrap{Cluster: []Seed{
			{"a", scheme + "://10.0.0.1:2380"}, {"b", scheme + "://10.0.0.2:2380"},
		}}}, "")
	}
	open, secret := identity("http"), identity("https")
	if open.ClusterID != secret.ClusterID || open.NodeID != secret.NodeID || open.Members[1].ID != secret.Members[1].ID {
		t.Errorf("%+v and %+v", open, secret)
	}
}

// Where members must name their nodes in their certificates, one that does not is turned
// away, and told so.
func TestMembersWhoseCertificatesNameNoNode(t *testing.T) {
	ca := certstest.New(t)
	a := secured(t, ca, "a", "--peer-require-node")
	node := run(t, a)
	node.await(Ready)
	named, vague := ca.Issue(t, certstest.Named("quorate://*/0000000000000002")), ca.Issue(t)
	for _, c := range []struct {
		files certs.Files
		in    bool
	}{{named, true}, {vague, false}} {
		peers, err := certs.LoadPeers(c.files, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		_, err = askPeer(t.Context(), peerClient(peers), address(a.Peer.Listen[0]))
		if (err == nil) != c.in {
			t.Errorf("a caller that names its node: %t; it got in: %v", c.in, err)
		}
	}
	node.await("refused a connection without good credentials")
}
