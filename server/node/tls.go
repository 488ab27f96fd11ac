package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/quorate-db/quorate/transport/certs"
)

// encrypted reports whether a URL asks for TLS.
func encrypted(url string) bool { return strings.HasPrefix(url, "https://") }

// scheme is the one of peers' URLs.
func (d *Door) scheme() string {
	if encrypted(d.Listen[0]) {
		return "https"
	}
	return "http"
}

// tls reports whether the door has an https URL to listen at.
func (d *Door) tls() bool { return slices.ContainsFunc(d.Listen, encrypted) }

// clientTLS reports whether some clients come over TLS, at whichever door.
func (c *Config) clientTLS() bool {
	return slices.ContainsFunc(slices.Concat(c.Client.Listen, c.Serving.HTTP, c.Serving.Metrics), encrypted)
}

// credentials are a node's certificates as they are used.
type credentials struct {
	peers   *certs.Peers  // nil: plain TCP
	clients *certs.Source // nil: no client comes over TLS
	asking  *certs.Source // for the client URLs of other members
}

// credentials loads the files of both doors. Its error names the flags.
func (c *Config) credentials(log *slog.Logger) (all credentials, err error) {
	if c.Peer.tls() {
		if all.peers, err = certs.LoadPeers(c.Peer.Certs, log); err != nil {
			return all, fmt.Errorf("--peer-cert-file, --peer-key-file, --peer-trusted-ca-file: %w", err)
		}
		all.peers.RequireNode = c.Peer.Named
	}
	if c.clientTLS() {
		if all.clients, err = certs.Load(c.Client.Certs, log); err != nil {
			return all, fmt.Errorf("--cert-file, --key-file, --trusted-ca-file: %w", err)
		}
	}
	// A member asks another as its clients do, and shows what it shows to those.
	asking := c.Client.Certs
	asking.CA = cmp.Or(asking.CA, c.Peer.Certs.CA)
	if all.asking, err = certs.Load(asking, log); err != nil {
		return all, fmt.Errorf("--cert-file, --key-file, --trusted-ca-file: %w", err)
	}
	return all, nil
}

// checkTLS refuses https without what it takes, and files that cannot be used.
func (c *Config) checkTLS() error {
	for _, d := range []struct {
		door         *Door
		tls          bool
		flag, prefix string
	}{{&c.Client, c.clientTLS(), "--listen-client-urls", "--"}, {&c.Peer, c.Peer.tls(), "--listen-peer-urls", "--peer-"}} {
		files := d.door.Certs
		switch {
		case (files.Cert == "") != (files.Key == ""):
			return fmt.Errorf("%scert-file and %skey-file go together: name both or none", d.prefix, d.prefix)
		case d.tls && files.Cert == "":
			return fmt.Errorf("%s: https needs a certificate: name its file with %scert-file and its key's with %skey-file", d.flag, d.prefix, d.prefix)
		case d.door.CertAuth && files.CA == "":
			return fmt.Errorf("%sclient-cert-auth needs %strusted-ca-file: name the certificate of the CA that signs theirs", d.prefix, d.prefix)
		case d.door.Named && files.CA == "":
			return errors.New("--peer-require-node needs --peer-trusted-ca-file: name the certificate of the CA that signs members' certificates")
		}
	}
	if v := c.Client.TLS; v.Max != 0 && v.Max < v.Min {
		return errors.New("--tls-max-version is older than --tls-min-version, so that clients could speak none")
	}
	if err := c.checkPeerTLS(); err != nil {
		return err
	}
	_, err := c.credentials(nil)
	return err
}

// checkPeerTLS sees to it that members either all speak TLS to each other or none
// does, and demands a CA: a member that believes anybody is none.
func (c *Config) checkPeerTLS() error {
	if c.Peer.tls() && c.Peer.Certs.CA == "" {
		return errors.New("--listen-peer-urls: https needs --peer-trusted-ca-file: members show each other certificates, name the certificate of the CA that signs them")
	}
	if encrypted(c.Peer.Advertise[0]) != c.Peer.tls() {
		return fmt.Errorf("--initial-advertise-peer-urls %s and --listen-peer-urls %s: both are http or both https", c.Peer.Advertise[0], c.Peer.Listen[0])
	}
	for _, s := range c.Bootstrap.Cluster {
		if encrypted(s.PeerURL) != c.Peer.tls() {
			return fmt.Errorf("--initial-cluster: %s, and --listen-peer-urls is %s: members either all speak TLS to each other or none does",
				s.PeerURL, c.Peer.Listen[0])
		}
	}
	return nil
}

// unused warns of certificates that nobody will see.
func (c *Config) unused() (warnings []string) {
	if c.Client.Certs.Cert != "" && !c.clientTLS() {
		warnings = append(warnings, "--cert-file is shown to no client: all of --listen-client-urls are http")
	}
	if c.Peer.Certs.Cert != "" && !c.Peer.tls() {
		warnings = append(warnings, "--peer-cert-file is shown to no member: --listen-peer-urls is http")
	}
	if c.Serving.Extensive && !c.Serving.EtcdNames {
		warnings = append(warnings, "--metrics extensive shows nothing more: what it is about has only etcd's names, which --metrics-compat=etcd shows")
	}
	return warnings
}
