package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/transport/certs"
	"github.com/quorate-db/quorate/transport/certs/certstest"
)

// met is what the two ends of a handshake learn: who called, who was called.
type met struct {
	caller, called error
	to             net.Conn // of the caller; nil after an error
	serial         string   // of the certificate that the caller was shown
}

// meet lets one call the other at 127.0.0.1. The caller's error is that of its
// first read if the handshake went well as far as it can tell.
func meet(t *testing.T, caller, called *certs.Peers) (m met) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error)
	go func() {
		raw, err := l.Accept()
		if err == nil {
			t.Cleanup(func() { raw.Close() })
			var wire net.Conn
			if wire, err = called.Accepted(raw); err == nil {
				_, err = wire.Write([]byte("!"))
			}
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if m.to, m.caller = caller.Dialled(raw, l.Addr().String()); m.caller == nil {
		_, m.caller = m.to.Read(make([]byte, 1))
		m.serial = m.to.(interface{ ConnectionState() tls.ConnectionState }).ConnectionState().PeerCertificates[0].SerialNumber.String()
	} else {
		raw.Close()
	}
	m.called = <-done
	return m
}

func peers(t *testing.T, files certs.Files) *certs.Peers {
	t.Helper()
	p, err := certs.LoadPeers(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPeersAreCertainOfEachOther(t *testing.T) {
	ca, other := certstest.New(t), certstest.New(t)
	good := peers(t, ca.Issue(t))
	if m := meet(t, good, peers(t, ca.Issue(t))); m.caller != nil || m.called != nil {
		t.Fatalf("two good ones: %v, %v", m.caller, m.called)
	}
	foreign := other.Issue(t)
	foreign.CA = ca.File // it knows whom to trust, and is not trusted
	for _, c := range []struct {
		name                     string
		files                    certs.Files
		asCalled, asCallerAtDoor string // what the good one says of it
		itself                   string // what it is told when it calls
	}{
		{"another CA", foreign, "no CA in " + ca.File + " has signed", "no CA in " + ca.File + " has signed", "refuses the certificate in " + foreign.Cert},
		{"expired", ca.Issue(t, certstest.Expired), "not valid at this time", "not valid at this time", "refuses the certificate"},
		{"another host", ca.Issue(t, certstest.For("b.example")), "not for 127.0.0.1", "", ""},
		{"only for servers", ca.Issue(t, certstest.OnlyFor(x509.ExtKeyUsageServerAuth)), "", "clients and servers both", "refuses the certificate"},
		{"only for clients", ca.Issue(t, certstest.OnlyFor(x509.ExtKeyUsageClientAuth)), "clients and servers both", "", ""},
	} {
		bad := peers(t, c.files)
		if m := meet(t, good, bad); !says(m.caller, c.asCalled) {
			t.Errorf("%s is called: %v", c.name, m.caller)
		}
		if m := meet(t, bad, good); !says(m.called, c.asCallerAtDoor) || !says(m.caller, c.itself) {
			t.Errorf("%s calls: %v; it is told: %v", c.name, m.called, m.caller)
		}
	}
}

// says reports whether an error has the words, or is none where there are none.
func says(err error, words string) bool {
	if words == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), words)
}

// Who insists that certificates say which node they are for takes no other, whoever calls.
func TestACertificateThatNamesNoNode(t *testing.T) {
	ca := certstest.New(t)
	strict, vague := peers(t, ca.Issue(t)), peers(t, ca.Issue(t, certstest.Named("spiffe://example/node")))
	strict.RequireNode = true
	named := peers(t, ca.Issue(t, certstest.Named("quorate://*/0000000000000002")))
	const why = "must say which node it is for"
	if m := meet(t, strict, vague); !says(m.caller, why) {
		t.Errorf("it is called: %v", m.caller)
	}
	if m := meet(t, vague, strict); !says(m.called, why) {
		t.Errorf("it calls: %v", m.called)
	}
	if there, back := meet(t, strict, named), meet(t, named, strict); there.caller != nil || back.called != nil {
		t.Errorf("one that names a node: %v, %v", there.caller, back.called)
	}
	if m := meet(t, named, vague); m.caller != nil || m.called != nil {
		t.Errorf("nobody insists: %v, %v", m.caller, m.called)
	}
}

// Who has no certificate at all is told that one is demanded.
func TestACallerWithoutACertificate(t *testing.T) {
	ca := certstest.New(t)
	good := peers(t, ca.Issue(t))
	near, far := net.Pipe()
	done := make(chan error)
	go func() {
		_, err := good.Accepted(far)
		done <- err
	}()
	nobody, err := certs.Load(certs.Files{CA: ca.File}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tls.Client(near, nobody.Client("127.0.0.1", "quorate")).Read(make([]byte, 1))
	if e, ok := errors.AsType[*certs.Error](nobody.Explain(err)); !ok || !e.Refused() || !says(nobody.Explain(err), "demands a certificate") {
		t.Errorf("it is told: %v", nobody.Explain(err))
	}
	if err := <-done; !says(err, "no certificate that a CA in "+ca.File) {
		t.Errorf("the other one says: %v", err)
	}
}

// A connection for another protocol ends in the handshake, whoever made it.
func TestACallerThatWantsHTTP(t *testing.T) {
	ca := certstest.New(t)
	good := peers(t, ca.Issue(t))
	member, err := certs.Load(ca.Issue(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	go good.Accepted(far)
	if err := tls.Client(near, member.Client("127.0.0.1", "http/1.1")).Handshake(); err == nil {
		t.Error("it was let in")
	}
}

// What is replaced counts for new connections; those that stand go on; what
// cannot be used changes nothing and is logged once.
func TestReplacedFilesAreUsed(t *testing.T) {
	ca := certstest.New(t)
	files := ca.Issue(t)
	var log bytes.Buffer
	renewed, err := certs.LoadPeers(files, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	caller := peers(t, ca.Issue(t))
	first := meet(t, caller, renewed)
	ca.Replace(t, files)
	second := meet(t, caller, renewed)
	if first.caller != nil || second.caller != nil || first.serial == second.serial {
		t.Fatalf("the serial numbers %s and %s (%v, %v)", first.serial, second.serial, first.caller, second.caller)
	}
	if _, err := first.to.Write([]byte("still here")); err != nil {
		t.Errorf("the connection from before: %v", err)
	}
	if err := os.WriteFile(files.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if third := meet(t, caller, renewed); third.caller != nil || third.serial != second.serial {
			t.Errorf("with a damaged file: %s, want %s (%v)", third.serial, second.serial, third.caller)
		}
	}
	if n := strings.Count(log.String(), "those from before"); n != 1 || !strings.Contains(log.String(), files.Cert) {
		t.Errorf("the log is\n%s", &log)
	}
	ca.Replace(t, files)
	if fourth := meet(t, caller, renewed); fourth.caller != nil || fourth.serial == second.serial {
		t.Errorf("after a good one: %v", fourth.caller)
	}

	// The CA is replaced as well: a caller of the old one is out.
	other := certstest.New(t)
	text, err := os.ReadFile(other.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca.File+".other", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(ca.File+".other", ca.File); err != nil {
		t.Fatal(err)
	}
	if m := meet(t, caller, renewed); m.called == nil && m.caller == nil {
		t.Error("the old CA still counts")
	}
}

func TestExpiryIsLogged(t *testing.T) {
	var log bytes.Buffer
	if _, err := certs.Load(certstest.New(t).Issue(t, certstest.Expired), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "has expired") {
		t.Errorf("the log is %s", &log)
	}
}

// A file that cannot be used is named.
func TestBadFiles(t *testing.T) {
	ca := certstest.New(t)
	good, another := ca.Issue(t), ca.Issue(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := file("empty", "")
	large := file("large", strings.Repeat("x", 5<<20))
	damaged := file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for _, c := range []struct {
		name  string
		files certs.Files
		says  string
	}{
		{"no certificate", certs.Files{CA: ca.File}, "name all three"},
		{"no CA", certs.Files{Cert: good.Cert, Key: good.Key}, "name all three"},
		{"missing", certs.Files{Cert: good.Cert, Key: good.Key, CA: dir + "/missing"}, dir + "/missing"},
		{"a directory", certs.Files{Cert: good.Cert, Key: good.Key, CA: dir}, dir},
		{"an empty certificate", certs.Files{Cert: empty, Key: good.Key, CA: ca.File}, empty},
		{"another's key", certs.Files{Cert: good.Cert, Key: another.Key, CA: ca.File}, another.Key},
		{"a key as CA", certs.Files{Cert: good.Cert, Key: good.Key, CA: good.Key}, "no certificate in PEM"},
		{"a damaged CA", certs.Files{Cert: good.Cert, Key: good.Key, CA: damaged}, damaged},
		{"a large CA", certs.Files{Cert: good.Cert, Key: good.Key, CA: large}, "more than"},
	} {
		if _, err := certs.LoadPeers(c.files, nil); !says(err, c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := certs.Load(certs.Files{Cert: good.Cert}, nil); !says(err, "go together") {
		t.Errorf("a certificate without its key: %v", err)
	}
}

func TestErrorsThatAreNotOfTLSStayAsTheyAre(t *testing.T) {
	nobody := certs.Machine()
	if err := nobody.Explain(io.EOF); err != io.EOF {
		t.Errorf("it became %v", err)
	}
}
