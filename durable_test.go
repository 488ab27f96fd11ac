package quorate_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// disk is a list that outlives its host, as one that keeps itself on a disk does.
type disk struct {
	list
	applied raft.Index
}

func (d *disk) Applied() raft.Index { return d.applied }
func (d *disk) Sync() error         { return nil }

func (d *disk) Apply(batch []quorate.Command) error {
	d.applied = batch[len(batch)-1].Index
	return d.list.Apply(batch)
}

type diskView struct {
	quorate.View
	applied raft.Index
}

func (d *disk) Snapshot() (quorate.View, error) {
	v, err := d.list.Snapshot()
	return diskView{v, d.applied}, err
}

func (v diskView) WriteTo(w io.Writer) (int64, error) {
	if err := binary.Write(w, binary.LittleEndian, uint64(v.applied)); err != nil {
		return 0, err
	}
	n, err := v.View.WriteTo(w)
	return n + 8, err
}

func (d *disk) Restore(r io.Reader) error {
	var applied uint64
	if err := binary.Read(r, binary.LittleEndian, &applied); err != nil {
		return err
	}
	d.applied = raft.Index(applied)
	return d.list.Restore(r)
}

func (c *cluster) beginOn(node *testNode, d *disk, members []quorate.Member) {
	c.t.Helper()
	group, err := node.host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: d})
	if err != nil {
		c.t.Fatal(err)
	}
	node.group, node.list = group, &d.list
}

// The last entries that a snapshot covers may be no commands: the state machine
// does not know of them, and must still be found complete after a restart.
func TestADurableStateMachineRestartsBehindEntriesThatAreNoCommands(t *testing.T) {
	c := &cluster{t: t, dir: t.TempDir()}
	t.Cleanup(func() {
		for _, node := range c.nodes {
			c.stop(node)
		}
	})
	first := c.add(func(cfg *quorate.Config) { cfg.SnapshotEntries = 4 })
	one, two := &disk{}, &disk{}
	member := quorate.Member{ID: 1, Role: quorate.Voter, Address: first.host.Addr()}
	c.beginOn(first, one, []quorate.Member{member})
	c.propose(first, "only")
	second := c.add(func(cfg *quorate.Config) { cfg.Peers = []quorate.Member{member} })
	c.beginOn(second, two, nil)
	learner := quorate.Member{ID: 2, Address: second.host.Addr()}
	for i := range 6 { // entries that are no commands, enough to compact the log
		kind := membership.Update
		if i == 0 {
			kind = membership.Add
		}
		if err := first.group.Change(t.Context(), membership.Change{Kind: kind, Member: learner}); err != nil {
			t.Fatal(err)
		}
	}
	c.read(second)
	for _, node := range []*testNode{second, first} {
		c.stop(node)
	}
	c.open(first)
	c.beginOn(first, one, nil)
	c.open(second)
	c.beginOn(second, two, nil)
	for _, node := range c.nodes {
		if got := c.read(node); len(got) != 1 || got[0] != "only" {
			t.Fatalf("after its restart node %d has %q", node.cfg.ID, got)
		}
	}
}
