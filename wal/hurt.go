package wal

import (
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// Behind damage nobody knows which groups had something in what is lost. A group is
// proven to have lost nothing that still matters by what follows: a write says what
// its hard state is from then on, and an Append what all of its log is, if the log is
// known up to the Append's Prev or begins behind it by now. The statements at the
// beginning of a segment prove it of all groups. Whatever is not proven so in the end
// is injured: what is left of it is what there was before the damage.

// hurt is a group behind damage.
type hurt struct {
	before raft.Saved // the group before the damage, without what is behind unseen entries
	stated bool       // its hard state was written since
	ended  bool       // and where its log ends
}

func (h *hurt) note(w *raft.Write) {
	h.stated = h.stated || w.State != (raft.HardState{})
	h.ended = h.ended || len(w.Append.Entries) > 0
}

// lose is told that writes of any group may be missing from here on.
func (r *replay) lose() {
	r.forgot = true
	for _, g := range r.groups {
		if g.certain() {
			g.hurt = &hurt{before: g.saved()}
		}
		g.hurt.stated, g.hurt.ended = false, false
	}
}

// certain reports whether the group is what its writes have made of it, whatever was
// lost.
func (g *replayed) certain() bool {
	return g.hurt == nil || g.hurt.stated && g.hurt.ended && g.gap() == len(g.pieces)
}

// restate takes the statement of a group in a segment that is not the oldest one. It
// says nothing new, unless something was lost before: in this log, or in one whose
// segments are going since it was salvaged.
func (r *replay) restate(statement codec.Record, at place) error {
	if err := r.add(statement, at); err != nil {
		return err
	}
	g, last := r.groups[statement.Group], statement.Write.Append.Prev
	held, _ := g.has(last)
	switch {
	case last.Index > g.base.ID.Index && g.hurt == nil:
	case held:
		g.cut(last)
	default:
		g.skip(last)
	}
	if g.hurt != nil {
		g.hurt.ended = true
	}
	return nil
}

// injured returns what is left of a group of which writes may be missing. The commit
// index is that of the same time as the entries: a later one may speak of others that
// took their places.
func (g *replayed) injured() *raft.Saved {
	s := g.hurt.before
	commit := s.State.Commit
	if g.base.ID.Index > s.Base.ID.Index {
		// It has no entries to add, so that nothing can fail to connect.
		_ = s.Add(raft.Write{Base: &g.base})
	}
	s.State = g.state
	s.State.Commit, s.State.Injured = commit, true
	s.State.Term = max(s.State.Term, raft.Span{Prev: s.Base.ID, Entries: s.Entries}.Last().Term)
	return &s
}
