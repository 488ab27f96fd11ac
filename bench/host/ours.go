package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/quorate-db/quorate"
)

// ours is three hosts of the library with its default settings: snapshots are
// taken and the log is compacted while we measure.
type ours struct {
	hosts  [replicas]*quorate.Host
	groups [][replicas]*quorate.Group
}

func openOurs(dir string, groups int) (cluster, error) {
	c, err := openOursWith(dir, groups, func(int, *quorate.Config) {})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// openOursWith opens the hosts; adjust may change what a node, from 0, is like.
func openOursWith(dir string, groups int, adjust func(node int, cfg *quorate.Config)) (*ours, error) {
	c := &ours{groups: make([][replicas]*quorate.Group, groups)}
	for i := range c.hosts {
		cfg := quorate.Config{Dir: filepath.Join(dir, fmt.Sprint(i)), Listen: "127.0.0.1:0"}
		adjust(i, &cfg)
		host, err := quorate.Open(cfg)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.hosts[i] = host
	}
	return c, nil
}

func (c *ours) start(group, node int) error {
	var members []quorate.Member
	for _, h := range c.hosts {
		members = append(members, quorate.Member{ID: h.ID(), Role: quorate.Voter, Address: h.Addr()})
	}
	for i, h := range c.hosts {
		g, err := h.Start(quorate.GroupConfig{ID: quorate.GroupID(group + 1), Members: members, StateMachine: nothing{}})
		if err != nil {
			return err
		}
		c.groups[group][i] = g
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return until("lead a group of ours", func() (bool, error) {
		err := c.groups[group][node].Transfer(ctx, c.hosts[node].ID())
		return err == nil, err
	})
}

func (c *ours) propose(group, node int, command []byte) error {
	// No time-out: every proposal gets its answer, and a timer would be waste.
	_, err := c.groups[group][node].Propose(context.Background(), command)
	return err
}

func (c *ours) close() (err error) {
	gone, cancel := context.WithCancel(context.Background())
	cancel() // nobody is left to hand leadership to
	for _, h := range c.hosts {
		if h != nil {
			err = errors.Join(err, h.Close(gone))
		}
	}
	return err
}

// nothing is a state machine without a state.
type nothing struct{}

func (nothing) Apply([]quorate.Command) error    { return nil }
func (nothing) Snapshot() (quorate.View, error)  { return nothing{}, nil }
func (nothing) Restore(io.Reader) error          { return nil }
func (nothing) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (nothing) Close() error                     { return nil }
