package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// with gives a node the certificate in the files.
func with(t *testing.T, files certs.Files) func(*Config) {
	t.Helper()
	peers, err := certs.LoadPeers(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Credentials = peers }
}

// All that a link can do, it does over TLS: messages, calls, streams.
func TestLinksOverTLS(t *testing.T) {
	ca := certstest.New(t)
	a, b := pair(t, with(t, ca.Issue(t)))
	a.Send([]codec.Envelope{beat(a, b, 1)})
	until(t, "the message arrives", func() bool { return b.count() == 1 })
	if answer, err := a.Call(t.Context(), b.id, []byte("q")); err != nil || string(answer) != "re: q" {
		t.Errorf("the call: %q, %v", answer, err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var got []byte
	b.onStream = func(_ raft.NodeID, _ []byte, body Incoming) (err error) { got, err = io.ReadAll(body); return err }
	s, err := a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseAndWait(); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the stream: %d bytes of %d, %v", len(got), len(sent), err)
	}
	if n := a.Stats().Insecure + b.Stats().Insecure; n != 0 {
		t.Errorf("%d failures counted", n)
	}
}

// Nothing of what is said can be read on the way.
func TestTLSHidesWhatIsSaid(t *testing.T) {
	ca := certstest.New(t)
	a, b := start(t, 1, with(t, ca.Issue(t))), start(t, 2, with(t, ca.Issue(t)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var heard lines
	var both []net.Conn
	t.Cleanup(func() {
		l.Close()
		for _, c := range both {
			c.Close()
		}
	})
	a.SetPeer(b.id, l.Addr().String())
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	both = append(both, in, stranger(t, b))
	go io.Copy(io.MultiWriter(both[1], &heard), in)
	go io.Copy(in, both[1])
	if _, err := a.Call(t.Context(), b.id, []byte("a secret")); err != nil {
		t.Fatal(err)
	}
	if heard.with("secret") > 0 || heard.with("") == 0 {
		t.Error("it was in the open")
	}
}

// lastError waits for a reason why the peer is not reached.
func (n *node) lastError(t *testing.T, to raft.NodeID, words string) {
	t.Helper()
	until(t, "the dialler learns: "+words, func() bool { return strings.Contains(n.peer(to).LastError, words) })
}

func TestACertificateThatNamesANodeIsForNoOther(t *testing.T) {
	ca := certstest.New(t)
	named := func(uris ...string) func(*Config) { return with(t, ca.Issue(t, certstest.Named(uris...))) }
	const one, two, three = "quorate://00000000000000C1/0000000000000001", "quorate://*/0000000000000002", "quorate://*/0000000000000003"
	good := start(t, 1, named("spiffe://example/a", one))
	vague, meant := start(t, 4, with(t, ca.Issue(t))), start(t, 2, named(three, two))
	mesh(good, vague, meant)
	for _, a := range []*node{good, vague, meant} {
		for _, b := range []*node{good, vague, meant} {
			if a != b {
				a.connected(t, b)
			}
		}
	}

	const why = "the certificate is for " + three + ", not for node 0000000000000005"
	impostor := start(t, 5, named(three))
	impostor.SetPeer(good.id, good.Addr().String())
	impostor.lastError(t, good.id, why)
	until(t, "the log says who was refused", func() bool { return good.log.with("refused a connection") > 0 })
	good.SetPeer(impostor.id, impostor.Addr().String())
	good.lastError(t, impostor.id, why)
	if good.Stats().Insecure == 0 {
		t.Error("it is not counted")
	}

	elsewhere := start(t, 6, named("quorate://00000000000000c2/0000000000000006"))
	elsewhere.SetPeer(good.id, good.Addr().String())
	elsewhere.lastError(t, good.id, "not for node 0000000000000006 of cluster 00000000000000c1")
}

func TestPeersWithoutGoodCertificatesAreRefused(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	foreign := other.Issue(t)
	foreign.CA = ca.File
	for _, c := range []struct {
		name         string
		options      []func(*Config)
		told, atDoor string
	}{
		{"another CA", []func(*Config){with(t, foreign)}, "refuses the certificate in " + foreign.Cert, "no CA in " + ca.File},
		{"expired", []func(*Config){with(t, ca.Issue(t, certstest.Expired))}, "refuses the certificate", "not valid at this time"},
		{"plain TCP", nil, "in TLS only", "does not speak TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := start(t, 1, with(t, ca.Issue(t))), start(t, 2, c.options...)
			bad.SetPeer(good.id, good.Addr().String())
			bad.lastError(t, good.id, c.told)
			until(t, "it is counted", func() bool { return good.Stats().Insecure > 0 && good.Stats().Refused > 0 })
			until(t, "it is in the log", func() bool { return good.log.with("without good credentials") > 0 && good.log.with(c.atDoor) > 0 })
			if n := len(good.Stats().Peers); n != 0 {
				t.Errorf("it is known as %d peers", n)
			}
		})
	}
}

// Whoever answers at an address must be able to prove that it belongs there.
func TestWhoAnswersMustBelongThere(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	foreign := other.Issue(t)
	foreign.CA = ca.File
	for _, c := range []struct {
		name    string
		options []func(*Config)
		told    string
	}{
		{"another CA", []func(*Config){with(t, foreign)}, "no CA in " + ca.File},
		{"expired", []func(*Config){with(t, ca.Issue(t, certstest.Expired))}, "not valid at this time"},
		{"another host", []func(*Config){with(t, ca.Issue(t, certstest.For("b.example")))}, "not for 127.0.0.1"},
		{"plain TCP", nil, "does not speak TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			good, bad := start(t, 1, with(t, ca.Issue(t))), start(t, 2, c.options...)
			good.SetPeer(bad.id, bad.Addr().String())
			good.lastError(t, bad.id, c.told)
			if n := good.Stats().Insecure; n == 0 {
				t.Error("it is not counted")
			}
			if _, err := good.Call(t.Context(), bad.id, nil); !errors.Is(err, ErrNotSent) {
				t.Errorf("a call: %v", err)
			}
		})
	}
}

func TestPlainNodeNamesTLSAsWhatItIs(t *testing.T) {
	ca := certstest.New(t)
	plain := start(t, 1)
	a := start(t, 2, with(t, ca.Issue(t)))
	a.SetPeer(plain.id, plain.Addr().String())
	until(t, "the refusal is logged", func() bool { return plain.log.with("in plain TCP, not in TLS") > 0 })
	if n := plain.Stats().Violations; n != 0 {
		t.Errorf("%d violations for a difference of opinion", n)
	}
}

// A certificate that is replaced is used by the next connection; the one that
// stands is left alone, also when the CA no longer trusts it.
func TestCertificatesAreReplacedWhileNodesRun(t *testing.T) {
	ca := certstest.New(t)
	files := ca.Issue(t, certstest.For("elsewhere.example"))
	a, b := start(t, 1, with(t, ca.Issue(t))), start(t, 2, with(t, files))
	a.SetPeer(b.id, b.Addr().String())
	a.lastError(t, b.id, "not for 127.0.0.1")
	ca.Replace(t, files)
	a.connected(t, b)
	ca.Replace(t, files, certstest.Expired)
	c := start(t, 3, with(t, ca.Issue(t)))
	c.SetPeer(b.id, b.Addr().String())
	c.lastError(t, b.id, "not valid at this time")
	if _, err := a.Call(t.Context(), b.id, nil); err != nil {
		t.Errorf("the connection from before: %v", err)
	}
}

// dialled is the other end of a connection that the node makes to a peer, number 2,
// which says nothing.
func dialled(t *testing.T, n *node) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n.SetPeer(2, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Close waits neither for a stranger in the middle of a handshake, nor for an
// answer to ours.
func TestCloseEndsHandshakes(t *testing.T) {
	ca := certstest.New(t)
	a := start(t, 1, with(t, ca.Issue(t)), limits(Limits{Timeout: 100 * patienceOfTests}))
	stranger(t, a)
	until(t, "the stranger is let in", func() bool { return a.counters.accepted.Load() == 1 })
	dialled(t, a)
	done := make(chan struct{})
	go func() { a.Close(); close(done) }()
	until(t, "it is closed", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}

// A connection that ends in the middle of a handshake, as those of a node that stops
// do, says nothing about anybody's credentials.
func TestHandshakesCutOffAreNotInsecure(t *testing.T) {
	n := start(t, 1, with(t, certstest.New(t).Issue(t)))
	for _, says := range []string{"", "\x16\x03\x01\x02"} {
		conn := stranger(t, n)
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	dialled(t, n).Close()
	until(t, "all are noticed", func() bool { return n.Stats().Refused == 2 && n.peer(2).LastError != "" })
	if got := n.Stats().Insecure; got != 0 {
		t.Errorf("%d counted", got)
	}
}

// A stranger may begin a handshake and say nonsense in it.
func TestGarbageWithinTLS(t *testing.T) {
	ca := certstest.New(t)
	files := ca.Issue(t)
	n := start(t, 1, with(t, files))
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"GET / HTTP/1.1\r\n\r\n", "quorate", "\x16\x03\x01\x02\x00\x01\x00"} {
		wire := tls.Client(stranger(t, n), source.Client("127.0.0.1"))
		if err := wire.HandshakeContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := wire.Write([]byte(says)); err != nil {
			t.Fatal(err)
		}
		if err := wire.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		closedByPeer(t, wire)
	}
	until(t, "all are counted", func() bool { return n.Stats().Refused == 3 })
}
