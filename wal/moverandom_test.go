package wal

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// A frame had what was cut before anything else of its kind was written: all that is
// needed of the segment is moved, and what follows the cut knows its own frames still.
func TestAFrameOfWhatWasCutIsNoneOfWhatFollows(t *testing.T) {
	mem := vfs.NewMem()
	b := &busy{t: t, log: open(t, mem, ""), want: model{}}
	b.put(record(2, entries(id(0, 0), 1, 1, 10)))
	b.put(record(2, entries(id(1, 1), 1, 1, 10)))
	b.put(record(2, entries(id(1, 1), 2, 1, 10)))
	b.put(record(2, entries(id(2, 2), 2, 1, 10)))
	for b.log.segments[0].number == 1 {
		b.entry(50)
	}
	must(t, open(t, mem.Crash(vfs.Lost), b.want.picture()).Close())
}

// Some groups write now and then, replace the end of their logs, and compact little, while a
// busy one makes the log long: whatever they do, what is needed is found where it
// was written, and is the same to who opens the log.
func TestWhateverGroupsDoTheirEntriesMove(t *testing.T) {
	moved := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		mem, want, last := vfs.NewMem(), model{}, raft.Index(0)
		l := open(rt, mem, "")
		put := func(r codec.Record) {
			want.add(rt, r)
			must(rt, l.Append([]codec.Record{r}))
		}
		segment := int64(rapid.SampledFrom([]int{300, 1000, 3000}).Draw(rt, "segment"))
		l.opts.SegmentBytes = segment
		restart := func() {
			moved += l.Status().Moved
			before := layout(l)
			must(rt, l.Close())
			mem = mem.Crash(vfs.Lost)
			l = open(rt, mem, want.picture())
			l.opts.SegmentBytes = segment
			if after := layout(l); after != before {
				rt.Fatalf("entries were\n%s\nand are, to who opens the log,\n%s", before, after)
			}
		}
		for range rapid.IntRange(1, 250).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 3).Draw(rt, "busy") {
				put((&busy{last: last}).next(50))
				last++
			}
			if rapid.Bool().Draw(rt, "quiet") {
				put(quietly(rt, want))
			}
			if rapid.IntRange(0, 49).Draw(rt, "restart") == 0 {
				restart()
			}
		}
		restart()
		must(rt, l.Close())
	})
	if moved == 0 {
		t.Fatal("nothing was ever moved: the histories no longer show that")
	}
}

// quietly draws what a quiet group writes: entries behind the end of its log, or not far before it,
// and seldom a compaction or a snapshot.
func quietly(t *rapid.T, want model) codec.Record {
	g := raft.GroupID(rapid.IntRange(2, 4).Draw(t, "group"))
	saved := want[g]
	if saved == nil {
		saved = &raft.Saved{}
	}
	n := len(saved.Entries)
	kept := n - min(n, rapid.SampledFrom([]int{0, 0, 0, 1, 2, 5}).Draw(t, "replaced"))
	var w raft.Write
	prev, end := saved.Base.ID, saved.Base.ID
	if n > 0 {
		end = saved.Entries[n-1].EntryID
	}
	if kept > 0 {
		prev = saved.Entries[kept-1].EntryID
	}
	switch what := rapid.IntRange(0, 29).Draw(t, "base"); {
	case what < 3 && kept > 0:
		e := saved.Entries[rapid.IntRange(0, kept-1).Draw(t, "compacted")]
		w.Base = base(e.Term, e.Index).Base
	case what == 3: // a snapshot, from another leader
		w.Base = base(end.Term+1, saved.Base.ID.Index+raft.Index(rapid.IntRange(1, n+3).Draw(t, "installed"))).Base
		return record(g, w)
	}
	term := max(1, end.Term)
	if kept < n || rapid.IntRange(0, 4).Draw(t, "elected") == 0 {
		term++
	}
	w.Append = entries(prev, term, rapid.IntRange(1, 3).Draw(t, "entries"), rapid.IntRange(0, 60).Draw(t, "size")).Append
	return record(g, w)
}
