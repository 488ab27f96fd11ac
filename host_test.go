package quorate_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// list is a state machine that keeps every command, in order.
type list struct {
	mu    sync.Mutex
	items []string
}

func (l *list) Apply(batch []quorate.Command) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch {
		l.items = append(l.items, string(batch[i].Data))
		batch[i].Result = len(l.items)
	}
	return nil
}

func (l *list) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.items...)
}

type listView []string

func (l *list) Snapshot() (quorate.View, error) { return listView(l.all()), nil }

func (v listView) Close() error { return nil }

func (v listView) WriteTo(w io.Writer) (n int64, err error) {
	for _, item := range v {
		frame := append(binary.LittleEndian.AppendUint32(nil, uint32(len(item))), item...)
		m, err := w.Write(frame)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (l *list) Restore(r io.Reader) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var items []string
	for len(all) > 0 {
		n := binary.LittleEndian.Uint32(all)
		items = append(items, string(all[4:4+n]))
		all = all[4+n:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = items
	return nil
}

// cluster is hosts in this process that talk over loopback.
type cluster struct {
	t     *testing.T
	dir   string
	nodes []*testNode
}

type testNode struct {
	cfg   quorate.Config
	list  *list
	host  *quorate.Host
	group *quorate.Group
}

func newCluster(t *testing.T, n int, adjust func(*quorate.Config)) *cluster {
	c := &cluster{t: t, dir: t.TempDir()}
	var members []quorate.Member
	for range n {
		node := c.add(adjust)
		members = append(members, quorate.Member{ID: node.cfg.ID, Role: quorate.Voter, Address: node.host.Addr()})
	}
	for _, node := range c.nodes {
		c.begin(node, members)
	}
	t.Cleanup(func() {
		for _, node := range c.nodes {
			c.stop(node)
		}
	})
	return c
}

// add opens a host that runs no group yet.
func (c *cluster) add(adjust func(*quorate.Config)) *testNode {
	id := quorate.NodeID(len(c.nodes) + 1)
	node := &testNode{cfg: quorate.Config{
		Dir: filepath.Join(c.dir, fmt.Sprint(id)), ID: id, Cluster: 7, Listen: "127.0.0.1:0",
		HeartbeatInterval: 20 * time.Millisecond, ElectionTimeout: 100 * time.Millisecond,
	}}
	if adjust != nil {
		adjust(&node.cfg)
	}
	c.nodes = append(c.nodes, node)
	c.open(node)
	node.cfg.Listen = node.host.Addr()
	return node
}

func (c *cluster) open(node *testNode) {
	c.t.Helper()
	host, err := quorate.Open(node.cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	node.host = host
}

func (c *cluster) begin(node *testNode, members []quorate.Member) {
	c.t.Helper()
	node.list = &list{}
	group, err := node.host.Start(quorate.GroupConfig{ID: 1, Members: members, StateMachine: node.list})
	if err != nil {
		c.t.Fatal(err)
	}
	node.group = group
}

func (c *cluster) restart(node *testNode) {
	c.t.Helper()
	c.open(node)
	c.begin(node, nil)
}

func (c *cluster) stop(node *testNode) {
	if node.host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := node.host.Close(ctx); err != nil {
		c.t.Errorf("closing node %d: %v", node.cfg.ID, err)
	}
	node.host = nil
}

func (c *cluster) propose(node *testNode, command string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	if _, err := node.group.Propose(ctx, []byte(command)); err != nil {
		c.t.Errorf("proposing %q on node %d: %v", command, node.cfg.ID, err)
	}
}

// until waits for a condition, with a deadline that only a broken program meets.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (c *cluster) leader() *testNode {
	c.t.Helper()
	var leader *testNode
	until(c.t, "a node leads", func() bool {
		for _, node := range c.nodes {
			if node.host != nil && node.group != nil && node.group.Status().Role == raft.Leader {
				leader = node
			}
		}
		return leader != nil
	})
	return leader
}

// follower returns a node that runs and does not lead.
func (c *cluster) follower() *testNode {
	leader := c.leader()
	for _, node := range c.nodes {
		if node.host != nil && node != leader {
			return node
		}
	}
	c.t.Fatal("there is no follower")
	return nil
}

func (c *cluster) read(node *testNode) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	if _, err := node.group.Read(ctx); err != nil {
		c.t.Fatalf("reading on node %d: %v", node.cfg.ID, err)
	}
	return node.list.all()
}

func TestProposalsOnAnyNodeAreAppliedEverywhereInOneOrder(t *testing.T) {
	c := newCluster(t, 3, nil)
	const each = 200
	var clients sync.WaitGroup
	for i, node := range c.nodes {
		for k := range 4 {
			clients.Go(func() {
				for j := range each {
					c.propose(node, fmt.Sprintf("%d-%d-%d", i, k, j))
				}
			})
		}
	}
	clients.Wait()
	want := c.read(c.nodes[0])
	if len(want) != 3*4*each {
		t.Fatalf("node 1 has %d commands, want %d", len(want), 3*4*each)
	}
	for _, node := range c.nodes[1:] {
		got := c.read(node)
		if len(got) != len(want) {
			t.Fatalf("node %d has %d commands, want %d", node.cfg.ID, len(got), len(want))
		}
		for i, item := range got {
			if item != want[i] {
				t.Fatalf("node %d applied %q in place %d, node 1 %q", node.cfg.ID, item, i, want[i])
			}
		}
	}
}

func TestAResultIsThatOfTheOwnStateMachine(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i, node := range c.nodes {
		got, err := node.group.Propose(t.Context(), []byte("x"))
		if err != nil || got != i+1 {
			t.Fatalf("node %d: %v, %v, want %d", node.cfg.ID, got, err, i+1)
		}
	}
}

func TestAStoppedNodeCatchesUp(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.nodes[0], "before")
	down := c.leader()
	c.stop(down)
	for _, node := range c.nodes {
		if node != down {
			c.propose(node, "while down")
		}
	}
	c.restart(down)
	if got := c.read(down); len(got) != 3 {
		t.Fatalf("after its restart the node has %q", got)
	}
}

func TestAFollowerWhoseLogWasCompactedAwayGetsASnapshot(t *testing.T) {
	c := newCluster(t, 3, func(cfg *quorate.Config) { cfg.SnapshotEntries = 50 })
	c.propose(c.nodes[0], "first")
	down := c.follower()
	c.stop(down)
	up := c.leader()
	for i := range 500 {
		c.propose(up, fmt.Sprint(i))
	}
	until(t, "the log is compacted", func() bool { return up.group.Status().Base.Index > 100 })
	c.restart(down)
	if got := c.read(down); len(got) != 501 || got[0] != "first" || got[500] != "499" {
		t.Fatalf("after the snapshot the node has %d commands", len(got))
	}
	for _, node := range c.nodes { // and every one of them starts again from its own snapshot
		c.stop(node)
	}
	for _, node := range c.nodes {
		c.restart(node)
	}
	for _, node := range c.nodes {
		if got := c.read(node); len(got) != 501 {
			t.Fatalf("after its restart node %d has %d commands", node.cfg.ID, len(got))
		}
	}
}

func TestAMemberJoinsIsPromotedAndRemoved(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i := range 100 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	var peers []quorate.Member
	for _, node := range c.nodes {
		peers = append(peers, quorate.Member{ID: node.cfg.ID, Address: node.host.Addr()})
	}
	follower, old := c.follower(), c.leader()
	fourth := c.add(func(cfg *quorate.Config) { cfg.Peers = peers })
	c.begin(fourth, nil)
	member := quorate.Member{ID: fourth.cfg.ID, Address: fourth.host.Addr()}
	if err := follower.group.Change(t.Context(), membership.Change{Kind: membership.Add, Member: member}); err != nil {
		t.Fatal(err)
	}
	until(t, "the learner is promoted", func() bool {
		return follower.group.Change(t.Context(), membership.Change{Kind: membership.Promote, Member: member}) == nil
	})
	err := follower.group.Change(t.Context(), membership.Change{Kind: membership.Remove, Member: quorate.Member{ID: old.cfg.ID}})
	if err != nil {
		t.Fatal(err)
	}
	c.propose(fourth, "with the new member")
	for _, node := range c.nodes {
		until(t, "all know that the old leader has left", func() bool {
			_, there := node.group.Status().Config.Find(old.cfg.ID)
			return !there
		})
	}
	if got := c.read(fourth); len(got) != 101 {
		t.Fatalf("the new member has %d commands, want 101", len(got))
	}
}

// With one of three dead, without another one nobody could commit anything: it stays,
// whoever is asked. The dead one may go, and then the other one may.
func TestWhoIsLeftIsAMajority(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.nodes[0], "a")
	dead, other := c.follower(), c.leader()
	last := c.nodes[6-dead.cfg.ID-other.cfg.ID-1]
	c.stop(dead)
	until(t, "a leader misses the dead one", func() bool {
		peers := c.leader().group.Status().Peers
		return slices.ContainsFunc(peers, func(p raft.PeerStatus) bool { return p.ID == dead.cfg.ID && !p.Active })
	})
	remove := func(by, who *testNode) error {
		return by.group.Change(t.Context(), membership.Change{Kind: membership.Remove, Member: quorate.Member{ID: who.cfg.ID}})
	}
	for _, node := range []*testNode{other, last} {
		for _, who := range []*testNode{other, last} {
			if err := remove(node, who); !errors.Is(err, raft.ErrTooFewVoters) {
				t.Fatalf("node %d removes %d: %v", node.cfg.ID, who.cfg.ID, err)
			}
		}
	}
	c.propose(other, "b")
	for _, who := range []*testNode{dead, other} {
		until(t, "who may go has gone", func() bool { // on a busy machine the other one may seem dead for a moment
			err := remove(last, who)
			return err == nil || errors.Is(err, membership.ErrUnknown)
		})
	}
}

func TestLeadershipIsHandedOverOnRequest(t *testing.T) {
	c := newCluster(t, 3, nil)
	for range 5 {
		old := c.leader()
		to := c.nodes[int(old.cfg.ID)%3]
		until(t, "the target leads", func() bool { // on a busy machine another may be faster
			err := c.nodes[0].group.Transfer(t.Context(), to.cfg.ID)
			if err != nil && !errors.Is(err, quorate.ErrNotTakenOver) {
				t.Fatal(err)
			}
			return to.group.Status().Role == raft.Leader
		})
		c.propose(old, "on")
	}
}

func TestARestartedNodeServesReadsOfAnIdleGroup(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.propose(c.nodes[0], "only")
	for _, node := range c.nodes {
		c.read(node)
	}
	down := c.follower()
	c.stop(down)
	c.restart(down)
	if got := c.read(down); len(got) != 1 {
		t.Fatalf("after its restart the node reads %q", got)
	}
}

func TestADirectoryOfSomebodyElseIsRefused(t *testing.T) {
	c := newCluster(t, 1, nil)
	node := c.nodes[0]
	if _, err := quorate.Open(node.cfg); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second host on the same directory: %v", err)
	}
	c.stop(node)
	for what, adjust := range map[string]func(*quorate.Config){
		"belongs to cluster": func(cfg *quorate.Config) { cfg.Cluster++ },
		"belongs to node":    func(cfg *quorate.Config) { cfg.ID++ },
	} {
		cfg := node.cfg
		adjust(&cfg)
		if _, err := quorate.Open(cfg); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error that says %q, got %v", what, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(node.cfg.Dir, "wal")); err != nil {
		t.Fatal(err)
	}
	if _, err := quorate.Open(node.cfg); err == nil || !strings.Contains(err.Error(), "the log of this node is missing") {
		t.Errorf("a directory without its log: %v", err)
	}
}

func TestSeveralMembersChangeAtOnceAndOnlyAsExpected(t *testing.T) {
	c := newCluster(t, 3, nil)
	var peers []quorate.Member
	for _, node := range c.nodes {
		peers = append(peers, quorate.Member{ID: node.cfg.ID, Address: node.host.Addr()})
	}
	var adds []membership.Change
	for range 2 {
		node := c.add(func(cfg *quorate.Config) { cfg.Peers = peers })
		c.begin(node, nil)
		adds = append(adds, membership.Change{Kind: membership.Add, Member: quorate.Member{ID: node.cfg.ID, Address: node.host.Addr()}})
	}
	follower := c.follower()
	seen := follower.group.Status().ConfigIndex
	if err := follower.group.Reconfigure(t.Context(), raft.Reconfiguration{Changes: adds, Expect: seen}); err != nil {
		t.Fatal(err)
	}
	if err := follower.group.Reconfigure(t.Context(), raft.Reconfiguration{Changes: adds, Expect: seen}); !errors.Is(err, raft.ErrStaleChange) {
		t.Fatalf("a change by an old view: %v", err)
	}
	wish := raft.Reconfiguration{Changes: []membership.Change{ // two come, two go, one stays
		{Kind: membership.Promote, Member: adds[0].Member}, {Kind: membership.Promote, Member: adds[1].Member},
		{Kind: membership.Remove, Member: quorate.Member{ID: 1}}, {Kind: membership.Remove, Member: quorate.Member{ID: 2}},
	}}
	until(t, "the new members have caught up", func() bool { return c.nodes[2].group.Reconfigure(t.Context(), wish) == nil })
	c.propose(c.nodes[4], "by the new majority")
	for _, node := range c.nodes[2:] {
		c.read(node)
		s := node.group.Status()
		if s.Config.Joint() || len(s.Config.Quorum()[0]) != 3 || s.Config.Voter(1) || s.Config.Voter(2) {
			t.Fatalf("node %d: %+v", node.cfg.ID, s.Config)
		}
	}
}

func TestACommandWhoseContextHasEndedIsNotMade(t *testing.T) {
	c := newCluster(t, 1, nil)
	node := c.nodes[0]
	c.propose(node, "before")
	_, term := node.group.Leader()
	ended, end := context.WithCancel(t.Context())
	end()
	for range 100 {
		_, one := node.group.Propose(ended, []byte("never"))
		_, other := node.group.ProposeIn(ended, term, []byte("never"))
		for _, err := range []error{one, other} {
			if !errors.Is(err, quorate.ErrTooLate) || !errors.Is(err, context.Canceled) {
				t.Fatalf("it says %v", err)
			}
		}
	}
	if got := c.read(node); len(got) != 1 {
		t.Errorf("carried out: %q", got)
	}
}
