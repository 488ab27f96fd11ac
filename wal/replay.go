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

// replayed is one group. Where nothing was removed, saved is raft.Saved.Add of all
// writes, and stays so.
//
// Where segments were removed, the oldest that is left states each group's base
// and last entry as they were when it was begun. The entries between the two are
// gone. They were removed because a base behind them is durable, and so it must
// still come:
//
//	removed           | what we read
//	base 10, 11 .. 20 | base 10, last 20   21 .. 25   base 22
//	                             (hole)
//
// A base inside the hole may have replaced what we read behind it, and nobody can tell.
// It needs no telling: what a snapshot contradicts is no part of any later snapshot
// (Log Matching, §5.3), so that the base that closes the hole replaces it too. For the same
// reason a group may be read without segments that hold none of its entries (move.go).
//
// Until it comes, saved begins at the end of the hole, and base is what the disk
// says. The two differ exactly while the hole is open.
type replayed struct {
	saved raft.Saved
	base  raft.Snapshot
	hurt  *hurt // nil: none of its writes can be missing
}

var errGap = errors.New("entries do not follow those before them; a write in between is missing")

// begin takes the statement of a group in the oldest segment that is left.
func (r *replay) begin(statement codec.Record) error {
	if err := r.add(statement); err != nil {
		return err
	}
	g := r.groups[statement.Group]
	if last := statement.Write.Append.Prev; last.Index > g.base.ID.Index {
		g.skip(last)
	}
	return nil
}

func (r *replay) add(record codec.Record) error {
	g := r.groups[record.Group]
	if g == nil {
		g = &replayed{}
		if r.forgot {
			g.hurt = &hurt{}
		}
		r.groups[record.Group] = g
	}
	if err := g.add(record.Write); err != nil {
		return fmt.Errorf("group %d: %w", record.Group, err)
	}
	return nil
}

func (g *replayed) add(w raft.Write) error {
	if w.Base != nil {
		g.base = *w.Base
		if g.base.ID.Index < g.saved.Base.ID.Index {
			w.Base = nil // inside the hole: it stays open
		}
	}
	if err := g.saved.Add(raft.Write{State: w.State, Base: w.Base}); err != nil {
		return err
	}
	if g.hurt != nil {
		g.hurt.note(&w)
	}
	if len(w.Append.Entries) == 0 {
		return nil
	}
	return g.append(w.Append)
}

// append is the part of raft.Saved.Add about entries, but for the hole. It also
// reuses the slice: Add, which may not, would copy all entries for every batch.
func (g *replayed) append(span raft.Span) error {
	if err := span.Check(); err != nil {
		return err
	}
	if !g.holds(span.Prev) {
		if g.hurt == nil && !g.gone(span.Prev) {
			return errGap
		}
		g.skip(span.Prev)
	}
	keep := span.Prev.Index - g.saved.Base.ID.Index
	g.saved.Entries = append(g.saved.Entries[:keep], span.Entries...)
	return nil
}

// holds reports whether the log, as far as it is known, has this entry or begins
// right after it.
func (g *replayed) holds(id raft.EntryID) bool {
	base := g.saved.Base.ID
	switch {
	case id.Index < base.Index || id.Index-base.Index > raft.Index(len(g.saved.Entries)):
		return false
	case id.Index == base.Index:
		return id == base
	default:
		return g.saved.Entries[id.Index-base.Index-1].EntryID == id
	}
}

// gone reports whether the entry can be in the hole, or be the base before it: a
// leader may replace entries from there on.
func (g *replayed) gone(id raft.EntryID) bool {
	return id.Index < g.saved.Base.ID.Index && (id == g.base.ID || id.Index > g.base.ID.Index)
}

// skip lets the log begin after an entry that is gone.
func (g *replayed) skip(id raft.EntryID) {
	g.saved.Entries = nil
	g.saved.Base = raft.Snapshot{ID: id}
	if id == g.base.ID {
		g.saved.Base = g.base
	}
}

// finish returns what was saved of each group, or an error if a hole is still open.
func (r *replay) finish() (map[raft.GroupID]*raft.Saved, error) {
	all := make(map[raft.GroupID]*raft.Saved, len(r.groups))
	for _, id := range slices.Sorted(maps.Keys(r.groups)) {
		g := r.groups[id]
		if !g.certain() {
			all[id] = g.injured()
			continue
		}
		if g.saved.Base.ID != g.base.ID {
			return nil, fmt.Errorf("group %d: the entries between %v and %v are missing", id, g.base.ID, g.saved.Base.ID)
		}
		// What was compacted on the way is still behind the slice, and its data
		// behind that.
		g.saved.Entries = slices.Clone(g.saved.Entries)
		all[id] = &g.saved
	}
	return all, nil
}
