package wal

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// replay adds up the writes of all groups as the segments are read.
type replay struct {
	groups map[raft.GroupID]*replayed
	forgot bool // there may be groups of which nothing is left
}

// replayed is one group. Where nothing was removed, it holds the raft.Saved.Add of all
// writes, and stays so.
//
// Where segments were removed, the oldest that is left states each group's base
// and last entry as they were when it was begun. The entries between the two are
// unseen. They were removed because each of them was replaced, is behind a base that is
// durable, or is said again in a later segment; and so all of that must still come:
//
//	removed           | what we read
//	base 10, 11 .. 20 | base 10, last 20   21 .. 25   again 19 .. 20   base 18
//	                             (unseen)
//
// A base among the unseen entries may have replaced what we read behind it, and nobody can
// tell. It needs no telling: those that are still unseen behind the base come from segments
// that were kept until the next one said where the log ended (see group.rebase). And in a
// log of version 2, they were kept until a base went past all of them.
type replayed struct {
	group
	hurt *hurt // nil: none of its writes can be missing
}

var errGap = errors.New("entries do not follow those before them; a write in between is missing")

// begin takes the statement of a group in the oldest segment that is left.
func (r *replay) begin(statement codec.Record, at place) error {
	if err := r.add(statement, at); err != nil {
		return err
	}
	r.groups[statement.Group].skip(statement.Write.Append.Prev)
	return nil
}

func (r *replay) add(record codec.Record, at place) error {
	g := r.groups[record.Group]
	if g == nil {
		g = &replayed{group: group{id: record.Group}}
		if r.forgot {
			g.hurt = &hurt{}
		}
		r.groups[record.Group] = g
	}
	if err := g.add(&record, at); err != nil {
		return fmt.Errorf("group %d: %w", record.Group, err)
	}
	return nil
}

func (g *replayed) add(r *codec.Record, at place) error {
	w := &r.Write
	if w.State != (raft.HardState{}) {
		g.state = w.State
	}
	if w.Base != nil {
		g.rebase(*w.Base, at.segment.number)
	}
	if r.Again {
		return g.repeat(w.Append, at)
	}
	if g.hurt != nil {
		g.hurt.note(w)
	}
	if len(w.Append.Entries) == 0 {
		return nil
	}
	return g.write(w.Append, at)
}

// write takes entries in place of all behind those that they follow. A leader may replace
// entries that are unseen.
func (g *replayed) write(span raft.Span, at place) error {
	if err := span.Check(); err != nil {
		return err
	}
	held, unseen := g.has(span.Prev)
	switch {
	case held, unseen && g.hurt == nil:
	case g.hurt == nil:
		return errGap
	default:
		g.skip(span.Prev)
	}
	g.append(span, at)
	return nil
}

// repeat takes entries that are said again, and were seen here or not.
func (g *replayed) repeat(span raft.Span, at place) error {
	if err := span.Check(); err != nil {
		return err
	}
	if g.hurt != nil && !g.hurt.ended {
		return nil // nobody knows whether they belong to what is known of the log
	}
	held, unseen := g.has(span.Prev)
	for i := 0; i < len(span.Entries) && (held || unseen); i++ {
		held, unseen = g.has(span.Entries[i].EntryID)
	}
	if !held && !unseen {
		return errGap
	}
	g.again(span, at)
	return nil
}

// finish returns what was saved of each group, or an error if entries are still unseen.
func (r *replay) finish() (map[raft.GroupID]*raft.Saved, error) {
	all := make(map[raft.GroupID]*raft.Saved, len(r.groups))
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[id]
		if !g.certain() {
			all[id] = g.injured()
			continue
		}
		if i := g.gap(); i < len(g.pieces) {
			return nil, fmt.Errorf("group %d: the entries between %v and %v are missing", id, g.before(i), g.pieces[i].last)
		}
		saved := g.saved()
		all[id] = &saved
	}
	return all, nil
}

// gap returns the first piece that is unseen; if there is none, how many there are.
func (g *replayed) gap() int {
	if i := slices.IndexFunc(g.pieces, func(p piece) bool { return p.segment == nil }); i >= 0 {
		return i
	}
	return len(g.pieces)
}

// saved is the group without what is behind the first entry that is unseen. Its entries are
// copied: what was compacted on the way is still around them, and its data behind that.
func (g *replayed) saved() raft.Saved {
	seen, n := g.pieces[:g.gap()], 0
	for i := range seen {
		n += len(seen[i].entries)
	}
	s := raft.Saved{State: g.state, Base: g.base, Entries: make([]raft.Entry, 0, n)}
	for i := range seen {
		s.Entries = append(s.Entries, seen[i].entries...)
	}
	return s
}

// places is what is remembered of the groups once their entries were taken.
func (r *replay) places() map[raft.GroupID]*group {
	groups := make(map[raft.GroupID]*group, len(r.groups))
	for id, g := range r.groups {
		for i := range g.pieces {
			g.pieces[i].entries = nil
		}
		groups[id] = &g.group
	}
	return groups
}
