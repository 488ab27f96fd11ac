package wal

import (
	"slices"
	"sort"

	"github.com/quorate-db/quorate/raft"
)

// group is what the log holds of one group, and where.
type group struct {
	id     raft.GroupID
	state  raft.HardState
	base   raft.Snapshot
	pieces []piece // its entries behind the base, without gaps
}

// piece is consecutive entries of one term that stand in one segment; or of any terms
// and unseen: segments that are gone had them, and what is read has not said them again.
type piece struct {
	last    raft.EntryID // the first one follows the piece before, or the base
	segment *segment     // nil: unseen
	frames  []int64      // where the frames with them begin, rising; in some they may be compacted
	bytes   int64        // that they take there, about
	entries []raft.Entry // only while the log is read
}

// place is where a record stands, in the frame at that offset of the segment.
type place struct {
	segment *segment
	at      int64
	bytes   int64 // of the record
	keep    bool  // its entries are wanted, and may be kept
}

// last is where the log of the group ends.
func (g *group) last() raft.EntryID {
	if n := len(g.pieces); n > 0 {
		return g.pieces[n-1].last
	}
	return g.base.ID
}

// before is the entry that a piece follows.
func (g *group) before(i int) raft.EntryID {
	if i > 0 {
		return g.pieces[i-1].last
	}
	return g.base.ID
}

// find returns the piece with the entry of that index, which is behind the base.
func (g *group) find(index raft.Index) int {
	return sort.Search(len(g.pieces), func(i int) bool { return g.pieces[i].last.Index >= index })
}

// has reports whether the log has this very entry, its base included, or, if nobody has
// seen what stands there, whether it may have. Of the last of unseen entries the name is known.
func (g *group) has(id raft.EntryID) (held, unseen bool) {
	switch base := g.base.ID; {
	case id.Index < base.Index || id.Index > g.last().Index:
		return false, false
	case id.Index == base.Index:
		return id == base, false
	}
	p := &g.pieces[g.find(id.Index)]
	if p.segment == nil && id.Index < p.last.Index {
		return false, true
	}
	return p.last.Term == id.Term, false
}

// rebase takes a new base, a compaction or a snapshot. IS4: a log that does not hold its
// entry is replaced. What is replaced behind the base keeps its segment until the one after
// the current one begins, which says where the log ends: to a reader for whom the entry at
// the base's index is gone, the base alone does not.
func (g *group) rebase(base raft.Snapshot, current uint64) {
	if held, unseen := g.has(base.ID); held || unseen {
		g.remove(0, g.split(base.ID))
	} else {
		for i := g.find(base.ID.Index + 1); i < len(g.pieces); i++ {
			if s := g.pieces[i].segment; s != nil {
				s.until = current + 1
			}
		}
		g.remove(0, len(g.pieces))
	}
	g.base = base
}

// append takes what was written in place of everything behind span.Prev, which the log has.
func (g *group) append(span raft.Span, at place) {
	grown := span.Prev == g.last()
	g.cut(span.Prev)
	bytes, n := at.bytes, len(span.Entries)
	for len(span.Entries) > 0 {
		run := cutRun(&span)
		at.bytes = share(bytes, len(run.Entries), n)
		g.put(len(g.pieces), run, at, grown)
	}
}

// again takes what was written once more: the log has it, wherever it was.
func (g *group) again(span raft.Span, at place) {
	bytes, n := at.bytes, len(span.Entries)
	for len(span.Entries) > 0 {
		run := cutRun(&span)
		at.bytes = share(bytes, len(run.Entries), n)
		i := g.split(run.Prev)
		g.remove(i, g.split(run.Last()))
		g.put(i, run, at, true)
	}
}

// cutRun cuts the first entries off that have one term.
func cutRun(span *raft.Span) raft.Span {
	all, n := span.Entries, 1
	for n < len(all) && all[n].Term == all[0].Term {
		n++
	}
	run := raft.Span{Prev: span.Prev, Entries: all[:n:n]}
	*span = raft.Span{Prev: run.Last(), Entries: all[n:]}
	return run
}

// cut takes away all that follows an entry of the log, or its base.
func (g *group) cut(to raft.EntryID) { g.remove(g.split(to), len(g.pieces)) }

// skip lets the log end with an entry, of which and of all before nobody has seen more.
func (g *group) skip(last raft.EntryID) {
	g.remove(0, len(g.pieces))
	if last.Index > g.base.ID.Index {
		g.pieces = append(g.pieces, piece{last: last})
	}
}

// share is the part of bytes that n of all entries take, if they are of one size.
func share[N int | raft.Index](bytes int64, n, all N) int64 {
	return int64(float64(bytes) * float64(n) / float64(all))
}

// put inserts a piece, or adds it to the one before, if it may: not behind what was cut,
// since what a frame has of a piece is known by the index alone.
func (g *group) put(i int, run raft.Span, at place, join bool) {
	p := piece{last: run.Last(), segment: at.segment, bytes: at.bytes}
	if at.keep {
		p.entries = run.Entries
	}
	if join && i > 0 && g.pieces[i-1].extend(&p, at.at) {
		return
	}
	p.frames = []int64{at.at}
	g.enter(&p)
	g.pieces = slices.Insert(g.pieces, i, p)
}

// extend adds what follows the piece, and stands in the frame at that offset, if it is of
// the same term and segment.
func (p *piece) extend(by *piece, at int64) bool {
	if p.segment != by.segment || p.last.Term != by.last.Term {
		return false
	}
	p.last = by.last
	p.bytes += by.bytes
	p.segment.live += by.bytes
	if p.frames[len(p.frames)-1] != at {
		p.frames = append(p.frames, at)
	}
	p.entries = append(p.entries, by.entries...)
	return true
}

// split sees to it that no piece has both an entry of the log and the one behind it, and
// returns the piece behind.
func (g *group) split(at raft.EntryID) int {
	if at.Index <= g.base.ID.Index {
		return 0
	}
	i := g.find(at.Index)
	if i == len(g.pieces) || g.pieces[i].last.Index == at.Index {
		return min(i+1, len(g.pieces))
	}
	whole := g.pieces[i]
	front, back := whole, whole
	from := g.before(i).Index
	n := at.Index - from
	front.last = at
	front.frames = slices.Clip(whole.frames)
	front.bytes = share(whole.bytes, n, whole.last.Index-from)
	back.bytes -= front.bytes
	if whole.entries != nil {
		front.entries, back.entries = whole.entries[:n:n], whole.entries[n:]
	}
	g.leave(&whole)
	g.enter(&front)
	g.enter(&back)
	g.pieces[i] = back
	g.pieces = slices.Insert(g.pieces, i, front)
	return i + 1
}

// remove forgets pieces i to j, without j.
func (g *group) remove(i, j int) {
	for k := i; k < j; k++ {
		g.leave(&g.pieces[k])
	}
	g.pieces = slices.Delete(g.pieces, i, j)
}

// enter and leave let the segment of a piece know that it is needed for it, or no longer.
func (g *group) enter(p *piece) {
	if p.segment != nil {
		p.segment.live += p.bytes
		p.segment.pieces[g.id]++
	}
}

func (g *group) leave(p *piece) {
	if p.segment == nil {
		return
	}
	p.segment.live -= p.bytes
	if p.segment.pieces[g.id]--; p.segment.pieces[g.id] == 0 {
		delete(p.segment.pieces, g.id)
	}
}
