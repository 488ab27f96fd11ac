//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/quorate-db/quorate/internal/freeport"
)

// replicas is how many nodes there are, each with all groups.
const replicas = 3

// soak is a run, as the first process sees it.
type soak struct {
	options
	begun     time.Time
	dir       string
	addresses []string
	tally     // of faults, and of what the nodes count
	nodes     []*node
	notes     // what was said

	mu    sync.Mutex // held to print, and for what follows
	out   io.Writer
	lives uint32
}

// node is one of the three.
type node struct {
	*soak
	number  int // from 1
	process *process
}

// run makes a run and prints how it went. The directory stays if it went badly.
func run(ctx context.Context, out io.Writer, o options) (err error) {
	s := &soak{options: o, out: out, begun: time.Now(), notes: newNotes()}
	if s.dir, err = os.MkdirTemp(o.dir, "quorate-soak"); err != nil {
		return err
	}
	s.print("soak: %v with %d groups, %.0f operations a second, seed %d, in %s\n", o.duration, o.groups, o.rate, o.seed, s.dir)
	if s.addresses, err = freeport.Addresses(replicas); err != nil {
		return err
	}
	if err := s.live(ctx); err != nil {
		s.end()
		if errors.Is(err, context.Canceled) {
			return errors.Join(err, os.RemoveAll(s.dir))
		}
		return fmt.Errorf("seed %d, %s: %w", o.seed, s.dir, err)
	}
	if bad := s.verdict(); bad > 0 {
		return fmt.Errorf("%d goals are short: seed %d, %s", bad, o.seed, s.dir)
	}
	return os.RemoveAll(s.dir)
}

// live runs the nodes from their first start to their last stop, and judges what is
// there then.
func (s *soak) live(ctx context.Context) error {
	for i := range replicas {
		n := &node{soak: s, number: i + 1}
		s.nodes = append(s.nodes, n)
	}
	if err := s.all((*node).start); err != nil {
		return err
	}
	if err := s.strain(ctx); err != nil {
		return err
	}
	if err := s.all((*node).rest); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	if err := s.all((*node).stop); err != nil {
		return err
	}
	s.checkDisks()
	return nil
}

// strain lets the load and the faults go on for the time of the run.
func (s *soak) strain(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	over := time.AfterFunc(s.duration, func() { stop(errOver) })
	defer over.Stop()
	var hands sync.WaitGroup
	for _, n := range s.nodes {
		hands.Go(func() {
			if err := n.torment(ctx); err != nil {
				stop(err)
			}
		})
	}
	hands.Go(func() {
		s.printHeader()
		for pause(ctx, s.every) {
			s.printRows()
		}
	})
	hands.Wait()
	s.printRows()
	if err := context.Cause(ctx); !errors.Is(err, errOver) {
		return err
	}
	return nil
}

var errOver = errors.New("the time is over")

// all does something with all nodes at the same time.
func (s *soak) all(do func(*node) error) error {
	failed := make([]error, len(s.nodes))
	var hands sync.WaitGroup
	for i, n := range s.nodes {
		hands.Go(func() { failed[i] = do(n) })
	}
	hands.Wait()
	return errors.Join(failed...)
}

// start starts a node, or starts it again.
func (n *node) start() (err error) {
	n.mu.Lock()
	n.lives++
	writer := n.lives
	n.mu.Unlock()
	n.process, err = begin(plan{
		Node: n.number, Writer: writer, Seed: n.seed, Dir: filepath.Join(n.dir, strconv.Itoa(n.number)), Addresses: n.addresses,
		Groups: n.groups, Clients: n.clients, Rate: n.rate / replicas, Interval: n.interval,
	}, n.hear)
	return err
}

func (n *node) rest() error { _, err := n.process.tell(orderRest); return err }

// end kills what still runs.
func (s *soak) end() {
	for _, n := range s.nodes {
		if n.process != nil {
			_ = n.process.kill() // it may have ended
		}
	}
}
