package raft

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft/membership"
)

// naiveLog is a log as one would first write it down: all entries from 1 on, none
// ever dropped, and where the compacted part ends.
type naiveLog struct {
	all  []Entry // all[i] has the index i+1
	base Index
}

func (n *naiveLog) last() EntryID { return n.all[len(n.all)-1].EntryID }

func (n *naiveLog) at(i Index) (EntryID, bool) {
	if i < n.base || i < 1 || i > Index(len(n.all)) {
		return EntryID{}, false
	}
	return n.all[i-1].EntryID, true
}

// config is the last configuration at or before i.
func (n *naiveLog) config(i Index) configAt {
	for ; n.all[i-1].Kind != Membership; i-- {
	}
	return configAt{index: i, config: n.all[i-1].Config}
}

func (n *naiveLog) lastNotAfter(id EntryID) EntryID {
	for i := min(id.Index, Index(len(n.all))); i > n.base; i-- {
		if n.all[i-1].Term <= id.Term {
			return n.all[i-1].EntryID
		}
	}
	return n.all[n.base-1].EntryID
}

// drawEntries returns entries that may follow prev.
func drawEntries(t *rapid.T, prev EntryID, least int) []Entry {
	var entries []Entry
	for range rapid.IntRange(least, 5).Draw(t, "entries") {
		prev = EntryID{prev.Term + Term(rapid.IntRange(0, 2).Draw(t, "later")), prev.Index + 1}
		e := Entry{EntryID: prev, Kind: Command, Data: make([]byte, rapid.IntRange(0, 100).Draw(t, "bytes"))}
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			c := membership.New(membership.Member{ID: NodeID(prev.Index), Role: membership.Voter})
			e = Entry{EntryID: prev, Kind: Membership, Config: &c}
		}
		entries = append(entries, e)
	}
	return entries
}

// TestLogIsASequence compares the log with the naive one, whatever is appended,
// cut or compacted; and what was handed out never changes afterwards.
func TestLogIsASequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := membership.New(membership.Member{ID: 1, Role: membership.Voter})
		l := newLog(Snapshot{ID: EntryID{1, 1}, Config: first}, nil)
		n := naiveLog{all: []Entry{{EntryID: EntryID{1, 1}, Kind: Membership, Config: &first}}, base: 1}
		var out Span
		var kept []Entry
		t.Repeat(map[string]func(*rapid.T){
			"extend": func(t *rapid.T) {
				entries := drawEntries(t, l.last(), 0)
				l.extend(entries)
				n.all = append(n.all, entries...)
			},
			"replace": func(t *rapid.T) {
				from := Index(rapid.Uint64Range(uint64(n.base), uint64(len(n.all))).Draw(t, "after"))
				entries := drawEntries(t, n.all[from-1].EntryID, 1)
				l.replaceFrom(entries)
				n.all = append(n.all[:from:from], entries...)
			},
			"compact": func(t *rapid.T) {
				i := Index(rapid.Uint64Range(uint64(n.base), uint64(len(n.all))).Draw(t, "up to"))
				s, ok := l.snapshot(i)
				if !ok || s.ID != n.all[i-1].EntryID || !reflect.DeepEqual(s.Config, *n.config(i).config) {
					t.Fatalf("snapshot at %d: %v, %t", i, s, ok)
				}
				l.compact(s)
				n.base = i
			},
			"hand out": func(t *rapid.T) {
				prev := Index(rapid.Uint64Range(uint64(n.base), uint64(len(n.all))).Draw(t, "prev"))
				last := Index(rapid.Uint64Range(uint64(prev), uint64(len(n.all))).Draw(t, "last"))
				limit := rapid.Uint64Range(0, 500).Draw(t, "limit")
				out = l.span(prev, last, limit)
				kept = append([]Entry(nil), out.Entries...)
				checkSpan(t, out, n.all[prev-1:last], limit)
			},
			"": func(t *rapid.T) {
				checkLog(t, &l, &n)
				if len(kept) > 0 && !reflect.DeepEqual(kept, out.Entries) {
					t.Fatalf("entries that were handed out have changed: %v, were %v", out.Entries, kept)
				}
			},
		})
	})
}

// checkSpan wants the longest beginning of what was asked for that keeps the
// limit, and one entry at least. The first of want is the entry before.
func checkSpan(t *rapid.T, got Span, want []Entry, limit uint64) {
	n, bytes := 0, uint64(0)
	for i := range want[1:] {
		if bytes += want[1+i].Size(); bytes > limit && i > 0 {
			break
		}
		n++
	}
	if got.Prev != want[0].EntryID || len(got.Entries) != n || n > 0 && !reflect.DeepEqual(got.Entries, want[1:1+n]) {
		t.Fatalf("span %v, want %v after %v", got, want[1:1+n], want[0].EntryID)
	}
}

func checkLog(t *rapid.T, l *log, n *naiveLog) {
	if l.last() != n.last() {
		t.Fatalf("last %v, want %v", l.last(), n.last())
	}
	if got, want := l.config(), n.config(Index(len(n.all))); got.index != want.index || !reflect.DeepEqual(got.config, want.config) {
		t.Fatalf("configuration in force %v, want %v", got, want)
	}
	if got, want := l.size, SizeOf(n.all[n.base:]); got != want {
		t.Fatalf("%d bytes, want %d", got, want)
	}
	for i := Index(0); i <= Index(len(n.all))+2; i++ {
		got, ok := l.at(i)
		want, has := n.at(i)
		if got != want || ok != has {
			t.Fatalf("at %d: %v %t, want %v %t", i, got, ok, want, has)
		}
		if has && (!l.holds(want) || l.holds(EntryID{want.Term + 1, i})) {
			t.Fatalf("holds at %d is wrong", i)
		}
		for term := range n.last().Term + 2 {
			if got, want := l.lastNotAfter(EntryID{term, i}), n.lastNotAfter(EntryID{term, i}); got != want {
				t.Fatalf("last not after %d/%d: %v, want %v", term, i, got, want)
			}
		}
	}
}

// TestFreshIsWhatTheLogLacks: AE3, AE4: what the log holds is not written again, and
// what differs is, with all that follows it.
func TestFreshIsWhatTheLogLacks(t *testing.T) {
	entry := func(term Term, index Index) Entry { return Entry{EntryID: EntryID{term, index}, Kind: Blank} }
	l := newLog(Snapshot{ID: EntryID{1, 1}}, []Entry{entry(1, 2), entry(2, 3), entry(2, 4)})
	for name, c := range map[string]struct {
		span Span
		want []Entry
	}{
		"nothing":          {Span{Prev: EntryID{2, 4}}, nil},
		"a prefix":         {Span{Prev: EntryID{1, 1}, Entries: []Entry{entry(1, 2), entry(2, 3)}}, nil},
		"all":              {Span{Prev: EntryID{1, 2}, Entries: []Entry{entry(2, 3), entry(2, 4)}}, nil},
		"more":             {Span{Prev: EntryID{2, 3}, Entries: []Entry{entry(2, 4), entry(3, 5)}}, []Entry{entry(3, 5)}},
		"another":          {Span{Prev: EntryID{1, 2}, Entries: []Entry{entry(3, 3), entry(3, 4)}}, []Entry{entry(3, 3), entry(3, 4)}},
		"another in midst": {Span{Prev: EntryID{1, 2}, Entries: []Entry{entry(2, 3), entry(3, 4)}}, []Entry{entry(3, 4)}},
	} {
		if got := l.fresh(c.span); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What an earlier version wrote does not say where the configuration of a base stood.
func TestAConfigurationStandsWhereTheBaseSays(t *testing.T) {
	base := Snapshot{ID: EntryID{Term: 2, Index: 7}, Config: membership.New(membership.Member{ID: 1, Role: membership.Voter})}
	for said, want := range map[Index]Index{0: 7, 3: 3, 7: 7} {
		base.ConfigIndex = said
		if err := base.Check(); err != nil {
			t.Error(err)
		}
		l := newLog(base, nil)
		if got := l.config().index; got != want {
			t.Errorf("said to stand at %d, it stands at %d, want %d", said, got, want)
		}
	}
	base.ConfigIndex = 8
	if err := base.Check(); err == nil {
		t.Error("a configuration behind the snapshot is accepted")
	}
}
