package quorate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/transport"
)

// connected waits until every node has met every other, in both directions.
func (c *cluster) connected() {
	c.t.Helper()
	until(c.t, "all are connected", func() bool {
		for _, node := range c.nodes {
			_, net := node.host.Stats()
			for _, p := range net.Peers {
				if p.State != transport.Connected {
					return false
				}
			}
			if len(net.Peers) < len(c.nodes)-1 {
				return false
			}
		}
		return true
	})
}

// A node loses its directory and is started again as it was the first time. It is
// turned away and stops, both sides say why, and a new node takes its place.
func TestM17ANodeWithoutItsDirectoryStopsAndIsReplaced(t *testing.T) {
	var s seen
	c := newCluster(t, 3, s.watch)
	c.propose(c.nodes[0], "before")
	c.connected()
	lost := c.follower()
	at := lost.host.Addr()
	c.stop(lost)
	if err := os.RemoveAll(lost.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	members := c.leader().group.Status().Config.Members
	lost.cfg.Peers = members
	c.open(lost)
	_, err := lost.host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: &list{}})
	if err != nil && !errors.Is(err, quorate.ErrStopped) && !errors.Is(err, quorate.ErrClosed) {
		t.Fatal(err)
	}
	until(t, "it has stopped", func() bool { return lost.host.Err() != nil })
	if err := lost.host.Err().Error(); !strings.Contains(err, "turns this node away") || !strings.Contains(err, "remove this member") {
		t.Errorf("it says %q", err)
	}
	// Whom it did not reach before it stopped has nothing to tell.
	until(t, "another node tells", func() bool {
		for i, node := range c.nodes {
			if node != lost && node.host.Vitals().PeersRefused == 1 && s.has(i, quorate.PeerRefused, func(e quorate.Event) bool {
				return e.Node == lost.cfg.ID && errors.Is(e.Err, transport.ErrForgotten)
			}) {
				return true
			}
		}
		return false
	})
	_ = lost.host.Close(t.Context()) // it says again why it stopped
	lost.host, lost.group = nil, nil
	c.propose(c.leader(), "without it")

	leader := c.leader()
	if err := leader.group.Reconfigure(t.Context(), raft.Reconfiguration{Changes: []membership.Change{
		{Kind: membership.Remove, Member: quorate.Member{ID: lost.cfg.ID}},
	}}); err != nil {
		t.Fatal(err)
	}
	fresh := c.add(func(cfg *quorate.Config) {
		s.watch(cfg)
		cfg.Listen, cfg.Peers = at, leader.group.Status().Config.Members
	})
	c.begin(fresh, nil)
	if err := leader.group.Reconfigure(t.Context(), raft.Reconfiguration{Changes: []membership.Change{
		{Kind: membership.Add, Member: quorate.Member{ID: fresh.cfg.ID, Address: at}},
	}}); err != nil {
		t.Fatal(err)
	}
	if got := c.read(fresh); len(got) != 2 {
		t.Errorf("the new node has %q", got)
	}
}

// A copy of a directory that was made while its node ran is put back after the node
// had gone on.
func TestD14ANodeOnAnOldCopyStops(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.nodes[0], "before")
	c.connected()
	node := c.follower()
	copied := filepath.Join(c.dir, "copy")
	if err := os.CopyFS(copied, os.DirFS(node.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	c.propose(c.nodes[0], "after the copy")
	until(t, "the entry is there", func() bool { return len(node.list.all()) == 2 })
	c.stop(node)
	c.restart(node) // a new connection says at once how far its log has come
	c.connected()
	c.stop(node)
	node.cfg.Dir = copied
	c.open(node)
	until(t, "it has stopped", func() bool { return node.host.Err() != nil })
	if err := node.host.Err().Error(); !strings.Contains(err, "is an old copy") {
		t.Errorf("it says %q", err)
	}
	_ = node.host.Close(t.Context()) // it says again why it stopped
	node.host, node.group = nil, nil
	c.propose(c.leader(), "without it")
}
