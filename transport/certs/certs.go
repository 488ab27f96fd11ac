// Package certs is TLS from files that may be replaced while a process runs: a
// certificate, its key, and the certificates of those who sign the other side's.
//
// The files are read again for every connection that is made or taken. That costs
// less than the arithmetic of a handshake, and, unlike a time of change or a
// watcher, can neither miss a file nor see it too early. What cannot be used is
// logged once and what was there before is used on: a certificate and its key are
// replaced one after the other, and in between they do not fit. Connections that
// stand are left alone.
//
// TLS 1.3 is the least that is spoken. Sessions are not resumed, so that every
// connection shows a certificate that is good now.
//
// [Peers] are the credentials of a node among its peers, who prove to each other
// that one CA has signed both. A [Source] is one side of what a server and its
// clients speak. It is a package of its own because crypto/tls would double a
// program that embeds the library and does not need it.
//
// Reading order: certs.go, files.go, peers.go (handshakes), explain.go.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"
)

// Source is what the files hold. It may be used by many goroutines.
type Source struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	text   contents // what loaded was made of
	loaded *loaded
	said   string // the last complaint, so that it is said once
}

// loaded is what is in use. It is never changed.
type loaded struct {
	cert *tls.Certificate // nil: none
	ca   *x509.CertPool   // nil: the machine's
}

// Load reads the files. The error, one sentence, names the file that cannot be
// used; later ones go to the logger, which may be nil.
func Load(files Files, log *slog.Logger) (*Source, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Source{files: files, log: log}
	text, err := files.read()
	if err != nil {
		return nil, err
	}
	if s.loaded, err = files.parse(&text); err != nil {
		return nil, err
	}
	s.text = text
	s.warnOfExpiry()
	return s, nil
}

// Machine is for who has no files: the CAs that this machine trusts, and no
// certificate to show.
func Machine() *Source {
	return &Source{log: slog.New(slog.DiscardHandler), loaded: new(loaded)}
}

// current returns what the files hold, or held when they could last be used.
func (s *Source) current() *loaded {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := s.files.read()
	if err == nil && text.equal(&s.text) {
		return s.loaded
	}
	var next *loaded
	if err == nil {
		next, err = s.files.parse(&text)
	}
	if err != nil {
		if s.said != err.Error() {
			s.said = err.Error()
			s.log.Warn("new certificates cannot be used; those from before are used on", "error", s.said)
		}
		return s.loaded
	}
	s.text, s.loaded, s.said = text, next, ""
	s.log.Info("certificates were replaced; new connections use them", "cert", s.files.Cert, "ca", s.files.CA)
	s.warnOfExpiry()
	return next
}

// warnOfExpiry is no error: whoever does not check it is still served, and the
// file can be replaced at any time.
func (s *Source) warnOfExpiry() {
	if c := s.loaded.cert; c != nil && time.Now().After(c.Leaf.NotAfter) {
		s.log.Warn("a certificate has expired; replace the file", "cert", s.files.Cert, "on", c.Leaf.NotAfter.Format(time.DateOnly))
	}
}

// Server is how to take the next connection, in one of the protocols. A caller
// must show a certificate that the CA has signed if there is a CA.
func (s *Source) Server(protocols ...string) *tls.Config {
	now := s.current()
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols, SessionTicketsDisabled: true}
	if now.cert != nil {
		cfg.Certificates = []tls.Certificate{*now.cert}
	}
	if now.ca != nil {
		cfg.ClientCAs, cfg.ClientAuth = now.ca, tls.RequireAndVerifyClientCert
	}
	return cfg
}

// Client is how to make the next connection, to a host by its name or IP address:
// its certificate must be valid for it and signed by the CA, or, without one, by
// one that this machine trusts.
func (s *Source) Client(host string, protocols ...string) *tls.Config {
	now := s.current()
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: protocols, RootCAs: now.ca, ServerName: host,
		// Left to itself, TLS keeps back a certificate that the other side would
		// refuse, and the refusal then says that there is none.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if now.cert == nil {
				return &tls.Certificate{}, nil
			}
			return now.cert, nil
		},
	}
}
