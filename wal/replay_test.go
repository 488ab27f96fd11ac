package wal

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// here is somewhere in a segment.
func here() place { return place{segment: newSegment(nil, &counting{}), at: segmentHeader, keep: true} }

// holed is a group of which entries 11 to 20 were in segments that are gone.
func holed(t *testing.T) *replay {
	t.Helper()
	r := &replay{groups: map[raft.GroupID]*replayed{}}
	w := base(1, 10)
	w.Append.Prev = id(1, 20)
	must(t, r.begin(record(1, w), here()))
	return r
}

func TestAHoleThatABaseCoversIsNone(t *testing.T) {
	for name, writes := range map[string][]raft.Write{
		"what follows is known":              {entries(id(1, 20), 1, 5, 0), base(1, 22)},
		"a base inside the hole comes first": {base(1, 15), entries(id(1, 20), 1, 5, 0), base(1, 20)},
		"its end is replaced":                {entries(id(1, 18), 2, 4, 0), base(2, 21)},
		"all of it is replaced":              {entries(id(1, 10), 2, 12, 0), base(2, 21)},
		"a snapshot replaces everything":     {entries(id(1, 20), 1, 5, 0), base(7, 22)},
		"a snapshot replaces its end":        {base(7, 20)},
	} {
		r := holed(t)
		want := model{}
		want.add(t, record(1, base(1, 10)), record(1, entries(id(1, 10), 1, 10, 0)))
		for _, w := range writes {
			must(t, r.add(record(1, w), here()))
			want.add(t, record(1, w))
		}
		saved, err := r.finish()
		must(t, err)
		if got := model(saved).picture(); got != want.picture() {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want.picture())
		}
	}
}

// said is a write, or entries that are said again.
type said struct {
	raft.Write
	again bool
}

// Entries may be said again in any order, while others are written and compacted; and those
// that were seen, too.
func TestAHoleIsFilledByWhatIsSaidAgain(t *testing.T) {
	again := func(prev raft.Index, n int) said { return said{entries(id(1, prev), 1, n, 3), true} }
	for name, writes := range map[string][]said{
		"at once":                {again(10, 10)},
		"from its end on":        {again(15, 5), again(10, 5)},
		"from its middle on":     {again(13, 3), again(16, 4), again(10, 3)},
		"twice":                  {again(10, 6), again(12, 8), again(10, 10)},
		"with what follows":      {{entries(id(1, 20), 1, 5, 3), false}, again(10, 15)},
		"behind a base":          {{base(1, 14), false}, again(14, 6)},
		"before a base":          {again(10, 3), again(17, 3), {base(1, 17), false}},
		"after its end changed":  {{entries(id(1, 14), 2, 3, 3), false}, again(10, 4)},
		"before its end does":    {again(12, 8), {entries(id(1, 14), 2, 3, 3), false}, again(10, 2)},
		"a part is replaced":     {again(10, 2), {entries(id(1, 11), 2, 3, 3), false}},
		"a snapshot replaces it": {again(10, 4), {base(7, 12), false}, {entries(id(7, 12), 7, 1, 3), false}},
	} {
		r, want := holed(t), model{}
		want.add(t, record(1, base(1, 10)), record(1, entries(id(1, 10), 1, 10, 3)))
		for _, w := range writes {
			must(t, r.add(codec.Record{Group: 1, Write: w.Write, Again: w.again}, here()))
			if !w.again {
				want.add(t, record(1, w.Write))
			}
		}
		saved, err := r.finish()
		must(t, err)
		if got := model(saved).picture(); got != want.picture() {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want.picture())
		}
	}
}

// What is said again must be in the log, entry by entry.
func TestWhatIsSaidAgainAndWasNeverThereIsRefused(t *testing.T) {
	for name, w := range map[string]raft.Write{
		"beyond the end":          entries(id(1, 24), 1, 2, 0),
		"before the base":         entries(id(1, 9), 1, 3, 0),
		"after another entry":     entries(id(2, 22), 2, 1, 0),
		"instead of what is seen": entries(id(1, 21), 2, 1, 0),
		"instead of the last one": entries(id(1, 19), 2, 1, 0),
		"with a gap": {Append: raft.Span{Prev: id(1, 11), Entries: []raft.Entry{
			{EntryID: id(1, 12), Kind: raft.Blank}, {EntryID: id(1, 14), Kind: raft.Blank}}}},
	} {
		r := holed(t)
		must(t, r.add(record(1, entries(id(1, 20), 1, 5, 0)), here()))
		if err := r.add(codec.Record{Group: 1, Write: w, Again: true}, here()); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
	r := holed(t)
	must(t, r.add(codec.Record{Group: 1, Write: entries(id(1, 10), 1, 9, 0), Again: true}, here()))
	if _, err := r.finish(); err == nil {
		t.Error("the last entry is missing, and nobody noticed")
	}
}

// Behind damage nobody knows whether what is said again belongs to what is left, before it is
// known where the log ends.
func TestWhatIsSaidAgainBehindDamageProvesNothing(t *testing.T) {
	r := &replay{groups: map[raft.GroupID]*replayed{}}
	must(t, r.add(record(1, state(1, 1)), here()))
	must(t, r.add(record(1, entries(id(0, 0), 1, 3, 0)), here()))
	r.lose()
	must(t, r.add(record(1, state(2, 1)), here()))
	must(t, r.add(codec.Record{Group: 1, Write: entries(id(2, 2), 2, 1, 0), Again: true}, here()))
	saved, err := r.finish()
	must(t, err)
	if got := saved[1]; !got.State.Injured || len(got.Entries) != 3 || got.Entries[2].Term != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAHoleThatNoBaseCoversIsRefused(t *testing.T) {
	for name, writes := range map[string][]raft.Write{
		"nothing comes":           nil,
		"a base inside the hole":  {base(1, 19)},
		"entries, but no base":    {entries(id(1, 20), 1, 5, 0)},
		"entries inside the hole": {entries(id(1, 15), 2, 9, 0)},
	} {
		r := holed(t)
		for _, w := range writes {
			must(t, r.add(record(1, w), here()))
		}
		if _, err := r.finish(); err == nil {
			t.Errorf("%s: the hole was not noticed", name)
		}
	}
}

func TestEntriesThatFollowNothingAreRefused(t *testing.T) {
	for name, record := range map[string]codec.Record{
		"behind the end":           record(1, entries(id(1, 21), 1, 1, 0)),
		"before the base":          record(1, entries(id(1, 9), 1, 1, 0)),
		"instead of the base":      record(1, entries(id(2, 10), 2, 1, 0)),
		"instead of the end":       record(1, entries(id(2, 20), 2, 1, 0)),
		"of a group without a log": record(2, entries(id(1, 1), 1, 1, 0)),
	} {
		if err := holed(t).add(record, here()); !errors.Is(err, errGap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
