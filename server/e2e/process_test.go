//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that is bound to happen. Only a program
// that hangs takes so long.
const patience = 60 * time.Second

// process is a program that runs until it ends or its test does.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// launch starts a command whose output is appended to a file.
func launch(t *testing.T, logPath string, command ...string) *process {
	t.Helper()
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own handle
	p := &process{cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	mortal(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its error is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// environment is ours without what would configure the program.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUORATE_") {
			env = append(env, kv)
		}
	}
	return env
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.ended
}

// signal sends a signal and returns the exit code that it led to.
func (p *process) signal(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to process %d: %v", s, p.pid(), err)
	}
	return p.exit(t)
}

// exit waits for the process to end and returns its exit code.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("process %d does not end", p.pid())
		return 0
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// outcome is what a command line said and how it ended.
type outcome struct {
	out, err string
	code     int
}

// quorate runs one command line of the program to its end.
func quorate(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errOut bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), &out, &errOut
	mortal(cmd)
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("quorate %s does not end; it said:\n%s", strings.Join(args, " "), errOut.String())
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return outcome{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// succeed runs one command line that must succeed and returns what it printed.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	got := quorate(t, args...)
	if got.code != 0 {
		t.Fatalf("quorate %s: exit code %d: %s", strings.Join(args, " "), got.code, got.err)
	}
	return got.out
}

// complaint returns the one line in which the program told its user what is
// wrong; what it logs before, for programs, is JSON.
func (o outcome) complaint() (string, error) {
	var said []string
	for line := range strings.Lines(o.err) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "{") {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "quorate: ") {
		return "", fmt.Errorf("this is not one line of quorate's: %q", o.err)
	}
	return said[0], nil
}

// refused claims that the program ended with the exit code and one line that has
// all the words.
func (o outcome) refused(t *testing.T, code int, words ...string) {
	t.Helper()
	line, err := o.complaint()
	if err != nil {
		t.Error(err)
		return
	}
	if o.code != code {
		t.Errorf("exit code %d, want %d, after: %s", o.code, code, line)
	}
	for _, word := range words {
		if !strings.Contains(line, word) {
			t.Errorf("%q does not say %q", line, word)
		}
	}
}

// eventually waits until a condition returns nil. What it said last is the reason
// of a failure.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}
