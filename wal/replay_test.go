package wal

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// holed is a group of which entries 11 to 20 were in segments that are gone.
func holed(t *testing.T) *replay {
	t.Helper()
	r := &replay{groups: map[raft.GroupID]*replayed{}}
	w := base(1, 10)
	w.Append.Prev = id(1, 20)
	must(t, r.begin(record(1, w)))
	return r
}

func TestAHoleThatABaseCoversIsNone(t *testing.T) {
	for name, writes := range map[string][]raft.Write{
		"what follows is known":              {entries(id(1, 20), 1, 5, 0), base(1, 22)},
		"a base inside the hole comes first": {base(1, 15), entries(id(1, 20), 1, 5, 0), base(1, 20)},
		"its end is replaced":                {entries(id(1, 18), 2, 4, 0), base(2, 21)},
		"all of it is replaced":              {entries(id(1, 10), 2, 12, 0), base(2, 21)},
		"a snapshot replaces everything":     {entries(id(1, 20), 1, 5, 0), base(7, 22)},
	} {
		r := holed(t)
		want := model{}
		want.add(t, record(1, base(1, 10)), record(1, entries(id(1, 10), 1, 10, 0)))
		for _, w := range writes {
			must(t, r.add(record(1, w)))
			want.add(t, record(1, w))
		}
		saved, err := r.finish()
		must(t, err)
		if got := model(saved).picture(); got != want.picture() {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want.picture())
		}
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
			must(t, r.add(record(1, w)))
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
		if err := holed(t).add(record); !errors.Is(err, errGap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
