//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// slow is how long a process may take for what it is told, with a thousand groups on a
// busy machine.
const slow = 3 * time.Minute

// process is one life of a node.
type process struct {
	node     int
	cmd      *exec.Cmd
	orders   io.WriteCloser
	answers  chan line
	expected atomic.Bool   // its end
	ended    chan struct{} // closed when it has; then err is set
	err      error
}

// begin starts a process and returns once its groups run. Whatever it says goes to hear.
func begin(p plan, hear func(plan, line)) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(&p)
	if err != nil {
		return nil, err
	}
	words, err := os.OpenFile(filepath.Clean(p.Dir)+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer words.Close() // the process has its own handle
	life := &process{node: p.Node, cmd: exec.Command(program, childCommand, string(text)), answers: make(chan line, 1), ended: make(chan struct{})}
	life.cmd.Stderr = words
	out, err := life.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if life.orders, err = life.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := life.cmd.Start(); err != nil {
		return nil, err
	}
	go life.listen(out, func(l line) { hear(p, l) })
	if _, err := life.answer(ready); err != nil {
		return nil, errors.Join(err, life.kill())
	}
	return life, nil
}

// listen hears what a process says until it has ended.
func (p *process) listen(out io.Reader, hear func(line)) {
	for lines := json.NewDecoder(out); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			break // its end, perhaps in the middle of a line
		}
		if l.Answer != "" {
			p.answers <- l
		} else {
			hear(l)
		}
	}
	p.err = p.cmd.Wait()
	if !p.expected.Load() {
		hear(line{Broken: &breach{groupsStopped, fmt.Sprintf("node %d has ended by itself: %v", p.node, p.cmd.ProcessState)}})
	}
	close(p.ended)
}

// tell gives an order and waits until it is carried out.
func (p *process) tell(order string) (line, error) {
	if _, err := fmt.Fprintln(p.orders, order); err != nil {
		return line{}, fmt.Errorf("node %d cannot be told to %s: %w", p.node, order, err)
	}
	return p.answer(order)
}

func (p *process) answer(order string) (line, error) {
	select {
	case l := <-p.answers:
		return l, nil
	case <-p.ended:
		return line{}, fmt.Errorf("node %d has ended by itself (%v) when it was to be or do: %s", p.node, p.cmd.ProcessState, order)
	case <-time.After(slow):
		return line{}, fmt.Errorf("node %d has not answered for %v: %s", p.node, slow, order)
	}
}

// kill is kill -9.
func (p *process) kill() error {
	p.expected.Store(true)
	err := p.cmd.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// stop lets a process end as it should, which it must do without an error.
func (p *process) stop() error {
	p.expected.Store(true)
	err := p.orders.Close()
	select {
	case <-p.ended:
	case <-time.After(slow):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to its file
		<-p.ended
		return fmt.Errorf("node %d had not stopped after %v", p.node, slow)
	}
	if p.err != nil {
		return fmt.Errorf("node %d did not stop well: %w", p.node, p.err)
	}
	return err
}
