package sim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/codec"
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
}

// ghost is what a node's disk must hold.
type ghost struct {
	saved   raft.Saved
	before  *raft.Saved              // what saved was before the last write; nil: unknown
	pending []raft.Write             // decided, in order, and not yet said to be durable
	reached map[raft.Term]raft.Index // in each term, how far its durable log has come
	excused bool                     // its disk was damaged on purpose: what it lost is no news
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
	}
}

func (j *judge) ghost(id raft.NodeID) *ghost {
	g := j.ghosts[id]
	if g == nil {
		g = &ghost{reached: map[raft.Term]raft.Index{}}
		j.ghosts[id] = g
	}
	return g
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

// Recovered implements quorate.Observer: the disk must hold what was durable, and
// of what was being written a first part (D01 to D05, I8).
func (o *observer) Recovered(id raft.GroupID, saved *raft.Saved, applied raft.Index) {
	n := o.node
	j, r := o.on(id)
	if j == nil {
		return
	}
	g := j.ghost(n.id)
	if n.life > 1 && !g.excused && !g.explains(saved) {
		j.fail(n, broken("I8", "the disk of node %d holds term %d, vote %d and the log %v..%v; durable were term %d, vote %d and %v..%v",
			n.id, saved.State.Term, saved.State.Vote, saved.Base.ID, last(saved),
			g.saved.State.Term, g.saved.State.Vote, g.saved.Base.ID, last(&g.saved)))
		return
	}
	if !equal(&g.saved, saved) {
		g.before = nil
	}
	g.saved = raft.Saved{State: saved.State, Base: saved.Base, Entries: append([]raft.Entry{}, saved.Entries...)}
	g.pending = nil
	r.begin(saved.Base, saved.Entries)
	j.checker.Restarted(n.id)
	j.fail(n, j.checker.Saw(check.Observation{
		Node: n.id, Term: saved.State.Term, Vote: saved.State.Vote, Log: logOf(saved.Base.ID, saved.Entries),
	}))
	if id, ok := find(saved, applied); ok {
		j.fail(n, j.checker.Restored(n.id, id))
		r.applied = id.Index
	}
}

// begins is told that a host may write the beginning of the group before it says
// what it has found.
func (j *judge) begins(n *node, members []membership.Member) error {
	g := j.ghost(n.id)
	if g.saved.Base.ID != (raft.EntryID{}) {
		return nil
	}
	first, err := raft.Bootstrap(membership.New(members...))
	if err == nil {
		g.pending = append(g.pending, raft.Write{State: first.State, Base: &first.Base})
	}
	return err
}

func last(s *raft.Saved) raft.EntryID {
	if n := len(s.Entries); n > 0 {
		return s.Entries[n-1].EntryID
	}
	return s.Base.ID
}

// find returns the entry at an index of what a disk held.
func find(s *raft.Saved, at raft.Index) (raft.EntryID, bool) {
	switch {
	case at == 0 || at < s.Base.ID.Index || at > last(s).Index:
		return raft.EntryID{}, false
	case at == s.Base.ID.Index:
		return s.Base.ID, true
	}
	return s.Entries[at-s.Base.ID.Index-1].EntryID, true
}

func logOf(prev raft.EntryID, entries []raft.Entry) *check.Log {
	l := &check.Log{Prev: prev, Entries: make([]check.Entry, len(entries))}
	for i := range entries {
		l.Entries[i] = check.Of(&entries[i])
	}
	return l
}

// flipped looks at what a log still gives after a bit of it has flipped: all of it,
// or all but its last frame, which nobody can tell from one that was never finished
// (D04).
func (j *judge) flipped(n *node, saved *raft.Saved) error {
	g := j.ghost(n.id)
	if saved == nil {
		saved = &raft.Saved{}
	}
	if g.excused || g.before == nil || g.explains(saved) || equal(g.before, saved) {
		return nil
	}
	return broken("D04", "a bit has flipped on the disk of node %d, and its log opens as if nothing were wrong, with %v..%v; durable were %v..%v",
		n.id, saved.Base.ID, last(saved), g.saved.Base.ID, last(&g.saved))
}

// explains reports whether a disk may hold this.
func (g *ghost) explains(saved *raft.Saved) bool {
	could := raft.Saved{State: g.saved.State, Base: g.saved.Base, Entries: append([]raft.Entry{}, g.saved.Entries...)}
	for i := 0; ; i++ {
		if equal(&could, saved) {
			return true
		}
		if i == len(g.pending) || could.Add(g.pending[i]) != nil {
			return false
		}
	}
}

func equal(a, b *raft.Saved) bool {
	if a.State != b.State || a.Base.ID != b.Base.ID || len(a.Entries) != len(b.Entries) {
		return false
	}
	for i := range a.Entries {
		if a.Entries[i].EntryID != b.Entries[i].EntryID || !bytes.Equal(a.Entries[i].Data, b.Entries[i].Data) {
			return false
		}
	}
	return true
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
		return g.excused || g.saved.Base.ID.Index >= id.Index || g.saved.Holds(id)
	}
	if !decides(before, has) && !decides(now, has) {
		j.fail(n, broken("I8", "node %d takes %v for committed, and it is not on the disks of a majority", n.id, id))
	}
}

// Durable implements quorate.Observer.
func (o *observer) Durable(records []codec.Record) {
	for i := range records {
		j, _ := o.on(records[i].Group)
		if j == nil {
			return
		}
		g, w := j.ghost(o.node.id), &records[i].Write
		if !slices.ContainsFunc(records[:i], func(r codec.Record) bool { return r.Group == records[i].Group }) {
			before := g.saved
			g.before = &before
		}
		if len(w.Append.Entries) > 0 && w.Append.Prev.Index < last(&g.saved).Index {
			g.saved.Entries = slices.Clone(g.saved.Entries) // before keeps what is replaced
		}
		if len(g.pending) > 0 {
			g.pending = g.pending[1:]
		}
		if err := g.saved.Add(*w); err != nil {
			j.fail(o.node, broken("I8", "node %d wrote what does not follow what it had written: %v", o.node.id, err))
		}
		term := g.saved.State.Term
		g.reached[term] = max(g.reached[term], last(&g.saved).Index)
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

// behind sees to it that a state machine stays behind its node's log, as the disk
// has it: after a crash it would hold what the log has lost (I13).
func (j *judge) behind(n *node, r *replica, does string) {
	if durable := last(&j.ghost(n.id).saved).Index; r.applied > durable {
		j.fail(n, broken("I13", "the state machine of node %d %s %d, and the log on its disk ends at %d", n.id, does, r.applied, durable))
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
	case n.disk.flaws > 0, errors.Is(err, syscall.EIO), errors.Is(err, syscall.ENOSPC):
	case errors.As(err, &damage):
		j.fail(n, broken("D05", "node %d finds damage that nobody has done: %v", n.id, err))
	default:
		j.fail(n, broken("stopped", "node %d has ended by itself: %v", n.id, err))
	}
}

// sent looks at a message at the moment at which it leaves (I9): what it promises
// or claims must be durable.
func (j *judge) sent(n *node, e *codec.Envelope) {
	m := &e.Message
	j.fail(n, j.checker.Sent(m))
	g := j.ghost(n.id)
	switch m.Kind {
	case raft.RequestVote:
		if !g.voted(m.Term, m.From) {
			j.early(n, m, "its own vote")
		}
	case raft.RequestVoteReply:
		if m.Granted && !g.voted(m.Term, m.To) {
			j.early(n, m, "the vote")
		}
	case raft.AppendEntriesReply:
		// A promise of an earlier term, which the write that made it durable has itself
		// overtaken, is like a message that was long under way.
		overtaken := g.saved.State.Term > m.Term && m.Last.Index <= g.reached[m.Term]
		if m.Rejected == (raft.EntryID{}) && m.Last.Index > last(&g.saved).Index && !overtaken {
			j.early(n, m, fmt.Sprintf("entry %v", m.Last))
		}
	case raft.InstallSnapshotReply:
		if m.Last.Index > last(&g.saved).Index {
			j.early(n, m, fmt.Sprintf("the snapshot up to %v", m.Last))
		}
	}
}

// voted reports whether the disk keeps its node from voting for anybody else in
// this term.
func (g *ghost) voted(term raft.Term, whom raft.NodeID) bool {
	s := &g.saved.State
	return s.Term > term || s.Term == term && s.Vote == whom
}

func (j *judge) early(n *node, m *raft.Message, what string) {
	g := j.ghost(n.id)
	j.fail(n, broken("I9", "node %d sent %v of term %d to node %d before %s was durable: its disk has term %d, vote %d, log up to %v",
		n.id, m.Kind, m.Term, m.To, what, g.saved.State.Term, g.saved.State.Vote, last(&g.saved)))
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
	r.standing = append(r.standing[:0], standing{base.ID.Index, base.Config})
	for i := range entries {
		if c := entries[i].Config; c != nil {
			r.standing = append(r.standing, standing{entries[i].Index, *c})
		}
	}
}

// members looks at configurations as they come into logs (I12): any majority under
// one shares a node with any majority under the one before it, a leader adds none
// while another is not committed, and a node goes by the latest.
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
