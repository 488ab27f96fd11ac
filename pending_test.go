package quorate_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// What every group is given, and what a host takes of it at a time.
const (
	pressGroups  = 16
	pressCount   = 12
	pressSize    = 32 << 10
	pressLimit   = 1 << 20
	pressGreed   = pressGroups * pressCount * pressSize
	pressAtMost  = pressLimit + pressGroups*(pressSize+1024) // each may have one that is larger than its share
	pressRefused = 200                                       // refusals, after which nothing more goes in
)

// stalled lets the disks of nodes stand still until the function returned is called.
func stalled(t *testing.T, faults ...*logFault) (release func()) {
	t.Helper()
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	for _, f := range faults {
		f.on(func(op vfs.Op) error {
			if op == vfs.OpSync {
				<-released
			}
			return nil
		})
	}
	return release
}

// press makes commands in all groups at once, each until it is carried out, and checks
// that the host takes what it may of them, of each group something, until they are
// released.
func press(t *testing.T, host *quorate.Host, groups []*quorate.Group, release func()) {
	t.Helper()
	var all sync.WaitGroup
	var refused, done atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); release(); all.Wait() })
	for _, group := range groups {
		for range pressCount {
			all.Go(func() {
				for {
					_, err := group.Propose(ctx, bytes.Repeat([]byte{'x'}, pressSize))
					if err == nil {
						done.Add(1)
						return
					}
					if !errors.Is(err, quorate.ErrBusy) {
						t.Errorf("a command that was made again until there is room: %v", err)
						return
					}
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
	most := int64(0)
	until(t, "the host is full, every group has a command, and further ones are refused", func() bool {
		if most = max(most, host.Vitals().Pending); most < pressLimit/2-pressSize-1024 {
			refused.Store(0)
			return false
		}
		for _, group := range groups {
			if s := group.Status(); s.Last.Index == s.Applied {
				return false
			}
		}
		return refused.Load() >= pressRefused
	})
	if most = max(most, host.Vitals().Pending); most > pressAtMost {
		t.Errorf("up to %d bytes were pending at once, of %d, where the limit is %d", most, pressGreed, pressLimit)
	}
	release()
	all.Wait()
	if got := done.Load(); got != int64(len(groups)*pressCount) {
		t.Errorf("%d commands were carried out", got)
	}
	untilQuiet(t, host)
}

func untilQuiet(t *testing.T, hosts ...*quorate.Host) {
	t.Helper()
	for _, host := range hosts {
		until(t, "nothing is pending", func() bool { return host.Vitals().Pending == 0 })
	}
}

// Groups without a majority hold no more than their host may, all together, and go on
// when the others are back.
func TestAHostIsBoundedWhereMajoritiesAreMissing(t *testing.T) {
	var faults []*logFault
	c := newCluster(t, 3, func(cfg *quorate.Config) {
		faults = append(faults, &logFault{})
		faults[len(faults)-1].config(cfg)
		cfg.MaxPendingBytes, cfg.ElectionTimeout = pressLimit, 10*time.Second // nobody else shall lead meanwhile
	})
	leader := c.nodes[0]
	members := []quorate.Member{}
	for _, node := range c.nodes {
		members = append(members, quorate.Member{ID: node.cfg.ID, Role: quorate.Voter, Address: node.host.Addr()})
	}
	groups := []*quorate.Group{leader.group}
	for id := quorate.GroupID(2); id <= pressGroups; id++ {
		for _, node := range c.nodes {
			group, err := node.host.Start(quorate.GroupConfig{ID: id, Members: members, StateMachine: &list{}})
			if err != nil {
				t.Fatal(err)
			}
			if node == leader {
				groups = append(groups, group)
			}
		}
	}
	for _, group := range groups {
		until(t, "the first node leads", func() bool {
			s := group.Status()
			if s.Leader == 0 {
				_ = group.Campaign() // again if the others were not there yet
			} else if s.Role != raft.Leader {
				_ = group.Transfer(t.Context(), leader.cfg.ID)
			}
			return s.Role == raft.Leader && s.Last.Index == s.Applied
		})
	}
	press(t, leader.host, groups, stalled(t, faults[1], faults[2]))
	if got := len(c.read(c.nodes[1])); got != pressCount {
		t.Errorf("another node has %d commands", got)
	}
	untilQuiet(t, c.nodes[1].host, c.nodes[2].host)
}

// slowList is a state machine that waits, and then fails if it is to.
type slowList struct {
	list
	wait  <-chan struct{}
	fails error
}

func (s *slowList) Apply(batch []quorate.Command) error {
	<-s.wait
	if s.fails != nil {
		return s.fails
	}
	return s.list.Apply(batch)
}

// alone starts groups of one node with slow state machines.
func alone(t *testing.T, fails error) (host *quorate.Host, groups []*quorate.Group, release func()) {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir()}
	node := c.add(func(cfg *quorate.Config) { cfg.MaxPendingBytes = pressLimit })
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(func() { release(); c.stop(node) })
	members := []quorate.Member{{ID: node.cfg.ID, Role: quorate.Voter, Address: node.host.Addr()}}
	for id := quorate.GroupID(1); id <= pressGroups; id++ {
		group, err := node.host.Start(quorate.GroupConfig{ID: id, Members: members, StateMachine: &slowList{wait: released, fails: fails}})
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, group)
	}
	return node.host, groups, release
}

// So do groups whose state machines are slow.
func TestAHostIsBoundedWhereStateMachinesAreSlow(t *testing.T) {
	host, groups, release := alone(t, nil)
	press(t, host, groups, release)
}

// A group whose state machine has failed holds nothing any more.
func TestAFailedStateMachineLeavesNothingPending(t *testing.T) {
	host, groups, release := alone(t, errors.New("no further"))
	var all sync.WaitGroup
	for range pressCount {
		all.Go(func() { _, _ = groups[0].Propose(t.Context(), make([]byte, 8<<10)) }) // fails with the group
	}
	until(t, "all wait for it", func() bool { return host.Vitals().Pending > pressCount*8<<10 })
	release()
	<-groups[0].Stopped()
	all.Wait()
	untilQuiet(t, host)
}

// A leader that leads no more has nothing pending, and what it had is decided by others.
func TestALeaderThatStepsDownLeavesNothingPending(t *testing.T) {
	var faults []*logFault
	c := newCluster(t, 3, func(cfg *quorate.Config) {
		faults = append(faults, &logFault{})
		faults[len(faults)-1].config(cfg)
		cfg.ElectionTimeout = 500 * time.Millisecond
	})
	c.propose(c.nodes[0], "before")
	leader := c.leader()
	release := stalled(t, faults...)
	var all sync.WaitGroup
	all.Go(func() { _, _ = leader.group.Propose(t.Context(), make([]byte, pressSize)) }) // nobody knows its outcome
	until(t, "it waits for a majority", func() bool { return leader.host.Vitals().Pending > pressSize })
	untilQuiet(t, leader.host)
	release()
	all.Wait()
	c.propose(c.nodes[0], "afterwards")
	for _, node := range c.nodes {
		c.read(node)
		untilQuiet(t, node.host)
	}
}

// Nor has a group that was removed.
func TestAGroupThatWasRemovedLeavesNothingPending(t *testing.T) {
	c, faults := faulty(t, 3)
	c.propose(c.nodes[0], "before")
	leader := c.leader()
	for _, node := range c.nodes {
		if node != leader {
			stalled(t, faults[node])
		}
	}
	var all sync.WaitGroup
	all.Go(func() { _, _ = leader.group.Propose(t.Context(), make([]byte, pressSize)) }) // nobody knows its outcome
	until(t, "it waits for a majority", func() bool { return leader.host.Vitals().Pending > pressSize })
	if err := leader.host.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	untilQuiet(t, leader.host)
	leader.group = nil
}
