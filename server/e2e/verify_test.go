//go:build unix

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// remoteControl lets shell commands kill and start the nodes of a cluster, which
// stay children of the test: a command writes "kill 1" to one pipe and waits for
// the answer on the other.
type remoteControl struct {
	orders, answers string // paths
	kills           int
}

func (c *cluster) remoteControl() *remoteControl {
	c.t.Helper()
	dir := c.t.TempDir()
	r := &remoteControl{orders: filepath.Join(dir, "orders"), answers: filepath.Join(dir, "answers")}
	for _, path := range []string{r.orders, r.answers} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	// Opened for both, so that it neither waits for a writer nor ends with one.
	orders, err := os.OpenFile(r.orders, os.O_RDWR, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(orders); lines.Scan(); {
			r.obey(c, lines.Text())
		}
	}()
	c.t.Cleanup(func() {
		_ = orders.Close() // which ends the reading
		<-ended
	})
	return r
}

func (r *remoteControl) obey(c *cluster, order string) {
	verb, index := "", 0
	if _, err := fmt.Sscanf(order, "%s %d", &verb, &index); err != nil || index >= len(c.nodes) {
		c.t.Errorf("the order %q: %v", order, err)
		return
	}
	if n := c.nodes[index]; verb == "kill" {
		n.process.kill()
		r.kills++
	} else {
		n.start()
	}
	if err := os.WriteFile(r.answers, []byte("done\n"), 0o600); err != nil {
		c.t.Error(err)
	}
}

// command is what a shell has to do to get an order obeyed.
func (r *remoteControl) command(verb string) string {
	return fmt.Sprintf("echo %s $QUORATE_VERIFY_INDEX > %s && read answer < %s", verb, r.orders, r.answers)
}

// TestVerifyWhileNodesAreKilled lets users' own tool find that killed nodes cost
// nothing that a client can see.
func TestVerifyWhileNodesAreKilled(t *testing.T) {
	long(t)
	c := startCluster(t, 3)
	control := c.remoteControl()
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, n.client)
	}
	out := succeed(t, "verify", "--endpoints", strings.Join(urls, ","), "--duration", "6s", "--every", "1s", "--stale",
		"--kill", control.command("kill"), "--restart", control.command("restart"))
	if !strings.Contains(out, "linearizable") || strings.Contains(out, "NOT") {
		t.Errorf("it said\n%s", out)
	}
	if control.kills == 0 {
		t.Error("nobody was killed")
	}
	if left := all(t, c.nodes[0].api, "verify/"); len(left) != 0 {
		t.Errorf("%d keys are left", len(left))
	}
	t.Log("\n" + out)
}
