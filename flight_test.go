package quorate_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
)

// story counts what a dump tells.
type story struct {
	begins, inputs, rules int
	text                  strings.Builder
}

func (s *story) Begins(uint64, *raft.Raft) { s.begins++ }

func (s *story) Given(_ uint64, _ *raft.Raft, in *raft.Input, rules []raft.Event) {
	s.inputs, s.rules = s.inputs+1, s.rules+len(rules)
	fmt.Fprintln(&s.text, in)
}

// told plays what a host remembers of its group.
func told(t *testing.T, host *quorate.Host) *story {
	t.Helper()
	var file bytes.Buffer
	if err := host.Dump(1, &file); err != nil {
		t.Fatal(err)
	}
	d, err := flight.Read(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	s := &story{}
	if o, err := d.Play(s); err != nil || o.Broke != nil || o.Inputs != s.inputs {
		t.Fatalf("of %d inputs %d were played: %v, %v\n%s", s.inputs, o.Inputs, err, o.Broke, &s.text)
	}
	return s
}

// What hosts remember of a group, through elections, restarts and compactions, plays
// again with the same effects, and says nothing of what commands say.
func TestADumpIsPlayedAgainBitForBit(t *testing.T) {
	c := newCluster(t, 3, func(cfg *quorate.Config) {
		cfg.FlightWindow, cfg.SnapshotEntries = 200*time.Millisecond, 20
	})
	for i := range 60 {
		c.propose(c.nodes[i%3], fmt.Sprint("a secret of many letters ", i))
	}
	c.stop(c.leader())
	c.propose(c.follower(), "while one is down")
	for _, node := range c.nodes {
		if node.host == nil {
			c.restart(node)
		}
	}
	for i := range 60 {
		c.propose(c.nodes[i%3], fmt.Sprint("a secret of many letters ", i))
	}
	tapes := 0
	for _, node := range c.nodes {
		s := told(t, node.host)
		if tapes += s.begins; s.inputs < 20 || s.rules < 10 {
			t.Errorf("node %d tells only\n%s", node.cfg.ID, &s.text)
		}
		var file bytes.Buffer
		if err := node.host.Dump(1, &file); err != nil || bytes.Contains(file.Bytes(), []byte("secret")) {
			t.Errorf("node %d gives commands away, or nothing: %v", node.cfg.ID, err)
		}
	}
	if tapes < 4 {
		t.Errorf("only %d tapes: none went on where another had ended", tapes)
	}
	if err := c.nodes[0].host.Dump(2, &bytes.Buffer{}); err == nil {
		t.Error("a group that is not here was dumped")
	}
}

func TestAHostThatRecordsNothingSaysSo(t *testing.T) {
	c := newCluster(t, 1, func(cfg *quorate.Config) { cfg.FlightWindow = -1 })
	c.propose(c.nodes[0], "x")
	if err := c.nodes[0].host.Dump(1, &bytes.Buffer{}); !errors.Is(err, quorate.ErrNotRecorded) {
		t.Errorf("it says %v", err)
	}
}

// To look at a group gives its core nothing, however often.
func TestLookingIsNoInput(t *testing.T) {
	c := newCluster(t, 1, func(*quorate.Config) {})
	c.propose(c.leader(), "x")
	host, looks := c.nodes[0].host, 300
	takes := func() int { return strings.Count(told(t, host).text.String(), "Take()") }
	before := takes()
	for range looks {
		if err := c.nodes[0].group.Status().Err; err != nil {
			t.Fatal(err)
		}
	}
	if more := takes() - before; more > looks/2 {
		t.Errorf("%d looks made %d inputs", looks, more)
	}
}
