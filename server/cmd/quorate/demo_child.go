package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// child is a node of a demo, as a process.
type child struct {
	seat
	dataDir     string
	logPath     string
	logStart    int64 // where this process began to write, in bytes; before that is another run
	commandPath string
	cmd         *exec.Cmd
	alive       io.Closer     // the node stops when this closes, also by our death
	ended       chan struct{} // closed when the process has ended; then err is set
	err         error
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// start starts one node. Its output goes to a file, its directory gets a script
// that starts it again by hand.
func (d *demo) start(s seat, p *plan) (*child, error) {
	home := filepath.Join(d.dir, s.Name)
	c := &child{
		seat:        s,
		dataDir:     filepath.Join(home, "data"),
		logPath:     filepath.Join(home, "log"),
		commandPath: filepath.Join(home, "command"),
		ended:       make(chan struct{}),
	}
	args := p.serveArgs(s, c.dataDir)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, fmt.Errorf("no directory for %s: %w", s.Name, err)
	}
	script := "#!/bin/sh\nexec " + shellQuote(d.exe) + " " + shellQuote(args...) + "\n"
	if err := os.WriteFile(c.commandPath, []byte(script), 0o755); err != nil {
		return nil, fmt.Errorf("no start script for %s: %w", s.Name, err)
	}
	log, err := os.OpenFile(c.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("no log file for %s: %w", s.Name, err)
	}
	defer log.Close() // the child has its own handle
	if c.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	c.cmd = exec.Command(d.exe, append(args, "--stop-on-eof")...)
	c.cmd.Env = foreignEnvironment()
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if c.alive, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", s.Name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
		d.exits <- c
	}()
	return c, nil
}

// foreignEnvironment is ours without what would configure a node: a demo looks
// the same on every machine.
func foreignEnvironment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUORATE_") {
			env = append(env, kv)
		}
	}
	return env
}

// stopTime is how long a node may take to hand over and flush before it is killed.
const stopTime = 15 * time.Second

// stop ends all nodes.
func (d *demo) stop() {
	if len(d.children) == 0 {
		return
	}
	fmt.Fprintf(d.out, "\nstopping %d nodes ...\n", len(d.children))
	patience, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	for _, c := range d.children {
		_ = c.alive.Close() // fails only if the node has ended, which is what we want
	}
	for _, c := range d.children {
		select {
		case <-c.ended:
		case <-patience.Done():
			fmt.Fprintf(d.out, "%s takes too long and is killed\n", c.Name)
			_ = c.cmd.Process.Kill()
			<-c.ended
		}
	}
	fmt.Fprintln(d.out, "stopped")
	for _, c := range d.children {
		if c.err != nil && c.listened() {
			fmt.Fprintf(d.out, "%s runs on, because it was started again by hand: stop it where that was done\n", c.Name)
		}
	}
}

// listened reports whether somebody serves clients where the node did.
func (c *child) listened() bool {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.ClientURL, "http://"), time.Second)
	if err == nil {
		_ = conn.Close() // nobody has used it
	}
	return err == nil
}

// lastWords says in one line why the process ended: what a failed one said last,
// or that somebody stopped it.
func (c *child) lastWords() string {
	state := c.cmd.ProcessState
	if state.Success() {
		return "it was asked to stop"
	}
	data, err := os.ReadFile(c.logPath)
	if state.ExitCode() < 0 || err != nil {
		return state.String() // by a signal: it could not say anything
	}
	return reason(data[min(int64(len(data)), c.logStart):], state.String())
}

// reason finds the line of a log that says why the process ended, which is the
// last one. A crash of Go's own says it before the stacks.
func reason(log []byte, otherwise string) string {
	last := otherwise
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
		if line != "" {
			last = strings.TrimPrefix(line, "quorate: ")
		}
	}
	return last
}

// poll is the pause between two questions whether a node is ready.
const poll = 20 * time.Millisecond

// allReady returns once every node serves.
func allReady(ctx context.Context, children []*child) error {
	errs := make([]error, len(children))
	var wg sync.WaitGroup
	for i, c := range children {
		wg.Go(func() { errs[i] = c.awaitReady(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *child) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for !c.ready(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v; all it said is in %s", c.Name, startTime, c.logPath)
		case <-ticker.C:
		}
	}
	return nil
}

func (c *child) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, c.ClientURL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(rq)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// shellQuote joins words so that a shell reads them as they are.
func shellQuote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		plain := strings.IndexFunc(w, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,", r)
		}) < 0
		if !plain || w == "" {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
