package etcdv3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// shaken are the credentials of connections on which TLS is done already, or not
// wanted: they only remember whose certificate a client has shown, and have what it
// sends counted.
type shaken struct{ arriving *arriving }

// certified is what is known of a connection.
type certified struct {
	name string
	from *arrival
}

// AuthType implements credentials.AuthInfo.
func (certified) AuthType() string { return "certificate" }

// ServerHandshake implements credentials.TransportCredentials. There is nothing left
// to shake.
func (c shaken) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	who := certified{from: c.arriving.watch(conn)}
	if secure, ok := conn.(*tls.Conn); ok {
		// Only a chain that our CA has signed is one.
		if chains := secure.ConnectionState().VerifiedChains; len(chains) > 0 && len(chains[0]) > 0 {
			who.name = chains[0][0].Subject.CommonName
		}
	}
	return who.from, who, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (shaken) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("etcdv3: a server calls nobody")
}

// Info implements credentials.TransportCredentials.
func (shaken) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (c shaken) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (shaken) OverrideServerName(string) error { return nil }

// nameInCertificate is the common name in the certificate with which a call came, if
// there is one. A call as JSON never has one: as in etcd its clients show tokens.
func nameInCertificate(ctx context.Context) string {
	if from, ok := peer.FromContext(ctx); ok {
		if who, ok := from.AuthInfo.(certified); ok {
			return who.name
		}
	}
	return ""
}
