package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// enforceRights has a cluster enforce the rights of root and u, whose passwords are p.
func enforceRights(t *testing.T, a *running) {
	t.Helper()
	for _, c := range []struct{ path, body string }{
		{"user/add", `{"name":"root","password":"p"}`},
		{"user/add", `{"name":"u","password":"p"}`},
		{"role/add", `{"name":"root"}`},
		{"user/grant", `{"user":"root","role":"root"}`},
		{"enable", `{}`},
	} {
		if code, text := a.ask("POST", "/v3/auth/"+c.path, c.body); code != 200 {
			t.Fatalf("%s: %d %s", c.path, code, text)
		}
	}
}

// Where rights are enforced a node joins on root's behalf, and is told what it lacks
// if it does not say so.
func TestJoinWhereRightsAreEnforced(t *testing.T) {
	a := run(t, member(t, "a", "--bcrypt-cost=4"))
	a.await(Ready)
	enforceRights(t, a)
	join := "--join=" + a.cfg.Client.Listen[0]
	for _, c := range []struct{ as, says string }{
		{"--join-user=", "say who asks, with --join-user"},
		{"--join-token=x", "the token in Authorization is not valid"},
		{"--join-user=root:q", "the user root is not let in"},
		{"--join-user=u:p", "who asks is not root"},
	} {
		b := run(t, member(t, "b", join, c.as))
		err := b.ends()
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", c.as, err, c.says)
			continue
		}
		b.says = err.Error()
	}
	lost := run(t, member(t, "b", join, "--join-user=root", "--join-password-file=/no/file"))
	if err := lost.ends(); err == nil || !strings.Contains(err.Error(), "--join-password-file: open /no/file") {
		t.Errorf("%v", err)
	} else {
		lost.says = err.Error()
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := member(t, "b", join, "--join-user=root", "--join-password-file="+file)
	b := run(t, cfg)
	b.await("promoted: this member votes from now on")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	// A member has no need of the password any more.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	run(t, cfg).await(Ready)
}
