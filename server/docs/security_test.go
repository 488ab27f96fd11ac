package docs_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/transport/certs"
)

// TestCertificates issues certificates as the page does, and lets one member call
// another with them.
func TestCertificates(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl on this machine")
	}
	script := []string{"set -e"}
	for line := range strings.Lines(read(t, "docs/security.md")) {
		_, code := strings.CutPrefix(line, "    ")
		if code && (len(script) > 1 || strings.Contains(line, "openssl ")) {
			script = append(script, line)
		}
		if strings.Contains(line, "issue client") {
			break
		}
	}
	dir := t.TempDir()
	sh := exec.Command("sh", "-c", strings.Join(script, "\n"))
	sh.Dir = dir
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	peer := func(name string) *certs.Peers {
		p, err := certs.LoadPeers(certs.Files{
			Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.pem"),
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := peer("a"), peer("b")
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error)
	go func() {
		_, err := b.Accepted(far)
		done <- err
	}()
	if _, err := a.Dialled(near, "10.0.0.2:2380"); err != nil {
		t.Errorf("the one who calls: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the one who is called: %v", err)
	}
}
