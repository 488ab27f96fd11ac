package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/quorate-db/quorate/raft"
)

// Credentials make connections private, and their ends certain of each other.
// Package certs has them from files. Both methods complete a handshake, on a
// connection with a deadline, and return what is spoken over from then on; its
// Close must not wait, and a method NetConn must return the one that was given.
type Credentials interface {
	// Accepted is given a connection that somebody made to us. If its error has
	// a method Plain that reports true, the caller can be answered without TLS.
	Accepted(conn net.Conn) (net.Conn, error)

	// Dialled is given a connection that we made to a host:port. Its error says
	// that who answers there cannot prove to belong there.
	Dialled(conn net.Conn, address string) (net.Conn, error)
}

// vouch returns why the other end of a connection may not be that node. If its credentials
// name one, by the method URIs of the connection, it may be no other.
func (t *Transport) vouch(wire net.Conn, node raft.NodeID) *refusal {
	named, ok := wire.(interface{ URIs() []string })
	if !ok {
		return nil
	}
	var names []string
	for _, uri := range named.URIs() {
		name, ours := strings.CutPrefix(uri, "quorate://")
		switch {
		case !ours:
		case strings.EqualFold(name, fmt.Sprintf("%016x/%016x", t.cfg.Cluster, node)), strings.EqualFold(name, fmt.Sprintf("*/%016x", node)):
			return nil
		default:
			names = append(names, uri)
		}
	}
	if names == nil {
		return nil
	}
	t.counters.insecure.Add(1)
	return &refusal{refusedName, fmt.Sprintf("the certificate is for %s, not for node %016x of cluster %016x", strings.Join(names, ", "), node, t.cfg.Cluster)}
}

// bare is the connection below the credentials' one.
func bare(conn net.Conn) net.Conn {
	if above, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return above.NetConn()
	}
	return conn
}

// greet is what comes first on a connection that somebody made: their
// credentials, if we have some. Without an error nothing else was said.
func (t *Transport) greet(conn net.Conn) (net.Conn, error) {
	if t.cfg.Credentials == nil {
		return conn, nil
	}
	wire, err := t.cfg.Credentials.Accepted(conn)
	if err == nil {
		return wire, nil
	}
	t.counters.refused.Add(1)
	t.distrust(err)
	t.log.warn("refused a connection without good credentials", "remote", conn.RemoteAddr().String(), "error", err.Error())
	if plain, ok := errors.AsType[interface {
		error
		Plain() bool
	}](err); ok && plain.Plain() {
		no := &refusal{refusedPlain, "this node speaks to its peers in TLS only; give the other one a certificate, its key and the CA too"}
		if err := answerHello(conn, no, t.origin, t.hlc.Now()); err != nil {
			return nil, err
		}
	}
	return nil, t.leave(conn)
}

// leave lets the other side read what it was told before the connection is closed.
func (t *Transport) leave(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	return t.linger(conn)
}

// prove is what comes first on a connection that we made.
func (t *Transport) prove(conn net.Conn, address string) (net.Conn, error) {
	if t.cfg.Credentials == nil {
		return conn, nil
	}
	wire, err := t.cfg.Credentials.Dialled(conn, address)
	if err != nil {
		t.distrust(err)
	}
	return wire, err
}

// distrust counts a handshake that failed. One that was cut off says nothing about
// who was there: a node that stops closes its connections wherever they are.
func (t *Transport) distrust(err error) {
	op, ok := errors.AsType[*net.OpError](err)
	broke := ok && (op.Op == "read" || op.Op == "write")
	if !broke && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.counters.insecure.Add(1)
	}
}
