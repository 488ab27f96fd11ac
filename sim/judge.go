package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/wal"
)

// judge holds what nodes do against what must never happen. It knows what each
// disk has said is durable, which the nodes themselves forget.
type judge struct {
	sim     *run
	group   raft.GroupID
	checker *check.Checker
	leaders map[raft.Term]raft.NodeID
	ghosts  map[raft.NodeID]*ghost
	top     raft.Index // the highest that any node has taken for committed
	states  map[raft.Index]fingerprint
	answers map[raft.Index]fingerprint
	changes map[raft.Index]bool // where configurations have stood, in any log

	model     Model // nil: the store has none
	chronicle chronicle
}

// fingerprint is a sum of something, and of whom.
type fingerprint struct {
	sum  uint64
	node raft.NodeID
}

// Broken is a violation of what the simulator itself looks for, beyond what
// package check does. Its name is that of the invariant.
type Broken struct {
	Invariant string
	Text      string
}

func (b *Broken) Error() string { return b.Invariant + ": " + b.Text }

func broken(invariant, format string, args ...any) error {
	return &Broken{invariant, fmt.Sprintf(format, args...)}
}

func newJudge(s *run, id raft.GroupID) *judge {
	return &judge{
		sim: s, group: id, leaders: map[raft.Term]raft.NodeID{}, checker: check.New(), ghosts: map[raft.NodeID]*ghost{},
		states: map[raft.Index]fingerprint{}, answers: map[raft.Index]fingerprint{},
		changes: map[raft.Index]bool{0: true, raft.BootstrapID.Index: true}, // who knows no members yet goes by none
	}
}

func (j *judge) fail(n *node, err error) {
	if err != nil && j.sim.world.failure == nil {
		j.sim.note(n, "VIOLATION %v", err)
		j.sim.world.fail(err)
	}
}

// observer is a judge who watches one life of a node. A process that has died
// says nothing more.
type observer struct {
	node *node
	life uint64
}

// on returns the judge of a group and its replica, nil if the process is dead.
func (o *observer) on(g raft.GroupID) (*judge, *replica) {
	if !o.node.alive || o.node.life != o.life {
		return nil, nil
	}
	return o.node.sim.judgeOf(g), o.node.replicas[g-group]
}

// Decided implements quorate.Observer.
func (o *observer) Decided(id raft.GroupID, core *raft.Raft, fx *raft.Effects) {
	n := o.node
	j, r := o.on(id)
	if j == nil {
		return
	}
	if !fx.Write.Empty() {
		g := j.ghost(n.id)
		g.pending = append(g.pending, fx.Write)
	}
	if r.decisions++; r.decisions%replayEvery == 0 {
		j.fail(n, replays(n, core))
	}
	j.weigh(n, r, core)
	s := core.Brief()
	j.sim.followed(r, s.Members, fx.Trace)
	if s == r.brief && fx.Write.Empty() && fx.Install == nil {
		return // a tick, or what changes nothing that others could know of
	}
	r.brief = s
	seen := check.Observation{Node: n.id, Role: s.Role, Term: s.Term, Vote: s.Vote, Commit: s.Commit}
	if fx.Install != nil {
		r.begin(*fx.Install, nil)
		seen.Log = logOf(fx.Install.ID, nil)
		before := seen
		before.Commit = fx.Install.ID.Index
		j.fail(n, j.checker.Saw(before))
		seen.Log = nil
	}
	if len(fx.Write.Append.Entries) > 0 {
		seen.Log = logOf(fx.Write.Append.Prev, fx.Write.Append.Entries)
	}
	j.fail(n, j.checker.Saw(seen))
	j.members(n, r, &s, fx.Write.Append)
	j.top = max(j.top, s.Commit)
	was := r.config
	r.config, _ = core.Members()
	if s.Role == raft.Leader && s.Commit > r.commit {
		j.counted(n, core, s.Commit, &was, &r.config)
	}
	j.sim.decided(n, r, s)
}

// counted looks at what a leader has newly taken for committed: it must be on the
// disks of a majority, under the configuration in force or the one before (I8).
func (j *judge) counted(n *node, core *raft.Raft, at raft.Index, before, now *membership.Config) {
	if at <= core.Base().Index {
		return
	}
	id := core.Entries(at-1, at, 1)[0].EntryID
	has := func(node raft.NodeID) bool {
		g := j.ghost(node)
		has := func(s raft.Saved) bool { return s.Base.ID.Index >= id.Index || s.Holds(id) }
		return g.excused || has(g.saved) || slices.ContainsFunc(g.lost, has)
	}
	if !decides(before, has) && !decides(now, has) {
		j.fail(n, broken("I8", "node %d takes %v for committed, and it is not on the disks of a majority", n.id, id))
	}
}

// Applied implements quorate.Observer.
func (o *observer) Applied(id raft.GroupID, entries []raft.Entry) {
	j, r := o.on(id)
	if j == nil {
		return
	}
	for i := range entries {
		j.fail(o.node, j.checker.Applied(o.node.id, check.Of(&entries[i])))
	}
	r.applied = entries[len(entries)-1].Index
	j.behind(o.node, r, "applies")
}

// Restored implements quorate.Observer.
func (o *observer) Restored(id raft.GroupID, at raft.EntryID) {
	if j, r := o.on(id); j != nil {
		r.applied = at.Index
		j.fail(o.node, j.checker.Restored(o.node.id, at))
		j.behind(o.node, r, "loads")
	}
}

// stopped looks at why a process has ended by itself. Only a disk that fails or was
// damaged is a reason; a broken assertion of the core is one for nobody.
func (j *judge) stopped(n *node, err error) {
	rule, damage := raft.Violation{}, (*wal.DamageError)(nil)
	switch {
	case errors.As(err, &rule):
		name, text, named := strings.Cut(rule.Reason, ": ")
		if !named {
			name, text = "assertion", rule.Reason
		}
		j.fail(n, broken(name, "node %d: %s", n.id, text))
	case n.disk.flaws > 0, errors.Is(err, syscall.EIO):
	case errors.Is(err, syscall.ENOSPC) && !n.runs: // it says what it needs to begin, and tries again
	case errors.As(err, &damage):
		j.fail(n, broken("D05", "node %d finds damage that nobody has done: %v", n.id, err))
	default:
		j.fail(n, broken("stopped", "node %d has ended by itself: %v", n.id, err))
	}
}

// state compares what two nodes' state machines are after the same entry (I11).
func (j *judge) state(n *node, at raft.Index, sum uint64) {
	if was, known := j.states[at]; !known {
		j.states[at] = fingerprint{sum, n.id}
	} else if was.sum != sum {
		j.fail(n, broken("I11", "after entry %d the states of nodes %d and %d differ", at, was.node, n.id))
	}
}

// answer compares what two nodes make of the same command.
func (j *judge) answer(n *node, at raft.Index, sum uint64) {
	if was, known := j.answers[at]; !known {
		j.answers[at] = fingerprint{sum, n.id}
	} else if was.sum != sum {
		j.fail(n, broken("I11", "nodes %d and %d answer command %d differently", was.node, n.id, at))
	}
}

// standing is a configuration in a node's log.
type standing struct {
	at     raft.Index
	config membership.Config
}

// begin notes the configurations of a log that was found on a disk, or of one that
// begins with a snapshot.
func (r *replica) begin(base raft.Snapshot, entries []raft.Entry) {
	r.standing = append(r.standing[:0], standing{base.ConfigIndex, base.Config})
	for i := range entries {
		if c := entries[i].Config; c != nil {
			r.standing = append(r.standing, standing{entries[i].Index, *c})
		}
	}
}

// members looks at configurations as they come into logs (I12): any majority under
// one shares a node with any majority under the one before it, a leader adds none
// while another is not committed, and a node goes by the latest, and names it by where
// it stood, as all others do.
func (j *judge) members(n *node, r *replica, s *raft.Brief, span raft.Span) {
	r.standing = slices.DeleteFunc(r.standing, func(s standing) bool { return len(span.Entries) > 0 && s.at > span.Prev.Index })
	for i := range span.Entries {
		e := &span.Entries[i]
		if e.Config == nil {
			continue
		}
		if k := len(r.standing) - 1; k >= 0 && len(r.standing[k].config.Members) > 0 {
			if !meet(&r.standing[k].config, e.Config) {
				j.fail(n, broken("I12", "the configurations before and of entry %v have majorities without a common node", e.EntryID))
			}
			if before := r.standing[k].at; s.Role == raft.Leader && e.Term == s.Term && before > s.Commit {
				j.fail(n, broken("I12", "node %d changes the members with %v while their change at %d is not committed", n.id, e.EntryID, before))
			}
		}
		r.standing = append(r.standing, standing{e.Index, *e.Config})
		j.changes[e.Index] = true
	}
	if !j.changes[s.Members] {
		j.fail(n, broken("I12", "node %d goes by the members of entry %d, which has changed none", n.id, s.Members))
	}
	if k := len(r.standing) - 1; k >= 0 && s.Members != r.standing[k].at {
		j.fail(n, broken("I12", "node %d goes by the members of entry %d, and its log has those of %d", n.id, s.Members, r.standing[k].at))
	}
}

// meet reports whether any set of nodes that decides under one configuration has a
// node in common with any that decides under the other: whether no set and its
// complement both decide.
func meet(a, b *membership.Config) bool {
	ids := map[raft.NodeID]bool{}
	for _, m := range a.Members {
		ids[m.ID] = true
	}
	for _, m := range b.Members {
		ids[m.ID] = true
	}
	all := slices.Sorted(maps.Keys(ids))
	for set := range 1 << len(all) {
		in := func(id raft.NodeID) bool { return set>>slices.Index(all, id)&1 == 1 }
		if decides(a, in) && decides(b, func(id raft.NodeID) bool { return !in(id) }) {
			return false
		}
	}
	return true
}

// decides reports whether a set has a majority of the voters, in a joint
// configuration of the old ones, too.
func decides(c *membership.Config, in func(raft.NodeID) bool) bool {
	var voters, votes [2]int
	for _, m := range c.Members {
		for i, role := range []membership.Role{m.Role, m.Old} {
			if role == membership.Voter {
				voters[i]++
				if in(m.ID) {
					votes[i]++
				}
			}
		}
	}
	return 2*votes[0] > voters[0] && (!c.Joint() || 2*votes[1] > voters[1])
}

// local looks at a read that asks nobody else (I15): what one life of a node shows
// never goes back.
func (j *judge) local(n *node, r *replica, revision uint64) {
	if revision < r.shown {
		j.fail(n, broken("I15", "node %d showed revision %d, and now %d", n.id, r.shown, revision))
	}
	r.shown = revision
}

// read looks at the index that a read was given (I14).
func (j *judge) read(n *node, invoked, got raft.Index) {
	if got < invoked {
		j.fail(n, broken("I14", "a read at node %d was given index %d, but %d was committed when it was asked for", n.id, got, invoked))
	}
}
