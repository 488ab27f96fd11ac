package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// layout is what a user wants a demo to be.
type layout struct {
	nodes      int
	nodesGiven bool // not only the default
	dir        string
	basePort   int // zero: any that are free
}

// maxNodes is the largest demo; more would only make one machine busy.
const maxNodes = 9

// portStep is the distance between two nodes' ports.
const portStep = 10

func (l *layout) check() error {
	if l.nodes < 1 || l.nodes > maxNodes {
		return usagef("--nodes %d: it takes 1 to %d", l.nodes, maxNodes)
	}
	if most := 65535 - portStep*l.nodes; l.basePort < 0 || l.basePort > most {
		return usagef("--base-port %d: for %d nodes it takes 1 to %d", l.basePort, l.nodes, most)
	}
	return nil
}

// plan is the cluster in a demo's directory, kept there as JSON: who continues
// the directory finds the same members at the same addresses.
type plan struct {
	Format int    `json:"format"`
	Nodes  []seat `json:"nodes"`
}

const planFormat = 1

// seat is the place of one node.
type seat struct {
	Name      string `json:"name"`
	ClientURL string `json:"client_url"`
	PeerURL   string `json:"peer_url"`
}

// makePlan continues what the directory holds, or makes a new plan and writes
// it there. The ports of the plan are free at this moment.
func makePlan(dir string, want layout) (*plan, error) {
	path := filepath.Join(dir, "demo.json")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return continuePlan(path, data, want)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	p, err := newPlan(want)
	if err != nil {
		return nil, err
	}
	if data, err = json.MarshalIndent(p, "", "  "); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	return p, nil
}

func continuePlan(path string, data []byte, want layout) (*plan, error) {
	var p plan
	if err := json.Unmarshal(data, &p); err != nil || p.Format != planFormat || len(p.Nodes) == 0 {
		return nil, fmt.Errorf("%s is not a demo's plan; choose another --data-dir, or remove this one", path)
	}
	if want.nodesGiven && want.nodes != len(p.Nodes) {
		return nil, usagef("the demo in %s has %d nodes, not %d: leave out --nodes, or choose another --data-dir",
			filepath.Dir(path), len(p.Nodes), want.nodes)
	}
	if want.basePort != 0 && p.Nodes[0] != place(0, want.basePort) {
		return nil, usagef("the demo in %s has other ports: leave out --base-port, or choose another --data-dir", filepath.Dir(path))
	}
	if taken, err := p.occupied(); err != nil {
		return nil, fmt.Errorf("%s, which the demo in %s needs: stop what uses it, or choose another --data-dir (%w)",
			taken, filepath.Dir(path), err)
	}
	return &p, nil
}

// firstPort is where the search for free ports begins: there a client finds a
// node without being told.
const firstPort = 2379

func newPlan(want layout) (*plan, error) {
	if want.basePort != 0 {
		p := planAt(want.nodes, want.basePort)
		if taken, err := p.occupied(); err != nil {
			return nil, fmt.Errorf("%s: stop what uses it, or choose another --base-port (%w)", taken, err)
		}
		return p, nil
	}
	// Below the range from which the system takes ports for outgoing
	// connections: from there, a stopped node's port might be gone.
	for base := firstPort; base < 30000; base += portStep * maxNodes {
		p := planAt(want.nodes, base)
		if _, err := p.occupied(); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports were found on 127.0.0.1; choose some with --base-port", 2*want.nodes)
}

func planAt(nodes, base int) *plan {
	p := &plan{Format: planFormat}
	for i := range nodes {
		p.Nodes = append(p.Nodes, place(i, base))
	}
	return p
}

func place(i, base int) seat {
	port := base + i*portStep
	return seat{
		Name:      "n" + strconv.Itoa(i+1),
		ClientURL: "http://127.0.0.1:" + strconv.Itoa(port),
		PeerURL:   "http://127.0.0.1:" + strconv.Itoa(port+1),
	}
}

// occupied returns an error, and which port it is, if one cannot be listened on.
func (p *plan) occupied() (string, error) {
	for _, s := range p.Nodes {
		for _, url := range []string{s.ClientURL, s.PeerURL} {
			l, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				return fmt.Sprintf("%s of %s is not free", url, s.Name), err
			}
			_ = l.Close() // nobody ever connected
		}
	}
	return "", nil
}

// serveArgs is the command line of one node. The timeouts are those of one
// machine, where messages take microseconds: a dead leader is missed soon.
func (p *plan) serveArgs(s seat, dataDir string) []string {
	var cluster []string
	for _, n := range p.Nodes {
		cluster = append(cluster, n.Name+"="+n.PeerURL)
	}
	return []string{
		"serve",
		"--name", s.Name,
		"--data-dir", dataDir,
		"--listen-client-urls", s.ClientURL,
		"--listen-peer-urls", s.PeerURL,
		"--initial-cluster", strings.Join(cluster, ","),
		"--initial-cluster-token", "demo",
		"--heartbeat-interval", "50",
		"--election-timeout", "300",
	}
}
