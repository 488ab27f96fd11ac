//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/bench/memory"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// How often the log is compacted: soon enough that groups which are rarely touched
// do it too, and that a node which was away for some seconds needs snapshots of those
// which are touched often.
const (
	snapshotEntries = 48
	snapshotBytes   = 1 << 20
)

// child is a node, as the process that this program starts for it.
type child struct {
	plan
	*mouth
	tally
	host  *quorate.Host
	wires wires
	wards []*ward
}

// ward is a group on this node, with what its clients know of it.
type ward struct {
	*quorate.Group
	id   quorate.GroupID
	book book

	mu      sync.Mutex
	numbers uint32    // of commands, given out
	latest  uint32    // that was acknowledged; zero: none
	since   time.Time // when
}

// serve is what the process does.
func serve(in io.Reader, out io.Writer, text string) (err error) {
	signal.Ignore(os.Interrupt) // it comes to all processes; the first one tells the others
	c := &child{mouth: newMouth(out)}
	if err := json.Unmarshal([]byte(text), &c.plan); err != nil {
		return fmt.Errorf("read the plan %q: %w", text, err)
	}
	if err := c.open(); err != nil {
		return err
	}
	c.say(line{Answer: ready})
	working, rest := context.WithCancel(context.Background())
	var crowd sync.WaitGroup
	for i := range c.Clients {
		crowd.Go(func() { newClient(c, i).run(working) })
	}
	go c.report(time.Now())
	for orders := bufio.NewScanner(in); orders.Scan(); {
		switch order := orders.Text(); order {
		case orderRest:
			rest()
			crowd.Wait()
			c.say(line{Answer: order})
		case orderTell:
			c.say(line{Answer: order, States: c.states()})
		default:
			c.obey(order)
			c.say(line{Answer: order})
		}
	}
	rest()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = c.host.Close(ctx)
	crowd.Wait()
	return err
}

// obey carries out the orders that have no more to say than that they are.
func (c *child) obey(order string) {
	switch order {
	case orderCut:
		c.wires.cut.Store(true)
	case orderMend:
		c.wires.cut.Store(false)
	case orderRestore:
		c.each(func(ctx context.Context, w *ward) { _ = c.restore(ctx, w) }) // the states show whether it was
	}
}

// open starts the host and all its groups.
func (c *child) open() (err error) {
	events := make(chan quorate.Event, 1<<14)
	go c.watch(events)
	self := c.Addresses[c.Node-1]
	c.host, err = quorate.Open(quorate.Config{
		Dir: c.Dir, ID: quorate.NodeID(c.Node), Listen: self, PeerTLS: &c.wires, Events: events,
		SnapshotEntries: snapshotEntries, SnapshotBytes: snapshotBytes,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	go func() {
		<-c.host.Failed()
		c.breaks(groupsStopped, "all groups of a node: %v", c.host.Err())
	}()
	var cfgs []quorate.GroupConfig
	for i := range c.Groups {
		w := &ward{id: quorate.GroupID(i + 1)}
		c.wards = append(c.wards, w)
		cfgs = append(cfgs, quorate.GroupConfig{ID: w.id, Members: c.members(), StateMachine: &w.book})
	}
	groups, err := c.host.StartAll(cfgs)
	if err != nil {
		return errors.Join(err, c.host.Close(context.Background()))
	}
	for i, g := range groups {
		c.wards[i].Group = g
	}
	return nil
}

func (c *child) members() (all []quorate.Member) {
	for i, address := range c.Addresses {
		all = append(all, quorate.Member{ID: quorate.NodeID(i + 1), Role: quorate.Voter, Address: address})
	}
	return all
}

// watch counts events.
func (c *child) watch(events <-chan quorate.Event) {
	for e := range events {
		c.count(e.Kind.String())
		if e.Kind == quorate.GroupStopped {
			c.breaks(groupsStopped, "group %d: %v", e.Group, e.Err)
		}
	}
}

// breaks says that a promise was not kept.
func (c *child) breaks(promise, format string, args ...any) {
	c.say(line{Broken: &breach{promise, fmt.Sprintf("node %d: "+format, append([]any{c.Node}, args...)...)}})
}

// report says every now and then how the process is.
func (c *child) report(begun time.Time) {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	for range time.Tick(c.Interval) {
		metrics.Read(heap)
		log, _ := c.host.Stats()
		c.say(line{Figures: &figures{
			Age: time.Since(begun), Resident: float64(memory.Resident()) / 1e6, Heap: float64(heap[0].Value.Uint64()) / 1e6,
			Goroutines: float64(heap[1].Value.Uint64()), Log: float64(log.Bytes) / 1e6, Counts: c.take(),
		}})
	}
}

// each does something to all groups, some at a time.
func (c *child) each(do func(context.Context, *ward)) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	todo := make(chan *ward)
	var hands sync.WaitGroup
	for range 64 {
		hands.Go(func() {
			for w := range todo {
				do(ctx, w)
			}
		})
	}
	for _, w := range c.wards {
		todo <- w
	}
	close(todo)
	hands.Wait()
}

// states are those of all groups once they hold what was acknowledged anywhere.
func (c *child) states() []state {
	all := make([]state, len(c.wards))
	c.each(func(ctx context.Context, w *ward) { all[w.id-1] = w.state(ctx) })
	return all
}

func (w *ward) state(ctx context.Context) state {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := state{Group: w.id}
	if _, err := w.Read(ctx); err != nil {
		s.Err = err.Error()
	}
	s.Whole = whole(w.Status().Config)
	view, err := w.book.copy()
	var p page
	if err = errors.Join(err, json.Unmarshal(view, &p)); err != nil {
		s.Err = err.Error()
	}
	sum := sha256.Sum256(view)
	s.Index, s.Sum, s.Twice, s.Writers = p.Index, sum[:], p.Twice, p.Writers
	return s
}

// whole reports whether all nodes are voters.
func whole(config membership.Config) bool {
	return !config.Joint() && len(config.Quorum()[0]) == replicas
}

// restore makes a group whole again: whoever is missing joins, and whoever learns
// may vote once it has caught up.
func (c *child) restore(ctx context.Context, w *ward) error {
	for {
		s := w.Status()
		if whole(s.Config) || s.Err != nil {
			return s.Err
		}
		var changes []membership.Change
		for _, m := range c.members() {
			switch known, is := s.Config.Find(m.ID); {
			case !is:
				m.Role = quorate.Learner
				changes = append(changes, membership.Change{Kind: membership.Add, Member: m})
			case known.Role == quorate.Learner:
				changes = append(changes, membership.Change{Kind: membership.Promote, Member: m})
			}
		}
		if len(changes) > 0 { // none: a joint configuration, which ends by itself
			err := w.Reconfigure(ctx, raft.Reconfiguration{Changes: changes[:1], Expect: s.ConfigIndex})
			c.note("restore", err)
		}
		timer := time.NewTimer(time.Duration(20+rand.IntN(80)) * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
