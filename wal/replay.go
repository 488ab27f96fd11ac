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

	// removed says that older segments are gone, as they may be.
	removed bool
}

// replayed is one group. Where nothing was removed, saved is raft.Saved.Add of all
// writes, and stays so.
//
// Where segments were removed, the log that is left begins with the group's base,
// as it was when the oldest segment was begun. Entries between that base and the
// first ones that we see may be gone. They were removed because a base behind
// them is durable, and so it must still come:
//
//	removed           | what we read
//	base 10, 11 .. 20 | base 10          21 .. 25   base 22
//	                             (hole)
//
// Until it comes, saved begins at the end of the hole, and base is what the disk
// says. The two differ exactly while the hole is open.
type replayed struct {
	saved    raft.Saved
	base     raft.Snapshot
	appended bool // entries were seen
}

var errGap = errors.New("entries do not follow those before them; a write in between is missing")

func (r *replay) add(record codec.Record) error {
	g := r.groups[record.Group]
	if g == nil {
		g = &replayed{}
		r.groups[record.Group] = g
	}
	if err := g.add(record.Write, r.removed); err != nil {
		return fmt.Errorf("group %d: %w", record.Group, err)
	}
	return nil
}

func (g *replayed) add(w raft.Write, removed bool) error {
	if w.Base != nil {
		if g.base = *w.Base; g.base.ID.Index < g.saved.Base.ID.Index && removed {
			w.Base = nil // inside the hole, or before it: it stays open
		}
	}
	if err := g.saved.Add(raft.Write{State: w.State, Base: w.Base}); err != nil {
		return err
	}
	if len(w.Append.Entries) == 0 {
		return nil
	}
	return g.append(w.Append, removed)
}

// append is the part of raft.Saved.Add about entries, but for the hole. It also
// reuses the slice: Add, which may not, would copy all entries for every batch.
func (g *replayed) append(span raft.Span, removed bool) error {
	if err := span.Check(); err != nil {
		return err
	}
	if !g.holds(span.Prev) {
		if !removed || !g.missing(span.Prev) {
			return errGap
		}
		g.skip(span.Prev)
	}
	g.appended = true
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

// missing reports whether the entry may have been in a segment that was removed:
// before the first that we have seen, and not before the base.
func (g *replayed) missing(id raft.EntryID) bool {
	if id != g.base.ID && id.Index <= g.base.ID.Index {
		return false
	}
	return !g.appended || id.Index < g.saved.Base.ID.Index
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
