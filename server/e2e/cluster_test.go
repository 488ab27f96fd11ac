//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/freeport"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// Timing of the nodes: that of the demo.
const (
	heartbeat = 50 * time.Millisecond
	election  = 300 * time.Millisecond
)

// node is a member, as a process that can be stopped and started again.
type node struct {
	t       *testing.T
	name    string
	client  string // URL
	peer    string // URL
	home    string // of its data directory and its log
	command []string
	api     *client.Client
	process *process // nil until it is first started
}

// cluster is several nodes. When its test fails, it shows their logs.
type cluster struct {
	t     *testing.T
	nodes []*node
}

// newNode plans a node with ports and a directory of its own.
func newNode(t *testing.T, name string, flags ...string) *node {
	t.Helper()
	n := &node{t: t, name: name, client: freeURL(t), peer: freeURL(t), home: filepath.Join(t.TempDir(), name)}
	if err := os.MkdirAll(n.home, 0o755); err != nil {
		t.Fatal(err)
	}
	n.command = append([]string{binary, "serve", "--name", name, "--data-dir", n.data(),
		"--listen-client-urls", n.client, "--listen-peer-urls", n.peer,
		"--heartbeat-interval", fmt.Sprint(heartbeat.Milliseconds()),
		"--election-timeout", fmt.Sprint(election.Milliseconds())}, flags...)
	n.api = dial(t, client.Config{FailFast: true}, n)
	t.Cleanup(n.showLog)
	return n
}

// newCluster plans nodes a, b, c and so on that begin a cluster.
func newCluster(t *testing.T, size int, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var members []string
	for i := range size {
		n := newNode(t, string(rune('a'+i)), flags...)
		c.nodes = append(c.nodes, n)
		members = append(members, n.name+"="+n.peer)
	}
	for _, n := range c.nodes {
		n.command = append(n.command, "--initial-cluster", strings.Join(members, ","))
	}
	return c
}

// startCluster plans a cluster and returns when all nodes serve.
func startCluster(t *testing.T, size int, flags ...string) *cluster {
	t.Helper()
	c := newCluster(t, size, flags...)
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	return c
}

func (c *cluster) awaitReady() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.awaitReady()
	}
}

// leader waits for a leader that its own followers know.
func (c *cluster) leader() *node {
	c.t.Helper()
	var found *node
	eventually(c.t, "a leader", func() error {
		found = nil
		for _, n := range c.nodes {
			if s, err := n.status(); err == nil && s.Role == "leader" && len(s.Followers) > 0 {
				found = n
			}
		}
		if found == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return found
}

// others are all nodes but one.
func (c *cluster) others(but *node) []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return n == but })
}

// settle waits until all nodes have applied the same log, all of it, and returns
// the hash that each has then.
func (c *cluster) settle() []wire.StateHash {
	c.t.Helper()
	var hashes []wire.StateHash
	eventually(c.t, "equal applied indexes", func() error {
		hashes = nil
		var last uint64
		for _, n := range c.nodes {
			s, err := n.hash()
			if err != nil {
				return err
			}
			last = max(last, s.Log.Last)
			if s.Log.Applied != last {
				return fmt.Errorf("%s has applied %d of %d", n.name, s.Log.Applied, last)
			}
			hashes = append(hashes, *s.Hash)
		}
		for _, h := range hashes {
			if h.Applied != hashes[0].Applied {
				return fmt.Errorf("the states are of different indexes: %+v", hashes)
			}
		}
		return nil
	})
	return hashes
}

// agree fails the test unless all nodes come to the same state.
func (c *cluster) agree() {
	c.t.Helper()
	if hashes := c.settle(); !equalHashes(hashes) {
		c.t.Errorf("the states differ: %+v", hashes)
	}
}

func equalHashes(hashes []wire.StateHash) bool {
	return !slices.ContainsFunc(hashes, func(h wire.StateHash) bool { return h != hashes[0] })
}

func (n *node) data() string    { return filepath.Join(n.home, "data") }
func (n *node) logPath() string { return filepath.Join(n.home, "log") }

// start starts the node, each time with the same flags.
func (n *node) start() {
	n.t.Helper()
	n.process = launch(n.t, n.logPath(), n.command...)
}

// stop asks the node to stop, which must end with exit code 0.
func (n *node) stop() {
	n.t.Helper()
	if code := n.process.signal(n.t, syscall.SIGTERM); code != 0 {
		n.t.Fatalf("%s: exit code %d after SIGTERM", n.name, code)
	}
}

// serve runs the node in the foreground: it is expected to refuse to start.
func (n *node) serve(flags ...string) outcome {
	n.t.Helper()
	return quorate(n.t, append(n.command[1:len(n.command):len(n.command)], flags...)...)
}

func (n *node) awaitReady() {
	n.t.Helper()
	eventually(n.t, n.name+" serves", func() error {
		if !n.process.running() {
			n.t.Fatalf("%s has ended: %v", n.name, n.process.cmd.ProcessState)
		}
		rq, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, n.client+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(rq)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// status is what the node says of itself.
func (n *node) status() (*wire.Status, error) { return n.api.Status(n.t.Context(), false) }

// hash is the same with the hash of its state.
func (n *node) hash() (*wire.Status, error) { return n.api.Status(n.t.Context(), true) }

// await waits for something that the node says of itself.
func (n *node) await(what string, holds func(*wire.Status) bool) *wire.Status {
	n.t.Helper()
	var last *wire.Status
	eventually(n.t, n.name+": "+what, func() error {
		s, err := n.status()
		if err != nil {
			return err
		}
		if last = s; !holds(s) {
			return fmt.Errorf("it says %+v", *s)
		}
		return nil
	})
	return last
}

// log is all that the node has said.
func (n *node) log() string {
	data, _ := os.ReadFile(n.logPath()) // nothing if it was never started
	return string(data)
}

// showLog shows the end of the node's log if the test failed.
func (n *node) showLog() {
	if !n.t.Failed() {
		return
	}
	lines := strings.Split(strings.TrimSpace(n.log()), "\n")
	n.t.Logf("the end of the log of %s:\n%s", n.name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
}

// persistent returns a client that tries until its deadline, as a service does.
func persistent(t *testing.T, nodes ...*node) *client.Client {
	t.Helper()
	return dial(t, client.Config{}, nodes...)
}

func dial(t *testing.T, cfg client.Config, nodes ...*node) *client.Client {
	t.Helper()
	for _, n := range nodes {
		cfg.Endpoints = append(cfg.Endpoints, n.client)
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// put writes keys prefix1, prefix2 and so on, each with a value of the given size.
func put(t *testing.T, c *client.Client, prefix string, count, size int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range count {
		key := fmt.Sprint(prefix, i+1)
		if _, err := c.Put(ctx, []byte(key), valueOf(key, size)); err != nil {
			t.Fatalf("put %s: %v", key, err)
		}
	}
}

// valueOf is a value that cannot be taken for another key's.
func valueOf(key string, size int) []byte {
	text := key + " "
	return []byte(strings.Repeat(text, size/len(text)+1))
}

// all lists every key with the prefix.
func all(t *testing.T, c *client.Client, prefix string, options ...client.ReadOption) map[string]client.KeyValue {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	found := make(map[string]client.KeyValue)
	for r := (client.Range{Prefix: []byte(prefix)}); ; {
		page, err := c.List(ctx, r, options...)
		if err != nil {
			t.Fatalf("list %s: %v", prefix, err)
		}
		for _, kv := range page.KVs {
			found[string(kv.Key)] = kv
		}
		if !page.More {
			return found
		}
		r = page.Next(r)
	}
}

// freeURL returns an address on loopback that nobody listens on.
func freeURL(t *testing.T) string {
	t.Helper()
	return fmt.Sprint("http://127.0.0.1:", freePort(t))
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
