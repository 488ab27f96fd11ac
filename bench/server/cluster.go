package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// replicas is the size of a cluster.
const replicas = 3

// cluster is three processes of one contestant.
type cluster struct {
	dir       string
	processes []*exec.Cmd
	endpoints []string // client URLs
}

// start starts a cluster in a directory of its own. Both servers take the same flags.
func start(ctx context.Context, o options, name string) (_ *cluster, err error) {
	c := &cluster{}
	if c.dir, err = os.MkdirTemp(o.dir, "quorate-bench"); err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * replicas)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	url := func(i int) string { return fmt.Sprintf("http://127.0.0.1:%d", ports[i]) }
	var members []string
	for i := range replicas {
		c.endpoints = append(c.endpoints, url(2*i))
		members = append(members, fmt.Sprintf("n%d=%s", i, url(2*i+1)))
	}
	for i := range replicas {
		args := map[string][]string{nameOurs: {"serve"}, nameEtcd: {"--log-level", "error"}}[name]
		args = append(args, "--name", fmt.Sprintf("n%d", i), "--data-dir", filepath.Join(c.dir, fmt.Sprint(i)),
			"--listen-client-urls", url(2*i), "--advertise-client-urls", url(2*i),
			"--listen-peer-urls", url(2*i+1), "--initial-advertise-peer-urls", url(2*i+1),
			"--initial-cluster", strings.Join(members, ","), "--initial-cluster-token", "bench")
		cmd := exec.CommandContext(ctx, o.programs[name], args...)
		log, err := os.Create(filepath.Join(c.dir, fmt.Sprintf("n%d.log", i)))
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		cmd.Stderr = log
		err = cmd.Start()
		if err = errors.Join(err, log.Close()); err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.processes = append(c.processes, cmd)
	}
	return c, nil
}

// stop ends the processes and removes what they have written.
func (c *cluster) stop() error {
	for _, p := range c.processes {
		_ = p.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, p := range c.processes {
		over := time.AfterFunc(20*time.Second, func() { _ = p.Process.Kill() })
		_ = p.Wait() // how it ended is not what we measure
		over.Stop()
	}
	return os.RemoveAll(c.dir)
}

// complaint is the end of what the first process has said.
func (c *cluster) complaint() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "n0.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-500):])
}

// freePorts finds loopback ports on which nobody listens.
func freePorts(n int) (free []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end, or two would be the same
		free = append(free, l.Addr().(*net.TCPAddr).Port)
	}
	return free, nil
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
