package client

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// Who writes is told why, when who reads has heard that the certificate is refused and
// closed the connection.
func TestWhoWritesHearsThatItsCertificateIsRefused(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	node := load(t, ca.Issue(t))
	foreign := other.Issue(t)
	foreign.CA = ca.File
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	handshake := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err == nil {
			err = tls.Server(raw, node.Server()).Handshake()
			raw.Close()
		}
		handshake <- err
	}()
	address := listener.Addr().String()
	c, err := New(Config{Endpoints: []string{"https://" + address}, Certs: load(t, foreign)})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.dialTLS(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if <-handshake == nil {
		t.Fatal("another CA's certificate was let in")
	}
	_, read := conn.Read(make([]byte, 1))
	conn.Close()
	_, written := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	for _, err := range []error{read, written} {
		if e, ok := errors.AsType[*certs.Error](err); !ok || !e.Refused() {
			t.Errorf("it is told %v", err)
		}
	}
}

func load(t *testing.T, files certs.Files) *certs.Source {
	t.Helper()
	source, err := certs.Load(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
