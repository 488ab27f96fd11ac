package certs

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"slices"
)

// protocol keeps a connection that is meant for something else, such as HTTP,
// from getting further than the handshake, whoever signed its certificate.
const protocol = "quorate"

// Peers are the credentials of a node among its peers. They are for
// [github.com/quorate-db/quorate.Config.PeerTLS].
//
// A certificate may say which node it is for, by a URI among its alternative names,
// quorate://CLUSTER/NODE, with both IDs in 16 hexadecimal digits, or * for any cluster. Package
// transport takes its owner for no other node. One without such a name may be any member.
type Peers struct {
	// RequireNode refuses peers whose certificate does not say which node it is for.
	RequireNode bool

	source *Source
}

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
	return &Peers{source: s}, nil
}

// Accepted completes the handshake on a connection that a peer has made. If its
// error has a method Plain that reports true, nothing was sent and the peer does
// not speak TLS.
func (p *Peers) Accepted(raw net.Conn) (net.Conn, error) {
	cfg := p.source.Server(protocol)
	cfg.VerifyConnection = p.named
	wire := tls.Server(raw, cfg)
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
	cfg := p.source.Client(host, protocol)
	cfg.VerifyConnection = p.named
	wire := tls.Client(raw, cfg)
	if err := wire.Handshake(); err != nil {
		return nil, p.source.Explain(err)
	}
	return &conn{wire, p.source}, nil
}

// nodeScheme is how the name of a node in a certificate begins.
const nodeScheme = "quorate"

// named refuses, within the handshake, a certificate that names no node where it must.
func (p *Peers) named(is tls.ConnectionState) error {
	cert := is.PeerCertificates[0]
	if p.RequireNode && !slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.Scheme == nodeScheme }) {
		return errNameless(cert.Subject.CommonName)
	}
	return nil
}

// conn is a connection between peers.
type conn struct {
	*tls.Conn
	source *Source
}

// URIs are the alternative names of that kind in the other end's certificate.
func (c *conn) URIs() []string {
	var all []string
	for _, u := range c.ConnectionState().PeerCertificates[0].URIs {
		all = append(all, u.String())
	}
	return all
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
