package rafttest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-db/quorate/raft"
)

// Script plays the commands of a script file to a cluster and answers with what
// happened, a line for each event. Nothing moves but by a command; A and B are
// nodes, and MESSAGE selects messages on the wire by any of A->B, a kind, and
// nth=2 (the second of those) or all:
//
//	nodes N [seed= election= spread= heartbeat= inflight= message= uncommitted= sleep= lease drift=]
//	join                            one more node, that waits to be invited
//	disk A [term= vote= entries=2/2,3/3:x,3/4@1+2 voters=1+2+3] [injured]   A starts anew from this disk
//	tick A|all [N]                  time passes, and only that
//	timeout A                       time passes for A until it campaigns
//	run N                           N times: a tick for all, then settle
//	campaign A, elect A             elect settles, without a transcript
//	deliver|drop|dup MESSAGE, wire  the network by hand; wire lists what lies on it
//	settle                          deliver everything until nothing is left
//	cut A->B, cut A, heal           messages are lost one way; to and from A; no more
//	propose A x y, read A, transfer A [B], resign A
//	change A add|promote|remove|update|demote B[^PRIORITY] [expect=]
//	reconfigure A add B remove C ... [joint] [stay] [expect=], leave A
//	hold A, sync A, release A       writes wait; the oldest is durable; all are
//	crash A, start A
//	compact A [INDEX]               up to what A has applied, unless it says otherwise
//	silent A B [TICKS], alive A B    what the driver of A knows of the node B
//	unreachable A B, forget A B, snapshot A B sent|failed   what A's host reports of B
//	step KIND from= to= term= ...   a message that nobody sent
//	state|log|members [A]..., peers A
//	trace on|off                    tell by which rules, too
//
// A line that begins with "quietly" leaves no transcript. Members are shown as
// {1 2 3, learning 4}, in a joint configuration {the new | the old}, and 3^7 is
// node 3 with priority 7.
type Script struct {
	c        *Cluster
	cut      map[[2]raft.NodeID]bool
	out      []string
	followed map[raft.Rule]bool
	tracing  bool
}

// Followed reports whether any node has followed the rule so far.
func (s *Script) Followed(rule raft.Rule) bool { return s.followed[rule] }

// A mistake is the script's author's, as against what a node refuses.
type mistake struct{ reason string }

func fail(format string, args ...any) { panic(mistake{fmt.Sprintf(format, args...)}) }

// Do plays one line and returns its transcript. An error means that the line
// makes no sense; what a node refuses stands in the transcript.
func (s *Script) Do(line string) (transcript string, err error) {
	defer func() {
		if m, ok := recover().(mistake); ok {
			err = fmt.Errorf("%s: %s", line, m.reason)
		}
	}()
	line, quiet := strings.CutPrefix(strings.TrimSpace(line), "quietly ")
	a := parse(line)
	do, ok := commands[a.next()]
	if !ok {
		fail("no such command")
	}
	if s.c == nil && !strings.HasPrefix(line, "nodes ") {
		fail("the first command is nodes")
	}
	s.out = nil
	do(s, a)
	a.done()
	if quiet {
		return "", nil
	}
	return strings.Join(s.out, "\n"), nil
}

var commands = map[string]func(*Script, *args){
	"nodes": (*Script).nodes, "join": (*Script).join, "disk": (*Script).disk, "trace": (*Script).trace,
	"tick": (*Script).tick, "timeout": (*Script).timeout, "run": (*Script).run,
	"campaign": (*Script).campaign, "elect": (*Script).elect,
	"deliver": (*Script).deliver, "drop": (*Script).drop, "dup": (*Script).dup, "wire": (*Script).wire,
	"settle": (*Script).settle, "cut": (*Script).cutOff, "heal": (*Script).heal, "step": (*Script).step,
	"propose": (*Script).propose, "read": (*Script).read, "transfer": (*Script).transfer, "resign": (*Script).resign,
	"change": (*Script).change, "reconfigure": (*Script).reconfigure, "leave": (*Script).leave,
	"hold": (*Script).hold, "sync": (*Script).sync, "release": (*Script).release,
	"crash": (*Script).crash, "start": (*Script).start, "compact": (*Script).compact,
	"silent": (*Script).silent, "alive": (*Script).alive,
	"unreachable": (*Script).unreachable, "forget": (*Script).forget, "snapshot": (*Script).snapshot,
	"state": (*Script).state, "log": (*Script).log, "members": (*Script).members, "peers": (*Script).peers,
}

func (s *Script) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

// told says what a node refused, if it did.
func (s *Script) told(id raft.NodeID, err error) {
	if err != nil {
		s.say("%d refuses: %v", id, err)
	}
}

func (s *Script) nodes(a *args) {
	cfg := raft.Config{
		ElectionTicks: int(a.number("election", 0)), ElectionSpread: int(a.number("spread", 0)),
		HeartbeatTicks: int(a.number("heartbeat", 0)), Lease: a.flag("lease"), MaxDrift: int(a.number("drift", 0)),
		MaxInFlight: int(a.number("inflight", 0)), MaxMessageBytes: a.number("message", 0),
		MaxUncommittedBytes: a.number("uncommitted", 0), SleepTicks: int(a.number("sleep", 0)), Trace: true,
	}
	s.c = New(int(a.count(1)), a.number("seed", 1), cfg)
	s.c.Trace = func(line string) { s.out = append(s.out, line) }
	s.c.Event = s.event
	s.tracing = false
	if s.followed == nil {
		s.followed = map[raft.Rule]bool{}
	}
	s.cut = map[[2]raft.NodeID]bool{}
}

// event notes by which rule a node went, and tells if it is asked to.
func (s *Script) event(e raft.Event) {
	s.followed[e.Rule] = true
	if s.tracing {
		s.say("%s", showEvent(&e))
	}
}

func (s *Script) trace(a *args) {
	switch a.next() {
	case "on":
		s.tracing = true
	case "off":
		s.tracing = false
	default:
		fail("a trace is on or off")
	}
}

func (s *Script) join(*args) {
	s.say("%s", showNode(s.c.AddNode(raft.Saved{})))
}

func (s *Script) disk(a *args) {
	n := s.node(a)
	s.c.Crash(n.ID)
	state := raft.HardState{Term: raft.Term(a.number("term", 1)), Vote: raft.NodeID(a.number("vote", 0)), Commit: 1, Injured: a.flag("injured")}
	n.Disk = raft.Saved{State: state, Base: s.c.first, Entries: a.entries("entries", s.voters)}
	if voters, ok := a.take("voters"); ok {
		n.Disk.Base.Config = s.voters(voters)
	}
	s.c.Start(n.ID)
	s.say("%s", showNode(n))
}

func (s *Script) tick(a *args) {
	nodes := s.c.Nodes
	if !a.flag("all") {
		nodes = []*Node{s.node(a)}
	}
	for range a.count(1) {
		for _, n := range nodes {
			s.c.Tick(n.ID)
		}
	}
}

func (s *Script) timeout(a *args) {
	n, at := s.up(a), len(s.out)
	role, wire := n.Core.Status().Role, len(s.c.Wire)
	for ticks := 1; ticks <= 1000; ticks++ {
		s.c.Tick(n.ID)
		if n.Core.Status().Role != role || len(s.c.Wire) != wire {
			s.out = slices.Insert(s.out, at, fmt.Sprintf("%d times out after %d ticks", n.ID, ticks))
			return
		}
	}
	s.say("%d does not campaign in 1000 ticks", n.ID)
}

func (s *Script) run(a *args) {
	for range a.count(1) {
		for _, n := range s.c.Nodes {
			s.c.Tick(n.ID)
		}
		s.settle(a)
	}
}

func (s *Script) campaign(a *args) {
	n := s.up(a)
	n.Core.Campaign()
	s.c.Drain(n.ID)
}

func (s *Script) elect(a *args) {
	n := s.up(a)
	n.Core.Campaign()
	s.c.Drain(n.ID)
	s.settle(a)
	s.out = []string{showNode(n)}
}

func (s *Script) step(a *args) {
	kinds := map[string]raft.Kind{}
	for k := raft.PreVote; k <= raft.TimeoutNow; k++ {
		kinds[k.String()] = k
	}
	kind, ok := kinds[a.next()]
	if !ok {
		fail("no such message")
	}
	m := raft.Message{
		Kind: kind, From: raft.NodeID(a.number("from", 0)), To: raft.NodeID(a.number("to", 0)),
		Term: raft.Term(a.number("term", 0)), Last: a.entryID("last"), Rejected: a.entryID("rejected"),
		Span:    raft.Span{Prev: a.entryID("prev"), Entries: a.entries("entries", s.voters)},
		Granted: a.flag("granted"), Transfer: a.flag("transfer"), Sleep: a.flag("sleep"),
		Commit: raft.Index(a.number("commit", 0)), Round: a.number("round", 0), Injured: a.number("injured", 0),
	}
	if id := a.entryID("snapshot"); id != (raft.EntryID{}) {
		m.Snapshot = &raft.Snapshot{ID: id, Config: s.c.first.Config, ConfigIndex: s.c.first.ConfigIndex}
	}
	s.id(fmt.Sprint(m.To))
	s.give(m)
}

func (s *Script) propose(a *args) {
	n := s.up(a)
	for len(a.words) > 0 {
		_, err := n.Core.Propose([]byte(a.next()))
		s.told(n.ID, err)
	}
	s.c.Drain(n.ID)
}

func (s *Script) read(a *args) {
	n := s.up(a)
	_, err := n.Core.Read()
	s.told(n.ID, err)
	s.c.Drain(n.ID)
}

func (s *Script) transfer(a *args) {
	n := s.up(a)
	var to raft.NodeID
	if len(a.words) > 0 {
		to = s.id(a.next())
	}
	s.told(n.ID, n.Core.Transfer(to))
	s.c.Drain(n.ID)
}

func (s *Script) resign(a *args) {
	n := s.up(a)
	n.Core.Resign()
	s.c.Drain(n.ID)
}

func (s *Script) hold(a *args) { s.node(a).Synced = false }

// sync makes the oldest write durable.
func (s *Script) sync(a *args) {
	n := s.up(a)
	s.c.Sync(n.ID)
	s.c.Drain(n.ID)
}

func (s *Script) release(a *args) {
	n := s.up(a)
	for len(n.queue) > 0 {
		s.c.Sync(n.ID)
	}
	n.Synced = true
	s.c.Drain(n.ID)
}

func (s *Script) crash(a *args) { s.c.Crash(s.up(a).ID) }

func (s *Script) start(a *args) {
	n := s.node(a)
	n.Synced = true
	s.c.Start(n.ID)
	s.say("%s", showNode(n))
}

func (s *Script) compact(a *args) {
	n := s.up(a)
	if len(a.words) == 0 {
		s.told(n.ID, s.c.Compact(n.ID))
		return
	}
	s.told(n.ID, n.Core.Compact(raft.Index(a.count(0))))
	s.c.Drain(n.ID)
}

func (s *Script) unreachable(a *args) {
	n := s.up(a)
	n.Core.Unreachable(s.id(a.next()))
	s.c.Drain(n.ID)
}

func (s *Script) forget(a *args) {
	n := s.up(a)
	n.Core.Forget(s.id(a.next()))
	s.c.Drain(n.ID)
}

func (s *Script) silent(a *args) {
	n, of := s.up(a), s.id(a.next())
	ticks := s.c.Config.ElectionTicks
	if ticks == 0 {
		ticks = 10
	}
	n.Core.Silent(of, int(a.count(uint64(ticks))))
	s.c.Drain(n.ID)
}

func (s *Script) alive(a *args) {
	n := s.up(a)
	n.Core.Alive(s.id(a.next()))
	s.c.Drain(n.ID)
}

func (s *Script) snapshot(a *args) {
	n, to := s.up(a), s.id(a.next())
	upTo := raft.Index(0)
	if a.flag("sent") {
		upTo = n.Core.Base().Index
	}
	a.flag("failed")
	n.Core.SnapshotSent(to, upTo)
	s.c.Drain(n.ID)
}

func (s *Script) state(a *args) { s.list(a, showNode) }
func (s *Script) log(a *args)   { s.list(a, showLog) }

// list says a line about each node that is named, or about all.
func (s *Script) list(a *args, show func(*Node) string) {
	nodes := s.c.Nodes
	if len(a.words) > 0 {
		nodes = nil
	}
	for len(a.words) > 0 {
		nodes = append(nodes, s.node(a))
	}
	for _, n := range nodes {
		s.say("%s", show(n))
	}
}

func (s *Script) peers(a *args) {
	for _, p := range s.up(a).Core.Status().Peers {
		line := fmt.Sprintf("%d %v match %d next %d in flight %d", p.ID, p.State, p.Match, p.Next, p.InFlight)
		s.say("%s%s%s", line, word(p.Paused, " paused", ""), word(p.Active, "", " silent"))
	}
}

// node takes the next word as a node.
func (s *Script) node(a *args) *Node { return s.c.Node(s.id(a.next())) }

// up takes the next word as a node that runs.
func (s *Script) up(a *args) *Node {
	n := s.node(a)
	if n.Core == nil {
		fail("node %d is down", n.ID)
	}
	return n
}

func (s *Script) id(word string) raft.NodeID {
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > len(s.c.Nodes) {
		fail("%q is no node", word)
	}
	return raft.NodeID(n)
}
