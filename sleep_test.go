package quorate_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/quoratetest"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// tapped is a network that counts what passes: messages of groups, those of each node
// that ask for votes, and what nodes say for themselves.
type tapped struct {
	quorate.Network
	mu    sync.Mutex
	group int
	asked map[quorate.NodeID]int
	node  int
}

type tappedEnd struct {
	quorate.Transport
	tap *tapped
}

func (n *tapped) Listen(cfg transport.Config) (quorate.Transport, error) {
	end, err := n.Network.Listen(cfg)
	return tappedEnd{end, n}, err
}

func (e tappedEnd) Send(messages []codec.Envelope) {
	e.tap.mu.Lock()
	for i := range messages {
		if messages[i].Group == 0 {
			e.tap.node++
		} else {
			e.tap.group++
		}
		if kind := messages[i].Message.Kind; kind == raft.PreVote || kind == raft.RequestVote {
			e.tap.asked[messages[i].Message.From]++
		}
	}
	e.tap.mu.Unlock()
	e.Transport.Send(messages)
}

// requests says how often these nodes have asked for votes.
func (n *tapped) requests(nodes ...quorate.NodeID) (asked int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range nodes {
		asked += n.asked[node]
	}
	return asked
}

// during counts what is said while time passes.
func (n *tapped) during(d time.Duration) (group, node int) {
	n.mu.Lock()
	n.group, n.node = 0, 0
	clear(n.asked)
	n.mu.Unlock()
	time.Sleep(d)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.group, n.node
}

// crowd is three nodes with many groups, beside the first one of the cluster.
type crowd struct {
	*quoratetest.Cluster
	t      *testing.T
	tap    *tapped
	size   int                      // how many
	groups map[int][]*quorate.Group // by node

	machine func() quorate.StateMachine
}

// inCrowd tells a story in a bubble, in which time costs nothing.
func inCrowd(t *testing.T, story func(*crowd)) {
	inCrowdOf(t, crowdSize, func() quorate.StateMachine { return &list{} }, story)
}

func inCrowdOf(t *testing.T, size int, machine func() quorate.StateMachine, story func(*crowd)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, tap: &tapped{asked: map[quorate.NodeID]int{}}, size: size, machine: machine, groups: map[int][]*quorate.Group{}}
		c.Cluster = quoratetest.NewCluster(t, 3, func(int) quorate.StateMachine { return &list{} }, func(cfg *quorate.Config) {
			c.tap.Network, cfg.Network = cfg.Network, c.tap
			cfg.Logger = nil
		})
		var members []quorate.Member
		for node := 1; node <= 3; node++ {
			m := c.Member(node)
			m.Role = quorate.Voter
			members = append(members, m)
		}
		for node := 1; node <= 3; node++ {
			c.start(node, members)
		}
		c.until("all groups sleep", c.asleep(1, 2, 3))
		story(c)
	})
}

func (c *crowd) start(node int, members []quorate.Member) {
	var cfgs []quorate.GroupConfig
	for id := range c.size {
		cfgs = append(cfgs, quorate.GroupConfig{ID: quorate.GroupID(100 + id), Members: members, StateMachine: c.machine()})
	}
	groups, err := c.Host(node).StartAll(cfgs)
	if err != nil {
		c.t.Fatal(err)
	}
	c.groups[node] = groups
}

// until lets time pass until something holds for every group of the crowd.
func (c *crowd) until(what string, holds func(group int) bool) {
	c.t.Helper()
	begun := time.Now()
	for group := 0; group < c.size; {
		if holds(group) {
			group++
			continue
		}
		if time.Since(begun) > time.Minute {
			c.t.Fatalf("group %d: not after a minute: %s", group, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// asleep reports whether a group sleeps on all of these nodes, under one leader.
func (c *crowd) asleep(nodes ...int) func(int) bool {
	return func(group int) bool {
		first := c.groups[nodes[0]][group].Status()
		for _, node := range nodes {
			s := c.groups[node][group].Status()
			if !s.Asleep || s.Leader != first.Leader || s.Term != first.Term || !slices.Contains(nodes, int(s.Leader)) {
				return false
			}
		}
		return true
	}
}

func (c *crowd) propose(node, group int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if _, err := c.groups[node][group].Propose(ctx, []byte("x")); err != nil {
		c.t.Fatal(err)
	}
}

func TestO06GroupsThatSleepSayNothing(t *testing.T) {
	inCrowd(t, func(c *crowd) {
		group, node := c.tap.during(10 * time.Second)
		if group != 0 {
			t.Errorf("%d messages of groups that sleep", group)
		}
		// One for each of six directions and each of 200 intervals.
		if node < 1000 || node > 1400 {
			t.Errorf("nodes have said something for themselves %d times", node)
		}
		for g := range crowdSize {
			c.propose(1+g%3, g) // most of them not where it is led
		}
		if group, _ = c.tap.during(0); group != 0 {
			t.Error("the tap counts wrong")
		}
		c.until("all groups sleep again", c.asleep(1, 2, 3))
		if group, _ = c.tap.during(time.Second); group != 0 {
			t.Errorf("%d messages of groups that sleep again", group)
		}
		for g := range crowdSize {
			for node := 1; node <= 3; node++ {
				if at := c.groups[node][g].Status(); at.Applied != at.Last.Index {
					t.Fatalf("group %d on node %d has applied %d of %d", g, node, at.Applied, at.Last.Index)
				}
			}
		}
	})
}

// A node falls silent, or ends: only the groups that it led elect, all of them, each
// about once, and sleep again without it. Then it is back.
func TestO06ASilentNodeWakesTheGroupsThatItLed(t *testing.T) {
	for name, end := range map[string]func(c *crowd, node int){
		"silent": func(c *crowd, node int) { c.Cut(node) },
		"killed": func(c *crowd, node int) { c.Kill(node) },
	} {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, func(c *crowd) {
				was, led := map[int]quorate.Status{}, 0
				for g := range crowdSize {
					was[g] = c.groups[2][g].Status()
					if was[g].Leader == 1 {
						led++
					}
				}
				if led == 0 || led == crowdSize {
					t.Fatalf("node 1 leads %d of %d groups", led, crowdSize)
				}
				begun := time.Now()
				end(c, 1)
				c.until("all groups have another leader", func(g int) bool { return c.groups[2][g].Status().Leader > 1 })
				took := time.Since(begun)
				terms := 0
				for g := range crowdSize {
					now := c.groups[2][g].Status()
					if was[g].Leader != 1 && now.Term != was[g].Term {
						t.Errorf("group %d was led by node %d and elects", g, was[g].Leader)
					}
					terms += int(now.Term - was[g].Term)
				}
				t.Logf("%d groups had another leader after %v and %d terms", led, took, terms)
				if terms > 2*led {
					t.Errorf("%d groups needed %d terms", led, terms)
				}
				c.until("all groups sleep without it", c.asleep(2, 3))
				for g := range crowdSize {
					c.propose(2, g)
				}
				c.back(name)
				c.until("all groups sleep with it", c.asleep(1, 2, 3))
				if at := c.groups[1][7].Status(); at.Applied < was[7].Last.Index+1 {
					t.Errorf("once it is back it has applied %d", at.Applied)
				}
			})
		})
	}
}

// back brings node 1 back.
func (c *crowd) back(from string) {
	if from == "silent" {
		c.Heal()
		return
	}
	c.Restart(1)
	c.start(1, nil)
}
