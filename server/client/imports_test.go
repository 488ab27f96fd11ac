package client_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A program that calls a cluster must not carry the store or the metrics of one:
// the client links the standard library, what travels, and TLS, nothing else.
func TestTheClientLinksOnlyTheStandardLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const server = "github.com/quorate-db/quorate/server/"
	want := server + "api/wire github.com/quorate-db/quorate/transport/certs " + server + "client"
	if got := strings.Join(strings.Fields(string(out)), " "); got != want {
		t.Errorf("the client links %s, want only %s", got, want)
	}
}
