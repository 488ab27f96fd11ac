package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
)

// Error is a handshake that failed for a reason that can be told in one sentence:
// it names the file and says what to do. Nothing was said over the connection.
type Error struct {
	text    string
	cause   error
	plain   bool
	refused bool
}

func (e *Error) Error() string { return "certs: " + e.text + ": " + e.cause.Error() }

func (e *Error) Unwrap() error { return e.cause }

// Plain reports that the other side does not speak TLS.
func (e *Error) Plain() bool { return e.plain }

// Refused reports that the other side refused our certificate, or demands one
// where there is none.
func (e *Error) Refused() bool { return e.refused }

// Explain returns an error of TLS as an [*Error], others as they are.
func (s *Source) Explain(err error) error {
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return &Error{text: "the other side does not speak TLS; give it certificates too, or do without them here", cause: header, plain: true}
	}
	if refusesUs(err) {
		return &Error{text: s.files.ours(), cause: err, refused: true}
	}
	if text := s.files.theirs(err); text != "" {
		return &Error{text: text, cause: err}
	}
	if _, ok := errors.AsType[errNameless](err); ok {
		return &Error{text: "the other side's certificate must say which node it is for; make one with the alternative name URI:" + nodeScheme + "://CLUSTER/NODE", cause: err}
	}
	return err
}

// errNameless is about a certificate, whose subject it is, that names no node.
type errNameless string

func (e errNameless) Error() string { return "that of " + strconv.Quote(string(e)) + " does not" }

// ExplainCaller is Explain for a handshake with somebody who called us. crypto/tls
// says of one without a certificate just that, and not whose it should be.
func (s *Source) ExplainCaller(err error) error {
	err = s.Explain(err)
	if _, done := err.(*Error); done || s.files.CA == "" {
		return err
	}
	return &Error{text: "the caller showed no certificate that a CA in " + s.files.CA + " has signed; give it one", cause: err}
}

// ours says what to do where the other side is not content with us.
func (f *Files) ours() string {
	if f.Cert == "" {
		return "the other side demands a certificate; name one that its CA has signed, and its key"
	}
	return "the other side refuses the certificate in " + f.Cert + "; it must be signed by the CA that it trusts, valid now, and for this use"
}

// theirs says what to do about a certificate that the other side has shown;
// nothing if that is not what is wrong.
func (f *Files) theirs(err error) string {
	ca := cmp.Or(f.CA, "this machine's own store")
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "no CA in " + ca + " has signed the other side's certificate; add the one that has"
	case errors.As(err, &host):
		return "the other side's certificate is not for " + host.Host + "; issue one that has it as a subject alternative name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the other side's certificate is not valid at this time; renew it, or set the clocks"
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return "the other side's certificate is not for this use; a node's must be for clients and servers both"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "the other side's certificate is not good"
	}
	return ""
}

// certificateAlerts are those by which TLS refuses a certificate, by their numbers
// in RFC 8446, section 6.2. They are sent in handshakes only.
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 49, 116}

// refusesUs reports whether the other side has refused our certificate. In TLS 1.3
// who dials learns that only after the handshake. crypto/tls keeps the type of the
// alert to itself, and shares its words with the one that it exports.
func refusesUs(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" &&
		slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return a.Error() == op.Err.Error() })
}
