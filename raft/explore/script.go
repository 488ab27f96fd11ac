package explore

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// tell writes a finding down as a script. The same actions are done once more, to
// a world and to the cluster that a script drives, so that messages can be called
// what the script calls them.
func (s *search) tell(setup *Setup) (*Finding, error) {
	actions := s.way()
	w, err := begin(setup)
	if err != nil {
		return nil, err
	}
	t := &teller{setup: setup}
	t.say("# %v", s.found.err)
	if err := t.begin(); err != nil {
		return nil, err
	}
	for i, a := range actions {
		next, err := w.next(a)
		t.tell(w, a, i == len(actions)-1)
		if err != nil {
			break
		}
		w = next
	}
	return &Finding{Reason: s.found.err.Error(), Steps: len(actions), Script: strings.Join(t.lines, "\n") + "\n"}, nil
}

// tellBegin writes down a setup that goes wrong before anything happens.
func tellBegin(setup *Setup, found violation) string {
	t := &teller{setup: setup}
	t.say("# %v", found)
	_ = t.begin() // it goes wrong here too, or where the scripts' cluster does not look
	return strings.Join(t.lines, "\n") + "\n"
}

// teller keeps a cluster beside the lines that would have driven it.
type teller struct {
	setup *Setup
	c     *rafttest.Cluster
	lines []string
}

func (t *teller) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// begin tells what the setup begins with, as far as the core survives it.
func (t *teller) begin() (err error) {
	defer violated(&err)
	s := t.setup
	cfg := s.Config
	cfg.ElectionTicks, cfg.ElectionSpread, cfg.HeartbeatTicks = electionTicks, 1, 1
	t.c = rafttest.New(s.Voters, 1, cfg)
	line := fmt.Sprintf("nodes %d election=%d spread=1 heartbeat=1", s.Voters, electionTicks)
	if s.Config.MaxMessageBytes != 0 {
		line += fmt.Sprintf(" message=%d", s.Config.MaxMessageBytes)
	}
	if s.Config.SleepTicks != 0 {
		line += fmt.Sprintf(" sleep=%d", s.Config.SleepTicks)
	}
	t.say("%s", line)
	for range s.Spare {
		t.c.AddNode(raft.Saved{})
		t.say("quietly join")
	}
	for i, d := range s.Disks {
		n := t.c.Nodes[i]
		t.c.Crash(n.ID)
		saved, err := s.disk(i)
		if err != nil {
			return err
		}
		n.Disk = saved
		t.c.Start(n.ID)
		t.say("quietly disk %d term=%d vote=%d%s", n.ID, d.Term, d.Vote, entries(d.Entries))
	}
	for _, e := range s.Elected {
		if err := t.elect(e); err != nil {
			return err
		}
	}
	if s.Rest > 0 {
		t.say("quietly run %d", s.Rest)
	}
	for range s.Rest {
		for _, n := range t.c.Nodes {
			t.c.Tick(n.ID)
		}
		if err := t.c.Settle(nil); err != nil {
			return err
		}
	}
	if s.Held {
		for _, n := range t.c.Nodes {
			t.hold(n.ID)
		}
	}
	return nil
}

// elect tells of an election that a setup begins with.
func (t *teller) elect(e Election) error {
	for _, n := range t.c.Nodes {
		if lead, _ := n.Core.Leader(); n.ID != e.Away && lead == e.Away && lead != 0 {
			n.Core.Forget(e.Away)
			t.say("forget %d %d", n.ID, e.Away)
		}
	}
	if e.Away != 0 {
		t.say("cut %d", e.Away)
	}
	t.say("quietly elect %d", e.Leader)
	if e.Away != 0 {
		t.say("heal")
	}
	t.c.Node(e.Leader).Core.Campaign()
	t.c.Drain(e.Leader)
	return t.c.Settle(func(m raft.Message) bool { return m.To != e.Away })
}

func entries(ids []raft.EntryID) string {
	var all []string
	for _, id := range ids {
		all = append(all, id.String())
	}
	if len(all) == 0 {
		return ""
	}
	return " entries=" + strings.Join(all, ",")
}

func (t *teller) hold(id raft.NodeID) {
	t.c.Node(id).Synced = false
	t.say("hold %d", id)
}

// tell tells one action. The last one is not done: the core may not survive it.
func (t *teller) tell(w *world, a action, last bool) {
	switch a.kind {
	case Deliver, Drop, Duplicate:
		t.message(w.wire[a.arg], a.kind, last)
		return
	case Lose:
		t.lose(a.node)
		return
	case Restart:
		t.say("crash %d", a.node)
		t.say("start %d", a.node)
		t.c.Crash(a.node)
		t.c.Start(a.node)
		if t.setup.Held {
			t.hold(a.node)
		}
		return
	}
	t.say("%s", t.line(w, a))
	if last {
		return
	}
	core := t.c.Node(a.node).Core
	switch a.kind {
	case Tick:
		core.Tick()
	case Campaign:
		core.Campaign()
	case Sync:
		t.c.Sync(a.node)
	case Propose:
		_, _ = core.Propose(command(w.spent[Propose]))
	case Change:
		t.setup.Changes[a.arg].ask(core)
	case Transfer:
		_ = core.Transfer(raft.NodeID(a.arg))
	case Compact:
		_ = t.c.Compact(a.node)
	case Read:
		_, _ = core.Read()
	case Unreachable:
		core.Unreachable(raft.NodeID(a.arg))
	case SnapshotFailed:
		core.SnapshotSent(raft.NodeID(a.arg), 0)
	case Silence:
		core.Silent(raft.NodeID(a.arg), electionTicks)
	}
	t.c.Drain(a.node)
}

// lose tells that a node's disk has lost all but what it began with.
func (t *teller) lose(id raft.NodeID) {
	t.c.Crash(id)
	saved, err := t.setup.disk(int(id) - 1)
	if err != nil {
		t.say("# %v", err)
		return
	}
	saved.State.Injured = true
	t.c.Node(id).Disk = saved
	t.c.Start(id)
	var ids []raft.EntryID
	for _, e := range saved.Entries {
		ids = append(ids, e.EntryID)
	}
	t.say("disk %d term=%d vote=%d%s injured", id, saved.State.Term, saved.State.Vote, entries(ids))
	if t.setup.Held {
		t.hold(id)
	}
}

// line is an action that is about no message.
func (t *teller) line(w *world, a action) string {
	switch a.kind {
	case Propose:
		return fmt.Sprintf("propose %d %s", a.node, command(w.spent[Propose]))
	case Change:
		return t.setup.Changes[a.arg].line(a.node)
	case Transfer:
		return fmt.Sprintf("transfer %d %d", a.node, a.arg)
	case Unreachable:
		return fmt.Sprintf("unreachable %d %d", a.node, a.arg)
	case SnapshotFailed:
		return fmt.Sprintf("snapshot %d %d failed", a.node, a.arg)
	case Silence:
		return fmt.Sprintf("silent %d %d", a.node, a.arg)
	default:
		return fmt.Sprintf("%s %d", a.kind, a.node)
	}
}

// line is a wish in a script's words.
func (c *Wish) line(at raft.NodeID) string {
	if c.Leave {
		return fmt.Sprintf("leave %d", at)
	}
	line := fmt.Sprintf("reconfigure %d", at)
	for _, change := range c.Changes {
		line += fmt.Sprintf(" %v %d", change.Kind, change.Member.ID)
	}
	if c.Joint {
		line += " joint"
	}
	if c.Stay {
		line += " stay"
	}
	return line
}

// message tells what happens to a message on the wire.
func (t *teller) message(p *packet, kind Kind, last bool) {
	wanted := rafttest.Show(&p.Message)
	nth, at := 0, -1
	for i := range t.c.Wire {
		m := &t.c.Wire[i]
		if m.From == p.From && m.To == p.To && m.Kind == p.Kind {
			nth++
			if rafttest.Show(m) == wanted {
				at = i
				break
			}
		}
	}
	if at < 0 {
		t.say("# the script's wire lacks %s", wanted)
		return
	}
	name := fmt.Sprintf("%d->%d %v", p.From, p.To, p.Kind)
	if nth > 1 {
		name += fmt.Sprintf(" nth=%d", nth)
	}
	if kind == Duplicate {
		t.say("dup %s", name)
		t.c.Wire = append(t.c.Wire, t.c.Wire[at])
		kind = Deliver
	}
	t.say("%s %s", kind, name)
	switch {
	case kind == Drop:
		t.c.Wire = append(t.c.Wire[:at:at], t.c.Wire[at+1:]...)
	case !last:
		_ = t.c.Deliver(at) // refused at the door: then it changed nothing
	}
}

// Play plays a script and returns what it says, and what in that is a violation of
// Raft, if anything: a node that stops, two leaders in a term, two entries applied
// at one index.
func Play(script string) (transcript string, err error) {
	j := &ear{leaders: map[string]string{}, applied: map[string]string{}}
	var s rafttest.Script
	var said strings.Builder
	defer func() {
		if v, ok := recover().(raft.Violation); ok {
			transcript, err = said.String(), v
		}
	}()
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		answer, err := s.Do(line)
		if err != nil {
			return said.String(), err
		}
		fmt.Fprintf(&said, "> %s\n%s\n", line, answer)
		for heard := range strings.Lines(answer) {
			if err := j.hear(strings.TrimSpace(heard)); err != nil {
				return said.String(), err
			}
		}
	}
	return said.String(), nil
}

// ear listens to a transcript.
type ear struct {
	leaders map[string]string // by term
	applied map[string]string // by index
}

// shown is an entry as a transcript has it.
var shown = regexp.MustCompile(`\d+/(\d+) (?:blank|"[^"]*"|\{[^}]*\})`)

func (j *ear) hear(line string) error {
	node, what, _ := strings.Cut(line, " ")
	if reason, ok := strings.CutPrefix(what, "stops: "); ok {
		return finding("node %s stops: %s", node, reason)
	}
	if term, ok := strings.CutPrefix(what, "becomes leader in term "); ok {
		if other := j.leaders[term]; other != "" && other != node {
			return finding("nodes %s and %s both lead in term %s", other, node, term)
		}
		j.leaders[term] = node
	}
	if all, ok := strings.CutPrefix(what, "applies "); ok {
		for _, m := range shown.FindAllStringSubmatch(all, -1) {
			entry, index := m[0], m[1]
			if other := j.applied[index]; other != "" && other != entry {
				return finding("node %s applies %s, and another %s", node, entry, other)
			}
			j.applied[index] = entry
		}
	}
	return nil
}
