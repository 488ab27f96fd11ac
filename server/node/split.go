package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Both APIs share the client port. A gRPC connection goes to grpc-go's own
// transport, not through the HTTP/2 of net/http, which its authors offer as an
// experiment that lacks a part of its features. It is known by its first bytes or, under TLS, by the protocol
// that was agreed on: one look at a connection, and no cost for a request. So the
// plain HTTP API speaks HTTP/1.1 only.

// preface is how every connection of HTTP/2 begins (RFC 9113 §3.4). So much of it
// is looked at as no request of HTTP/1.1 can begin with.
var preface = []byte("PRI * HTTP/2.0")

// prefaceTime is how long a client may be silent before it has said a word.
const prefaceTime = 5 * time.Second

// splitter gives the connections of a listener to one of two.
type splitter struct {
	inner net.Listener
	grpc  *branch
	http  *branch
	open  context.Context // ends with close
	end   context.CancelFunc
}

func split(inner net.Listener) *splitter {
	s := &splitter{inner: inner}
	s.open, s.end = context.WithCancel(context.Background())
	s.grpc, s.http = newBranch(s), newBranch(s)
	go s.run()
	return s
}

func (s *splitter) close() error {
	s.end()
	err := s.inner.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil // the other branch was closed before
	}
	return err
}

func (s *splitter) run() {
	for s.open.Err() == nil {
		conn, err := s.inner.Accept()
		if err != nil {
			// Either server waits a little before it asks again.
			s.http.pass(accepted{err: err})
			continue
		}
		go s.sort(conn)
	}
}

// sort finds out what a connection speaks.
func (s *splitter) sort(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			s.grpc.pass(accepted{conn: conn})
		} else {
			s.http.pass(accepted{conn: conn})
		}
		return
	}
	stop := context.AfterFunc(s.open, func() { conn.Close() })
	begun, isGRPC, err := peek(conn)
	if !stop() || err != nil {
		conn.Close()
		return
	}
	conn = &begunConn{Conn: conn, begun: begun}
	if isGRPC {
		s.grpc.pass(accepted{conn: conn})
	} else {
		s.http.pass(accepted{conn: conn})
	}
}

// peek reads until it is clear whether the connection begins like HTTP/2.
func peek(conn net.Conn) (begun []byte, same bool, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(prefaceTime)); err != nil {
		return nil, false, err
	}
	buf := make([]byte, len(preface))
	for n := 0; n < len(buf); {
		more, err := conn.Read(buf[n:])
		n += more
		if !bytes.HasPrefix(preface, buf[:n]) {
			return buf[:n], false, conn.SetReadDeadline(time.Time{})
		}
		if err != nil && n < len(buf) {
			return nil, false, err
		}
	}
	return buf, true, conn.SetReadDeadline(time.Time{})
}

// begunConn is a connection of which a beginning was read already.
type begunConn struct {
	net.Conn
	begun []byte
}

func (c *begunConn) Read(b []byte) (int, error) {
	if len(c.begun) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.begun)
	c.begun = c.begun[n:]
	return n, nil
}

// branch is a listener for one kind of connection. Closing it closes both.
type branch struct {
	*splitter
	conns chan accepted
}

// accepted is what Accept returns next.
type accepted struct {
	conn net.Conn
	err  error
}

func newBranch(s *splitter) *branch { return &branch{splitter: s, conns: make(chan accepted)} }

func (b *branch) pass(a accepted) {
	select {
	case b.conns <- a:
	case <-b.open.Done():
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

// Accept returns the next connection of this kind.
func (b *branch) Accept() (net.Conn, error) {
	select {
	case a := <-b.conns:
		return a.conn, a.err
	case <-b.open.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (b *branch) Close() error { return b.close() }

// Addr implements net.Listener.
func (b *branch) Addr() net.Addr { return b.inner.Addr() }
