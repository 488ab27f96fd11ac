package quorate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/wal"
)

// spoil flips a bit of the first entries in a node's log, which is stopped.
func (c *cluster) spoil(node *testNode) {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(node.cfg.Dir, "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		c.t.Fatalf("no log: %v", err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		c.t.Fatal(err)
	}
	at := 40 // behind the header of the segment
	for {
		batch := data[at+16:][:binary.LittleEndian.Uint32(data[at+4:])]
		record, err := codec.DecodeRecord(batch[4:][:binary.LittleEndian.Uint32(batch)])
		if err != nil {
			c.t.Fatal(err)
		}
		if len(record.Write.Append.Entries) > 0 {
			batch[len(batch)-1] ^= 4
			break
		}
		at += 16 + len(batch)
	}
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// D04: a record in the middle of a log is damaged. The node starts, is healed by the
// others, and is then as good as they are: with one of them gone, they are a majority.
func TestD04ADamagedLogIsHealedByThePeers(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 100 {
		c.propose(c.nodes[i%3], fmt.Sprint(i))
	}
	bad := c.follower()
	c.stop(bad)
	c.spoil(bad)
	c.restart(bad)
	until(t, "the node is healed", func() bool { return !bad.group.Status().Injured })
	leader := c.leader()
	for _, node := range c.nodes {
		if node != bad && node != leader {
			c.stop(node)
		}
	}
	c.propose(bad, "by the two")
	if got := c.read(bad); len(got) != 101 {
		t.Errorf("the healed node has %d commands, want 101", len(got))
	}
	c.stop(bad)
	c.restart(bad)
	if bad.group.Status().Injured {
		t.Error("the next start finds an injury again")
	}
}

// An injured node alone with another one commits nothing, since what it has forgotten may
// be what the third one knows.
func TestAnInjuredNodeIsNoMajority(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 100 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	bad, gone := c.nodes[1], c.nodes[2]
	c.stop(gone)
	c.stop(bad)
	c.spoil(bad)
	c.restart(bad)
	if !bad.group.Status().Injured {
		t.Fatal("not injured: the test damages nothing")
	}
	until(t, "the leader knows of it, or there is none", func() bool {
		s := c.nodes[0].group.Status()
		return s.Role != raft.Leader || s.Peers[0].Injured
	})
	if _, err := c.nodes[0].group.Propose(brief(t), []byte("x")); err == nil {
		t.Error("a command was committed by one node and an injured one")
	}
	c.restart(gone)
	until(t, "the node is healed", func() bool { return !bad.group.Status().Injured })
	c.propose(bad, "healed")
}

// Nobody has what the only member has lost: it says so, and touches nothing.
func TestTheOnlyMemberOfAGroupIsNotHealed(t *testing.T) {
	c := newCluster(t, 1, nil)
	for i := range 10 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	c.stop(c.nodes[0])
	c.spoil(c.nodes[0])
	for range 2 {
		_, err := quorate.Open(c.nodes[0].cfg)
		if damage := (*wal.DamageError)(nil); !errors.Is(err, raft.ErrLost) || !errors.As(err, &damage) {
			t.Fatalf("opened with %v", err)
		}
		// One sentence: where, what it means, and no advice that cannot help.
		if said := err.Error(); !strings.HasPrefix(said, "wal: ") || strings.Contains(said, "\n") || strings.Contains(said, "give back what was lost") {
			t.Errorf("it says %q", said)
		}
	}
}

// A state machine that is durable by itself is ahead of what is left of the log. What
// comes again is not carried out twice.
func TestADurableStateMachineIsNotToldTwiceWhatComesBack(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.stop(c.nodes[2])
	durable := &disk{}
	c.open(c.nodes[2])
	c.beginOn(c.nodes[2], durable, nil)
	for i := range 100 {
		c.propose(c.nodes[i%3], fmt.Sprint(i))
	}
	c.stop(c.nodes[2])
	c.spoil(c.nodes[2])
	c.open(c.nodes[2])
	c.beginOn(c.nodes[2], durable, nil)
	until(t, "the node is healed", func() bool { return !c.nodes[2].group.Status().Injured })
	c.propose(c.nodes[2], "last")
	if got, want := c.read(c.nodes[2]), c.read(c.nodes[0]); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the state is\n%v\nthat of another node\n%v", got, want)
	}
}

// brief is a context for what must not succeed.
func brief(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
