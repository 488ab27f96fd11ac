package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// splitHere is a splitter at an address.
func splitHere(t *testing.T) (*splitter, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := split(l)
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// However a connection begins to arrive, it goes to the right server, and that one
// reads all of it.
func TestSplitByFirstBytes(t *testing.T) {
	s, address := splitHere(t)
	for _, c := range []struct {
		parts []string
		to    *branch
	}{
		{[]string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, s.grpc},
		{[]string{"P", "RI * HTT", "P/2.0\r\n\r\n"}, s.grpc},
		{[]string{"GET / HTTP/1.1\r\n\r\n"}, s.http},
		{[]string{"P", "UT / HTTP/1.1\r\n\r\n"}, s.http},
		{[]string{"PRI * HTTP/1.1\r\n\r\n"}, s.http},
		{[]string{"x"}, s.http},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, part := range c.parts {
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
			want += part
		}
		conn.Close()
		got, err := c.to.Accept()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(bufio.NewReader(got))
		if string(text) != want || err != nil {
			t.Errorf("got %q, %v; want %q", text, err, want)
		}
		got.Close()
	}
}

// Closing one branch ends the other, and whoever has not said yet what it is.
func TestSplitCloses(t *testing.T) {
	s, address := splitHere(t)
	silent, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := io.WriteString(silent, "PRI"); err != nil {
		t.Fatal(err)
	}
	if err := s.http.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.grpc.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection was answered")
	}
}

// Both APIs are at the one client port, with TLS and without.
func TestBothAPIsAtOnePort(t *testing.T) {
	ca := certstest.New(t)
	files := ca.Issue(t)
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	secure := "https://127.0.0.1:" + freePort(t)
	cfg := member(t, "a", "--cert-file="+files.Cert, "--key-file="+files.Key, "--trusted-ca-file="+files.CA)
	cfg.Client.Listen = append(cfg.Client.Listen, secure)
	r := run(t, cfg)
	r.await(Ready)
	for _, url := range cfg.Client.Listen {
		creds := insecure.NewCredentials()
		web := &http.Client{Transport: &http.Transport{TLSClientConfig: source.Client("127.0.0.1"), ForceAttemptHTTP2: true}}
		if encrypted(url) {
			creds = grpctls.NewTLS(source.Client("127.0.0.1", "h2"))
		}
		conn, err := grpc.NewClient(address(url), grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for { // the first may come before the next round of upkeep
			got, err := watch.Recv()
			if err != nil {
				t.Fatalf("%s: %v", url, err)
			}
			if got.Status == healthpb.HealthCheckResponse_SERVING {
				break
			}
		}
		resp, err := web.Get(url + "/readyz")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, %v", url, resp, err)
		}
		resp.Body.Close()
		web.CloseIdleConnections()
		conn.Close()
	}
}

// A stream that only its client would end is ended in order when the node stops.
func TestStoppingEndsStreams(t *testing.T) {
	cfg := member(t, "a")
	r := run(t, cfg)
	r.await(Ready)
	conn, err := grpc.NewClient(address(cfg.Client.Listen[0]), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthpb.NewHealthClient(conn).Watch(context.Background(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	for err == nil { // it may have been told that the node stops
		_, err = watch.Recv()
	}
	if !errors.Is(rpctypes.Error(err), rpctypes.ErrStopped) {
		t.Errorf("the stream ended with %v", err)
	}
}
