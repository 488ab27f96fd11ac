package quorate_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/vfs"
)

// seen gathers what hosts tell, by node.
type seen struct {
	mu   sync.Mutex
	from []chan quorate.Event
	all  [][]quorate.Event
}

func (s *seen) watch(cfg *quorate.Config) {
	ch := make(chan quorate.Event, 1024)
	cfg.Events = ch
	s.from, s.all = append(s.from, ch), append(s.all, nil)
}

// has reports whether a node has told an event that fits.
func (s *seen) has(node int, kind quorate.EventKind, fits func(quorate.Event) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.from[node]) > 0 {
		s.all[node] = append(s.all[node], <-s.from[node])
	}
	return slices.ContainsFunc(s.all[node], func(e quorate.Event) bool { return e.Kind == kind && !e.At.IsZero() && fits(e) })
}

func TestAHostTellsWhatHappens(t *testing.T) {
	var s seen
	c := newCluster(t, 3, func(cfg *quorate.Config) { s.watch(cfg); cfg.SnapshotEntries = 20 })
	for i := range 60 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	leader := c.leader()
	at := int(leader.cfg.ID) - 1
	other := c.follower()
	any := func(quorate.Event) bool { return true }
	wants := []struct {
		kind quorate.EventKind
		fits func(quorate.Event) bool
	}{
		{quorate.LeaderChanged, func(e quorate.Event) bool { return e.Group == 1 && e.Node == leader.cfg.ID && e.Term > 0 }},
		{quorate.MembersChanged, func(e quorate.Event) bool { return e.Group == 1 && len(e.Members) == 3 }},
		{quorate.SnapshotTaken, func(e quorate.Event) bool { return e.Index >= 20 }},
		{quorate.LogCompacted, func(e quorate.Event) bool { return e.Index > 1 }},
	}
	for _, w := range wants {
		until(t, "the leader tells: "+w.kind.String(), func() bool { return s.has(at, w.kind, w.fits) })
	}
	c.stop(other)
	isOther := func(e quorate.Event) bool { return e.Node == other.cfg.ID }
	until(t, "a peer is down", func() bool { return s.has(at, quorate.PeerDown, isOther) })
	for i := range 60 {
		c.propose(leader, fmt.Sprint(i))
	}
	c.restart(other)
	until(t, "it is up", func() bool { return s.has(at, quorate.PeerUp, isOther) })
	until(t, "it has loaded a snapshot", func() bool { return s.has(int(other.cfg.ID)-1, quorate.SnapshotInstalled, any) })
	if s.has(at, quorate.GroupStopped, any) {
		t.Error("a group has stopped")
	}
	v := leader.host.Vitals()
	for name, h := range map[string]quorate.Histogram{"queued": v.Queued, "durable": v.Durable, "committed": v.Committed, "applied": v.Applied} {
		if n := count(h); n < 20 || h.Sum <= 0 {
			t.Errorf("%s: %d were timed, %v together", name, n, h.Sum)
		}
	}
	if v.Queued.Sum > v.Applied.Sum || v.EventsDropped != 0 {
		t.Errorf("a command is applied before the core takes it, or events were lost: %+v", v)
	}
}

func count(h quorate.Histogram) (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Nobody takes what the host tells: it goes on, and counts what it drops.
func TestAHostWaitsForNoWatcher(t *testing.T) {
	c := newCluster(t, 1, func(cfg *quorate.Config) { cfg.Events = make(chan quorate.Event); cfg.SnapshotEntries = 10 })
	for i := range 40 {
		c.propose(c.nodes[0], fmt.Sprint(i))
	}
	if v := c.nodes[0].host.Vitals(); v.EventsDropped < 3 {
		t.Errorf("%d events were dropped", v.EventsDropped)
	}
}

type failing struct{ list }

func (*failing) Apply([]quorate.Command) error { return errors.New("it cannot go on") }

func TestAHostTellsThatAGroupHasStopped(t *testing.T) {
	var s seen
	c := newCluster(t, 0, nil)
	node := c.add(s.watch)
	group, err := node.host.Start(quorate.GroupConfig{ID: 9, StateMachine: &failing{}, Members: []quorate.Member{{ID: 1, Role: quorate.Voter, Address: node.host.Addr()}}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = group.Propose(t.Context(), []byte("x")) }() // its outcome is unknown
	until(t, "the group stops", func() bool {
		return s.has(0, quorate.GroupStopped, func(e quorate.Event) bool { return e.Group == 9 && e.Err != nil })
	})
}

// A write that does not end is told, before the leader steps down for it.
func TestAHostTellsThatItsDiskStalls(t *testing.T) {
	var s seen
	stall := make(chan struct{})
	var on sync.Map
	c := newCluster(t, 1, func(cfg *quorate.Config) {
		s.watch(cfg)
		cfg.FS = vfs.Inject(vfs.OS{}, func(op vfs.Op, _ string) error {
			if _, stalled := on.Load("now"); stalled && op.Changes() {
				<-stall
			}
			return nil
		})
	})
	c.propose(c.nodes[0], "before")
	on.Store("now", true)
	go c.propose(c.nodes[0], "during")
	until(t, "the disk stalls", func() bool { return s.has(0, quorate.DiskStalled, func(quorate.Event) bool { return true }) })
	on.Delete("now")
	close(stall)
	if c.nodes[0].host.Vitals().DiskStalls == 0 {
		t.Error("it was not counted")
	}
	c.propose(c.nodes[0], "after")
}

// Behind a load balancer most commands come to nodes that do not lead.
func TestCommandsFromOtherNodesAreTimedOnTheLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	until(t, "one of them was timed", func() bool {
		c.propose(c.follower(), "one")
		v := c.leader().host.Vitals()
		return v.Queued.Sum > 0 && v.Durable.Sum > 0 && v.Committed.Sum > 0 && v.Applied.Sum > 0
	})
}
