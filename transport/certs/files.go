package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// Files names files in PEM.
type Files struct {
	Cert string // the certificate, then those between it and the CA; empty: none
	Key  string // its private key, unencrypted; empty together with Cert
	CA   string // certificates of those who sign the other side's; empty: see Source
}

// maxFile is more than any sensible bundle of CAs has, in bytes.
const maxFile = 4 << 20

// contents are those of the three files, in the order of Files.
type contents struct{ cert, key, ca []byte }

func (c *contents) equal(other *contents) bool {
	return bytes.Equal(c.cert, other.cert) && bytes.Equal(c.key, other.key) && bytes.Equal(c.ca, other.ca)
}

func (f *Files) read() (c contents, err error) {
	if (f.Cert == "") != (f.Key == "") {
		return c, errors.New("certs: a certificate and its key go together: name both files or none")
	}
	for _, file := range []struct {
		path string
		into *[]byte
	}{{f.Cert, &c.cert}, {f.Key, &c.key}, {f.CA, &c.ca}} {
		if file.path == "" {
			continue
		}
		if *file.into, err = readFile(file.path); err != nil {
			return c, err
		}
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("certs: the file cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("certs: the file cannot be read: %w", err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("certs: %s has more than %d bytes, which no certificate has: name another file", path, maxFile)
	}
	return data, nil
}

func (f *Files) parse(c *contents) (*loaded, error) {
	now := new(loaded)
	if f.Cert != "" {
		cert, err := tls.X509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("certs: the certificate in %s and the key in %s cannot be used: %w", f.Cert, f.Key, err)
		}
		now.cert = &cert
	}
	if f.CA != "" {
		var err error
		if now.ca, err = pool(f.CA, c.ca); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// pool reads the CAs. One that cannot be read is an error: left out, it would be
// missed only when somebody shows a certificate of its.
func pool(path string, text []byte) (*x509.CertPool, error) {
	all, found := x509.NewCertPool(), false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certs: a certificate in %s cannot be read: %w", path, err)
		}
		all.AddCert(cert)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("certs: %s contains no certificate in PEM: name the file of the CA's certificate", path)
	}
	return all, nil
}
