package certs

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
)

// notTLS is the error of a connection whose other side said something, and not in
// TLS.
type notTLS struct{ tls.RecordHeaderError }

func (e *notTLS) Error() string {
	return "certs: the other side does not speak TLS: give it certificates too, or do without them here"
}

func (e *notTLS) Unwrap() error { return e.RecordHeaderError }

// Plain reports that this is what it means.
func (e *notTLS) Plain() bool { return true }

// Refused is an error of one's own certificate: the other side would not take it,
// or demands one where there is none. Nothing was said over the connection.
type Refused struct{ text string }

func (e *Refused) Error() string { return e.text }

// Explain returns an error of TLS as one sentence that names the file and says
// what to do, other errors as they are. It may be called on nil, which stands for
// the machine's CAs and no certificate.
func (s *Source) Explain(err error) error {
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return &notTLS{header}
	}
	var files Files
	if s != nil {
		files = s.files
	}
	if alert, refused := refusal(err); refused {
		return &Refused{ours(alert, files)}
	}
	if text := theirs(err, files); text != "" {
		return fmt.Errorf("certs: %s: %w", text, err)
	}
	return err
}

// ours says what to do about an alert that concerns our certificate.
func ours(alert error, files Files) string {
	if files.Cert == "" {
		return fmt.Sprintf("certs: the other side demands a certificate, and there is none to show it (%v): name one, signed by its CA, and its key", alert)
	}
	return fmt.Sprintf("certs: the other side refuses the certificate in %s (%v): it must be signed by the CA that it trusts, not expired, and for this use", files.Cert, alert)
}

// theirs says what to do about a certificate that the other side has shown;
// nothing if that is not what is wrong.
func theirs(err error, files Files) string {
	ca := cmp.Or(files.CA, "this machine's own store")
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
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

// refusal returns the alert if the other side has refused our certificate.
// crypto/tls keeps the type of alerts that came to itself, and lends its words to
// the one that it exports.
func refusal(err error) (alert error, refused bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return nil, false
	}
	return op.Err, slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return a.Error() == op.Err.Error() })
}
