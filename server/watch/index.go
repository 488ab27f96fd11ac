package watch

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quorate-db/quorate/server/kv"
)

// index finds the watchers of a key. Those of one key are found at once; of the
// ranges, each one that is watched is looked at if it begins at or before the key,
// however many watch it.
type index struct {
	keys   map[string][]*watcher
	ranges []*watched // in order
}

// watched is a range and who watches it.
type watched struct {
	start, end []byte
	by         []*watcher
}

func newIndex() index { return index{keys: make(map[string][]*watcher)} }

func (r *watched) compare(w *watcher) int {
	return cmp.Or(bytes.Compare(r.start, w.Key), bytes.Compare(r.end, w.End))
}

func (r *watched) holds(key []byte) bool {
	return bytes.Equal(r.end, kv.NoEnd) || bytes.Compare(key, r.end) < 0
}

func (x *index) add(w *watcher) {
	if len(w.End) == 0 {
		x.keys[string(w.Key)] = append(x.keys[string(w.Key)], w)
		return
	}
	i, found := slices.BinarySearchFunc(x.ranges, w, (*watched).compare)
	if !found {
		x.ranges = slices.Insert(x.ranges, i, &watched{start: w.Key, end: w.End})
	}
	x.ranges[i].by = append(x.ranges[i].by, w)
}

func (x *index) remove(w *watcher) {
	if len(w.End) == 0 {
		left := without(x.keys[string(w.Key)], w)
		x.keys[string(w.Key)] = left
		if len(left) == 0 {
			delete(x.keys, string(w.Key))
		}
		return
	}
	i, found := slices.BinarySearchFunc(x.ranges, w, (*watched).compare)
	if !found {
		return
	}
	x.ranges[i].by = without(x.ranges[i].by, w)
	if len(x.ranges[i].by) == 0 {
		x.ranges = slices.Delete(x.ranges, i, i+1)
	}
}

// without is all but one, in the same order.
func without(all []*watcher, one *watcher) []*watcher {
	if i := slices.Index(all, one); i >= 0 {
		return slices.Delete(all, i, i+1)
	}
	return all
}

func (x *index) match(key []byte, visit func(*watcher)) {
	for _, w := range x.keys[string(key)] {
		visit(w)
	}
	for _, r := range x.ranges {
		if bytes.Compare(r.start, key) > 0 {
			return
		}
		if r.holds(key) {
			for _, w := range r.by {
				visit(w)
			}
		}
	}
}
