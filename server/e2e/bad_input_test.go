//go:build unix

package e2e

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
)

// A mistake in a command line is told in one line, and leaves nothing behind.
func TestAWrongCommandLineIsRefusedInOneLine(t *testing.T) {
	n := newNode(t, "a")
	for _, tc := range []struct {
		name  string
		flags []string
		words []string
	}{
		{"unknown flag", []string{"--no-such-flag"}, []string{"unknown flag: --no-such-flag", "--help"}},
		{"no URL", []string{"--listen-client-urls", "127.0.0.1:2379"}, []string{"--listen-client-urls", "is not a URL", "write it like http://"}},
		{"no port", []string{"--listen-peer-urls", "http://127.0.0.1"}, []string{"--listen-peer-urls", "lacks a port"}},
		{"a cluster of others", []string{"--initial-cluster", "b=http://127.0.0.1:1,c=http://127.0.0.1:2"}, []string{`does not contain "a"`, "add a=" + n.peer}},
		{"half a number", []string{"--election-timeout", "1s"}, []string{"--election-timeout", "whole number of milliseconds"}},
		{"no such join", []string{"--join", "nowhere"}, []string{"--join", "is not a URL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n.serve(tc.flags...).refused(t, 2, tc.words...)
			if _, err := os.Stat(n.data()); err == nil {
				t.Errorf("%s was made all the same", n.data())
			}
		})
	}
	quorate(t, "put", "key", "--endpoints", n.client).refused(t, 2, "put takes KEY and VALUE")
	quorate(t, "put", "key", "value", "--endpoints", "ftp://127.0.0.1:1").refused(t, 2, "--endpoints", "ftp")
	quorate(t, "put", "key", "value", "--endpoints", n.client).refused(t, 5, n.client, "check that a node runs there")
}

func TestAnOccupiedPortIsRefused(t *testing.T) {
	for _, flag := range []string{"--listen-client-urls", "--listen-peer-urls"} {
		t.Run(flag, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			n := newNode(t, "a")
			n.serve(flag, "http://"+l.Addr().String()).refused(t, 1, flag, l.Addr().String(), "choose another port")
			n.start() // without the flag
			n.awaitReady()
		})
	}
}

// A member that took another one's data would vote twice.
func TestADataDirectoryOfAnotherIsRefused(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	n.start()
	n.awaitReady()
	put(t, n.api, "key", 1, valueSize)
	n.stop()
	n.serve("--initial-cluster-token", "another").refused(t, 1, n.data(), "belongs to the cluster", "choose another --data-dir")
	other := newCluster(t, 2).nodes[1]
	other.serve("--data-dir", n.data()).refused(t, 1, n.data(), `belongs to the member "a"`, "choose another --data-dir")

	n.start()
	n.awaitReady()
	if got := len(all(t, n.api, "key")); got != 1 {
		t.Errorf("%d of 1 keys are there", got)
	}
}

func TestADataDirectoryThatCannotBeUsedIsRefused(t *testing.T) {
	n := newNode(t, "a")
	if err := os.WriteFile(n.data(), []byte("a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.serve().refused(t, 1, "--data-dir", n.data())
	if os.Geteuid() == 0 {
		return // nothing is unreadable for root
	}
	if err := errors.Join(os.Remove(n.data()), os.Mkdir(n.data(), 0)); err != nil {
		t.Fatal(err)
	}
	n.serve().refused(t, 1, "--data-dir", n.data(), "permission denied")
}

// Whatever a stranger sends to the peers' port, the connection is closed, the log
// says so, and nobody else notices.
func TestGarbageOnThePeerPortIsTurnedAway(t *testing.T) {
	c := startCluster(t, 3)
	n := c.leader()
	put(t, n.api, "key", 5, valueSize)
	term := n.await("leads", func(s *wire.Status) bool { return s.Role == "leader" }).Term
	for _, garbage := range []string{
		"GET / HTTP/1.1\r\nHost: peer\r\n\r\n" + strings.Repeat("x", 256),
		strings.Repeat("\x00", 1024),
		strings.Repeat("\xff", 1024),
		strings.Repeat("quorate", 200),
	} {
		conn := dialTCP(t, n.peer)
		// The node may have closed the connection before all of it is sent.
		if _, err := io.WriteString(conn, garbage); err != nil && !isClosed(err) {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !isClosed(err) {
			t.Errorf("%.10q: the connection is not closed: %v", garbage, err)
		}
	}
	if !strings.Contains(n.log(), "not a quorate node") {
		t.Errorf("%s does not say that somebody knocked who is no peer", n.name)
	}
	put(t, n.api, "key", 5, valueSize)
	if s, err := n.status(); err != nil || s.Role != "leader" || s.Term != term {
		t.Errorf("%s led in term %d, and now: %+v, %v", n.name, term, s, err)
	}
	c.agree()
}

// A value of which only a part arrived must not be stored.
func TestABodyCutShortIsRefused(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	n.start()
	n.awaitReady()
	if _, err := n.api.Put(t.Context(), []byte("key"), []byte("whole")); err != nil {
		t.Fatal(err)
	}
	const request = "PUT /v1/kv/key HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\n\r\nonly a part"
	conn := dialTCP(t, n.client)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}

	gone := dialTCP(t, n.client) // and one that does not wait for the answer
	if _, err := io.WriteString(gone, request); err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := n.api.Get(t.Context(), []byte("key")); err != nil || string(got.Bytes) != "whole" {
		t.Errorf("the key is %q now: %v", got.Bytes, err)
	}
}

// Requests that make no sense are answered with a 4xx that says why.
func TestARequestThatMakesNoSenseIsRefused(t *testing.T) {
	n := newCluster(t, 1).nodes[0]
	n.start()
	n.awaitReady()
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               wire.Code
	}{
		{http.MethodGet, "/v1/kv/key?consistency=strong", "", 400, wire.Malformed},
		{http.MethodGet, "/v1/kv/key?consistancy=stale", "", 400, wire.Malformed},
		{http.MethodGet, "/v1/kv/key?timeout=soon", "", 400, wire.Malformed},
		{http.MethodGet, "/v1/kv?limit=many", "", 400, wire.Malformed},
		{http.MethodPut, "/v1/kv/", "value", 400, wire.Malformed},
		{http.MethodPut, "/v1/kv/" + strings.Repeat("k", 4097), "value", 413, wire.KeyTooLarge},
		{http.MethodPut, "/v1/kv/key", strings.Repeat("v", 3<<19+1), 413, wire.ValueTooLarge},
		{http.MethodPost, "/v1/members", "{", 400, wire.Malformed},
		{http.MethodPatch, "/v1/kv/key", "", 405, wire.MethodNotAllowed},
		{http.MethodGet, "/v2/keys", "", 404, wire.UnknownPath},
	} {
		status, p := ask(t, n, tc.method, tc.path, tc.body)
		if status != tc.status || p.Code != tc.code || p.Detail == "" {
			t.Errorf("%s %.40s: status %d, problem %+v, want %d %s", tc.method, tc.path, status, p, tc.status, tc.code)
		}
	}
	if found := all(t, n.api, ""); len(found) != 0 {
		t.Errorf("the store holds %d keys", len(found))
	}
}

// dialTCP connects to the host of a URL. All that is done there must be done soon.
func dialTCP(t *testing.T, url string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most are closed already
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// isClosed reports whether the other end has closed the connection, with or
// without reading all that was sent.
func isClosed(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
