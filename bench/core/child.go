package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/quorate-db/quorate/bench/core/load"
)

// child is a program that measures on request; see load.Serve.
type child struct {
	program string
	cmd     *exec.Cmd
	ask     io.WriteCloser
	cases   *json.Encoder
	costs   *json.Decoder
}

func startChild(program string) (*child, error) {
	c := &child{program: program, cmd: exec.Command(program)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make bench-core builds it): %w", program, err)
	}
	c.ask, c.cases, c.costs = in, json.NewEncoder(in), json.NewDecoder(out)
	return c, nil
}

func (c *child) run(of load.Case) (cost load.Cost, err error) {
	if err = c.cases.Encode(of); err == nil {
		err = c.costs.Decode(&cost)
	}
	if err != nil {
		return cost, fmt.Errorf("%s cannot measure %q: %w", c.program, of, err)
	}
	return cost, nil
}

// stop lets the program end and waits for it.
func (c *child) stop() error {
	if err := errors.Join(c.ask.Close(), c.cmd.Wait()); err != nil {
		return fmt.Errorf("end %s: %w", c.program, err)
	}
	return nil
}
