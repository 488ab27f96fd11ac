//go:build linux

package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quorate-db/quorate/server/client"
)

// Timing of the nodes: that of the demo. Elections are what faults are after, so
// there should be many.
const (
	heartbeat = 50 * time.Millisecond
	election  = 300 * time.Millisecond
)

// compactEvery is after how many entries a node compacts its log: soon enough that
// one who was away for a while needs a snapshot.
const compactEvery = 300

// node is a member, as a process that is killed and started again.
type node struct {
	number  int // in the network, from 1
	name    string
	home    string // of its data directory and its log
	url     string // where clients are heard
	peer    string // where members are heard
	command []string
	api     *client.Client
	disk    *disk // its own, or nil
	failed  func(error)

	starving atomic.Bool // its disk is full, so that it may end by itself
	mu       sync.Mutex
	process  *process // nil until it is first started
}

// process is one life of a node.
type process struct {
	cmd    *exec.Cmd
	killed atomic.Bool
	ended  chan struct{}
}

func (n *node) data() string { return filepath.Join(n.home, "data") }
func (n *node) log() string  { return filepath.Join(n.home, "log") }

// start starts the node, each time with the same flags.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own handle
	p := &process{cmd: exec.Command(n.command[0], n.command[1:]...), ended: make(chan struct{})}
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // even if we are killed
	if err := p.cmd.Start(); err != nil {
		return err
	}
	n.process = p
	go n.wait(p)
	return nil
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

// wait sees to it that a node that ends by itself is noticed. One whose disk is
// full should.
func (n *node) wait(p *process) {
	_ = p.cmd.Wait() // its error is in ProcessState
	starved := n.starving.Load() && p.cmd.ProcessState.ExitCode() == 1
	if !p.killed.Load() && !starved {
		n.failed(fmt.Errorf("%s has ended by itself: %v; see %s", n.name, p.cmd.ProcessState, n.log()))
	}
	close(p.ended)
}

// kill is kill -9. It returns when the process is gone, and reports whether it was
// still there.
func (n *node) kill() bool {
	p := n.life()
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
	}
	p.killed.Store(true)
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.ended
	return true
}

// signal freezes a node or lets it go on.
func (n *node) signal(s syscall.Signal) error {
	p := n.life()
	if p == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%v to %s: %w", s, n.name, err)
	}
	return nil
}

func (n *node) life() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}
