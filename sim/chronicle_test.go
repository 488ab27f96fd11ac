package sim

import (
	"strings"
	"testing"
)

// What a watcher is told is held against what has happened.
func TestWhatWatchersAreTold(t *testing.T) {
	a1, b2, a3, gone4 := Change{"ka", "x", false, 1}, Change{"kb", "y", false, 2}, Change{"ka", "z", false, 3}, Change{"ka", "", true, 4}
	j := &judge{}
	for _, c := range []Change{a1, b2, a3, gone4} {
		j.chronicle.add([]Change{c}, 0)
	}
	j.chronicle.add([]Change{b2}, 0) // a command that is repeated says the same again
	j.chronicle.add(nil, 3)
	n := &node{id: 7}
	all := func(next uint64) wish { return wish{"k", true, next} }
	only := func(next uint64) wish { return wish{"ka", false, next} }
	for _, c := range []struct {
		name string
		wish wish
		told Told
		says string // empty: it is right
	}{
		{"everything", all(1), Told{Changes: []Change{a1, b2, a3, gone4}, Revision: 4}, ""},
		{"a part", all(2), Told{Changes: []Change{b2}, Revision: 2}, ""},
		{"one key", only(1), Told{Changes: []Change{a1, a3}, Revision: 3}, ""},
		{"nothing new", only(2), Told{Revision: 2}, ""},
		{"a revision that nobody has reached", all(5), Told{Revision: 5}, "nobody has applied more than 4"},
		{"a gap", all(1), Told{Changes: []Change{a1, a3}, Revision: 3}, "does not tell of kb=y at 2"},
		{"the last is lost", all(1), Told{Changes: []Change{a1}, Revision: 2}, "does not tell of kb=y at 2"},
		{"something again", all(2), Told{Changes: []Change{a1, b2}, Revision: 2}, "tells of ka=x at 1"},
		{"twice", all(4), Told{Changes: []Change{gone4, gone4}, Revision: 4}, "over, or has never been"},
		{"another order", all(1), Told{Changes: []Change{b2, a1}, Revision: 2}, "does not tell of ka=x at 1"},
		{"another value", all(2), Told{Changes: []Change{{"kb", "?", false, 2}}, Revision: 2}, "tells of kb=? at 2"},
		{"a delete for a put", all(3), Told{Changes: []Change{{"ka", "", true, 3}}, Revision: 3}, "tells of no ka at 3"},
		{"another key", only(2), Told{Changes: []Change{b2}, Revision: 2}, "tells of kb=y at 2"},
		{"back", all(4), Told{Revision: 2}, "it goes back"},
		{"what was forgotten", all(2), Told{Compacted: 3}, ""},
		{"what was not forgotten", all(2), Told{Compacted: 4}, "compacted is what was before 3"},
		{"forgotten, and not wanted", all(3), Told{Compacted: 3}, "compacted is what was before 3"},
	} {
		err := j.heard(n, &c.wish, &c.told)
		if got := Kind(err); (got == "I15") != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// A watcher lacks what it wants and was not told.
func TestWhatWatchersLack(t *testing.T) {
	c := &chronicle{}
	c.add([]Change{{"ka", "x", false, 2}, {"kb", "y", false, 2}}, 0)
	c.add([]Change{{"ka", "z", false, 3}}, 0)
	for _, want := range []struct {
		wish
		lacks uint64
	}{
		{wish{"k", true, 1}, 2}, {wish{"k", true, 3}, 3}, {wish{"k", true, 4}, 0}, {wish{"kb", false, 1}, 2},
		{wish{"kb", false, 3}, 0}, {wish{"kc", false, 1}, 0}, {wish{"k", true, 9}, 0}, {wish{"k", true, 0}, 0},
	} {
		if got, lacks := c.lacks(&want.wish); got.Revision != want.lacks || lacks != (want.lacks > 0) {
			t.Errorf("%+v lacks %v (%v), want that of %d", want.wish, got, lacks, want.lacks)
		}
	}
}
