package httpapi

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// journal is a log that may be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// guard serves "hello" behind a doorkeeper that demands certificates.
func guard(t *testing.T) (keeper *Doorkeeper, web *httptest.Server, files certs.Files, log *journal) {
	t.Helper()
	files, log = certstest.New(t).Issue(t), new(journal)
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	keeper = NewDoorkeeper(source, TLS{}, slog.New(slog.NewTextHandler(log, nil)))
	web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	web.Listener = keeper.Guard(web.Listener)
	web.Start()
	t.Cleanup(web.Close)
	return keeper, web, files, log
}

// TLS 1.2 is spoken only where somebody has said so, and then with the suites named.
func TestOlderTLS(t *testing.T) {
	files := certstest.New(t).Issue(t)
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	const suite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for _, c := range []struct {
		policy TLS
		wants  uint16 // what it comes to for a client that speaks 1.2 only; zero: nothing
	}{
		{TLS{}, 0},
		{TLS{Min: tls.VersionTLS13}, 0},
		{TLS{Min: tls.VersionTLS12, Suites: []uint16{suite}}, suite},
	} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		door := NewDoorkeeper(source, c.policy, slog.New(slog.DiscardHandler)).Guard(inner)
		t.Cleanup(func() { door.Close() })
		old := source.Client("127.0.0.1")
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		conn, err := tls.Dial("tcp", inner.Addr().String(), old)
		var got uint16
		if err == nil {
			got = conn.ConnectionState().CipherSuite
			conn.Close()
		}
		if got != c.wants {
			t.Errorf("%+v: suite %#x (%v), want %#x", c.policy, got, err, c.wants)
		}
	}
}

// A client that can speak both versions of HTTP is served in the first: the second
// is for gRPC.
func TestHTTPOverTLSIsTheFirstVersion(t *testing.T) {
	keeper, web, files, _ := guard(t)
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, both := range []bool{false, true} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: source.Client("127.0.0.1"), ForceAttemptHTTP2: both}}
		resp, err := c.Get("https://" + web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		c.CloseIdleConnections()
		if err != nil || string(text) != "hello" || resp.ProtoMajor != 1 {
			t.Errorf("offering HTTP/2 %v: %q in %s, %v", both, text, resp.Proto, err)
		}
	}
	if n := keeper.Failed(); n != 0 {
		t.Errorf("%d were turned away", n)
	}
}

// Strangers are counted, one of them a second is logged, and none keeps others
// from being served.
func TestStrangersAtTheDoor(t *testing.T) {
	keeper, web, files, log := guard(t)
	address := web.Listener.Addr().String()
	knock := func(says string) string {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, says); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		told, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(told)
	}
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if told := knock("GET /v1/kv HTTP/1.1\r\nHost: h\r\n\r\n"); !strings.HasPrefix(told, "HTTP/1.0 400 ") || !strings.Contains(told, "this port speaks TLS") {
		t.Errorf("plain HTTP is told %q", told)
	}
	for range 4 {
		knock("nonsense")
	}
	knock("") // a probe of the port
	old, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		old.Close()
		t.Error("TLS 1.2 is spoken")
	}
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", address, source.Client("127.0.0.1"))
	if err != nil {
		t.Fatalf("who has a certificate: %v", err)
	}
	conn.Close()
	for end := time.Now().Add(30 * time.Second); keeper.Failed() < 6; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d failures counted, want 6", keeper.Failed())
		}
	}
	if n := keeper.Failed(); n != 6 || strings.Count(log.String(), "turned a client away") == 0 {
		t.Errorf("%d failures; the log is\n%s", n, log)
	}
}

func TestAGuardedListenerEnds(t *testing.T) {
	_, web, _, _ := guard(t)
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := web.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := web.Listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it accepts with %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the handshake in progress goes on")
	}
}
