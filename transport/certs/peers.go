package certs

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
)

// protocol keeps a connection that is meant for something else, such as HTTP,
// from getting further than the handshake, whoever signed its certificate.
const protocol = "quorate"

// Peers are the credentials of a node among its peers. They are for
// [github.com/quorate-db/quorate.Config.PeerTLS].
type Peers struct{ source *Source }

// LoadPeers reads the files, all three of which are needed: each side of a
// connection demands of the other a certificate that the CA has signed, and who
// dials also that it is valid for the host that was dialled. A node's certificate
// must therefore be for clients and servers both. Errors are as from Load.
func LoadPeers(files Files, log *slog.Logger) (*Peers, error) {
	if files.Cert == "" || files.Key == "" || files.CA == "" {
		return nil, errors.New("certs: peers need a certificate, its key, and the CA that has signed the others': name all three files")
	}
	s, err := Load(files, log)
	if err != nil {
		return nil, err
	}
	return &Peers{s}, nil
}

// Accepted completes the handshake on a connection that a peer has made. If its
// error has a method Plain that reports true, nothing was sent and the peer does
// not speak TLS.
func (p *Peers) Accepted(raw net.Conn) (net.Conn, error) {
	wire := tls.Server(raw, p.source.Server(protocol))
	if err := wire.Handshake(); err != nil {
		return nil, p.source.ExplainCaller(err)
	}
	return &conn{wire, p.source}, nil
}

// Dialled completes the handshake on a connection that was made to a host:port.
func (p *Peers) Dialled(raw net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	wire := tls.Client(raw, p.source.Client(host, protocol))
	if err := wire.Handshake(); err != nil {
		return nil, p.source.Explain(err)
	}
	return &conn{wire, p.source}, nil
}

// conn is a connection between peers.
type conn struct {
	*tls.Conn
	source *Source
}

// Close ends the connection at once. To take leave as TLS has it may take seconds
// where the other side does not read; and the frames themselves say where what
// they carry ends.
func (c *conn) Close() error { return c.NetConn().Close() }

// Read explains its error: in TLS 1.3, who dials learns only after the handshake
// that its certificate was refused.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		err = c.source.Explain(err)
	}
	return n, err
}
