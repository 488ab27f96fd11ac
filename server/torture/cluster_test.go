//go:build linux

package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// patience is how long anything may take that is bound to happen. Only a program
// that hangs takes so long, however busy the machine is.
const patience = 4 * time.Minute

// cluster is several nodes, as far as possible each on a network and one of them
// on a disk of its own.
type cluster struct {
	nodes   []*node
	network *network // nil where there is none
}

// newCluster plans nodes a, b, c and so on, without starting them. The function is
// told of a node that ends by itself.
func newCluster(dir string, size int, failed func(error)) (*cluster, error) {
	c := &cluster{}
	host := fmt.Sprintf("127.%d.%d.", 1+os.Getpid()>>8%200, os.Getpid()&255)
	if strings.Contains(os.Getenv(inside), "network") {
		c.network = newNetwork(size + 1)
		if err := c.network.connect(0, ""); err != nil {
			return c, err
		}
		host = subnet
	}
	var members []string
	for i := range size {
		n := &node{number: i + 1, name: string(rune('a' + i)), failed: failed}
		n.home = filepath.Join(dir, n.name)
		n.url = fmt.Sprintf("http://%s%d:2379", host, n.number+1)
		n.peer = fmt.Sprintf("http://%s%d:2380", host, n.number+1)
		c.nodes = append(c.nodes, n)
		members = append(members, n.name+"="+n.peer)
		if err := os.MkdirAll(n.data(), 0o755); err != nil {
			return c, err
		}
	}
	for _, n := range c.nodes {
		if err := c.equip(n, strings.Join(members, ",")); err != nil {
			return c, err
		}
	}
	if c.network != nil {
		c.network.run()
	}
	last := c.nodes[size-1]
	small, err := mountDisk(last.data())
	if err != nil {
		notice("no full disks: %v", err)
		return c, nil
	}
	last.disk = small
	return c, nil
}

// equip gives a node its network, its command line and its client.
func (c *cluster) equip(n *node, members string) (err error) {
	n.command = []string{binary, "serve", "--name", n.name, "--data-dir", n.data(),
		"--listen-client-urls", n.url, "--listen-peer-urls", n.peer, "--initial-cluster", members,
		"--heartbeat-interval", fmt.Sprint(heartbeat.Milliseconds()),
		"--election-timeout", fmt.Sprint(election.Milliseconds()),
		"--snapshot-count", fmt.Sprint(compactEvery)}
	if c.network != nil {
		if err := c.network.connect(n.number, namespace(n.name)); err != nil {
			return err
		}
		n.command = append([]string{"ip", "netns", "exec", namespace(n.name)}, n.command...)
	}
	n.api, err = client.New(client.Config{Endpoints: []string{n.url}, FailFast: true})
	return err
}

func namespace(name string) string { return "quorate-torture-" + name }

func (c *cluster) start() error {
	var all error
	for _, n := range c.nodes {
		all = errors.Join(all, n.start())
	}
	return all
}

// close ends all nodes and takes down what was set up for them.
func (c *cluster) close() (err error) {
	for _, n := range c.nodes {
		n.kill()
		if n.api != nil {
			n.api.Close()
		}
		if n.disk != nil {
			err = errors.Join(err, n.disk.unmount())
		}
	}
	if c.network == nil {
		return err
	}
	for _, n := range c.nodes {
		if c.network.ports[n.number] != nil {
			err = errors.Join(err, ip("netns", "delete", namespace(n.name)))
		}
	}
	c.network.close()
	return err
}

// keepDisk copies what is on a disk of its own, which goes with us, to a directory
// that stays.
func (c *cluster) keepDisk() error {
	for _, n := range c.nodes {
		if n.disk != nil {
			return os.CopyFS(filepath.Join(n.home, "data-kept"), os.DirFS(n.data()))
		}
	}
	return nil
}

// settle waits until all nodes have applied the same log, all of it, and returns
// the hash that each has then.
func settle(ctx context.Context, nodes []*node) ([]wire.StateHash, error) {
	var hashes []wire.StateHash
	err := eventually(ctx, func() error {
		hashes = nil
		for _, n := range nodes {
			s, err := n.status(ctx, 10*time.Second, true)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", n.name, err)
			case s.Error != "":
				return fmt.Errorf("%s has stopped: %s", n.name, s.Error)
			case s.Log.Applied != s.Log.Last:
				return fmt.Errorf("%s has applied %d of %d", n.name, s.Log.Applied, s.Log.Last)
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
	return hashes, err
}

// status is what the node says of itself, if it does so in time.
func (n *node) status(ctx context.Context, limit time.Duration, hash bool) (*wire.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return n.api.Status(ctx, hash)
}

// serves returns an error unless the node answers a linearizable read.
func (n *node) serves(ctx context.Context) error {
	if _, err := n.api.Get(ctx, []byte("torture")); !errors.Is(err, client.ErrNotFound) {
		return err
	}
	return nil
}

// leader is the node that leads in the latest term, or one of the nodes if that
// cannot be told.
func (c *cluster) leader(ctx context.Context) *node {
	found, term := c.nodes[0], uint64(0)
	for _, n := range c.nodes {
		s, err := n.status(ctx, heartbeat, false)
		if err == nil && s.Role == "leader" && s.Term > term {
			found, term = n, s.Term
		}
	}
	return found
}

// eventually waits until a condition returns nil. What it said last is the reason
// of a failure.
func eventually(ctx context.Context, condition func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
