package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/quorate-db/quorate/internal/freeport"
)

// replicas is the size of a cluster at first.
const replicas = 3

// patience bounds whatever is waited for.
const patience = 2 * time.Minute

// cluster is the processes of one contestant: three at first, to which others may
// be added.
type cluster struct {
	dir       string
	program   string
	addresses []string // two for each node: clients', then peers'
	args      [][]string
	processes []*exec.Cmd
	endpoints []string // client URLs
}

// start starts a cluster in a directory of its own, with these flags besides. Both
// servers take the same ones.
func start(ctx context.Context, o options, name string, flags ...string) (_ *cluster, err error) {
	c := &cluster{program: o.programs[name]}
	if c.dir, err = os.MkdirTemp(o.dir, "quorate-bench"); err != nil {
		return nil, err
	}
	if c.addresses, err = freeport.Addresses(2 * (replicas + 1)); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	for i := range replicas {
		if err := c.add(ctx, i, c.flags(name, i, replicas, flags...)); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	return c, nil
}

func (c *cluster) url(address int) string { return "http://" + c.addresses[address] }

// flags are those of a node in a cluster of so many.
func (c *cluster) flags(name string, i, size int, more ...string) []string {
	var members []string
	for m := range size {
		members = append(members, fmt.Sprintf("n%d=%s", m, c.url(2*m+1)))
	}
	args := map[string][]string{nameOurs: {"serve"}, nameEtcd: {"--log-level", "error"}}[name]
	args = append(args, "--name", fmt.Sprintf("n%d", i), "--data-dir", filepath.Join(c.dir, fmt.Sprint(i)),
		"--listen-client-urls", c.url(2*i), "--advertise-client-urls", c.url(2*i),
		"--listen-peer-urls", c.url(2*i+1), "--initial-advertise-peer-urls", c.url(2*i+1),
		"--initial-cluster", strings.Join(members, ","), "--initial-cluster-token", "bench")
	return append(args, more...)
}

// add starts the next node.
func (c *cluster) add(ctx context.Context, i int, args []string) error {
	c.args, c.processes = append(c.args, args), append(c.processes, nil)
	c.endpoints = append(c.endpoints, c.url(2*i))
	return c.launch(ctx, i)
}

// launch starts a node, or starts it again.
func (c *cluster) launch(ctx context.Context, i int) error {
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprintf("n%d.log", i)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.program, c.args[i]...)
	cmd.Stderr = log
	err = cmd.Start()
	if err == nil {
		c.processes[i] = cmd
	}
	return errors.Join(err, log.Close())
}

// kill ends a node at once, as a crash would.
func (c *cluster) kill(i int) error {
	p := c.processes[i]
	c.processes[i] = nil
	err := p.Process.Kill()
	_ = p.Wait() // it was killed, and says so
	return err
}

// stop ends the processes and removes what they have written.
func (c *cluster) stop() error {
	c.processes = slices.DeleteFunc(c.processes, func(p *exec.Cmd) bool { return p == nil })
	for _, p := range c.processes {
		_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = p.Process.Signal(syscall.SIGCONT) // it may be stopped
	}
	for _, p := range c.processes {
		over := time.AfterFunc(20*time.Second, func() { _ = p.Process.Kill() })
		_ = p.Wait() // how it ended is not what we measure
		over.Stop()
	}
	return os.RemoveAll(c.dir)
}

// settled waits until all nodes read from the same leader, and returns its place.
func (c *cluster) settled(ctx context.Context) (leader int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		members, leaders := make([]uint64, len(c.endpoints)), make([]uint64, len(c.endpoints))
		err = nil
		for i, endpoint := range c.endpoints {
			if err == nil {
				members[i], leaders[i], err = ask(ctx, endpoint)
			}
		}
		if leader = slices.Index(members, leaders[0]); err == nil && leader >= 0 && len(slices.Compact(leaders)) == 1 {
			return leader, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no node leads all the others; the first says: %s: %w", c.complaint(0), errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ask has a node read from its leader, and say who both are. The connection is a new
// one: an old one may be waiting before it looks whether the node has come back.
func ask(ctx context.Context, endpoint string) (member, leader uint64, err error) {
	client, err := connect(endpoint)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	if _, err := client.Get(ctx, key(0)); err != nil {
		return 0, 0, err
	}
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return 0, 0, err
	}
	return status.Header.MemberId, status.Leader, nil
}

// complaint is the end of what a node has said.
func (c *cluster) complaint(i int) string {
	text, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("n%d.log", i)))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-500):])
}

// usage is what the processes have used of the machine.
type usage struct {
	cpu    time.Duration
	memory int64 // resident bytes
}

// usage asks the kernel (proc(5)): fields 14 and 15 of stat are time in hundredths of
// a second, the second of statm is resident pages.
func (c *cluster) usage() (sum usage, err error) {
	for _, p := range c.processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			return sum, fmt.Errorf("a server has ended: %w", err)
		}
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Process.Pid))
		if err != nil {
			return sum, err
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		fields, pages := strings.Fields(after), strings.Fields(string(statm))
		if len(fields) < 13 || len(pages) < 2 {
			return sum, fmt.Errorf("process %d is not described as proc(5) says", p.Process.Pid)
		}
		for _, text := range fields[11:13] {
			ticks, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return sum, err
			}
			sum.cpu += time.Duration(ticks) * time.Second / 100
		}
		resident, err := strconv.ParseInt(pages[1], 10, 64)
		if err != nil {
			return sum, err
		}
		sum.memory += resident * int64(os.Getpagesize())
	}
	return sum, nil
}
