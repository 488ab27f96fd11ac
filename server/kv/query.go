package kv

import (
	"bytes"
	"cmp"
	"slices"
)

// find carries a query out. The page's own revision is set also with an error. If show
// is not nil it is given the keys, each as long as it looks at it, and the page has none.
func (m meta) find(r Reader, q Query, show func(*KV)) (Page, error) {
	page := Page{Revision: m.revision}
	revision, err := m.readable(q.Revision)
	if err != nil {
		return page, err
	}
	w := window{reader: r, start: q.Start, end: q.End, revision: revision, latest: revision == m.revision}
	if q.CountOnly {
		page.Count, err = w.count()
		return page, err
	}
	g := gathering{Query: q, page: &page, most: q.mayGather()}
	if q.asFound() {
		g.show = show
	}
	w.values = !q.KeysOnly || q.By == Value
	if err := w.scan(g.visit); err != nil {
		return page, err
	}
	if q.Count {
		page.Count = g.seen
		if g.next != nil {
			rest := w
			rest.start, rest.values = g.next, false
			n, err := rest.count()
			if err != nil {
				return page, err
			}
			page.Count += n
		}
	}
	q.arrange(&page)
	if show != nil {
		for i := range page.KVs {
			show(&page.KVs[i])
		}
		page.KVs = nil
	}
	return page, nil
}

// asFound reports whether the first keys that are found, in their order, are the answer.
func (q Query) asFound() bool {
	return q.inOrder() && q.byKey() && (q.Limit == 0 || q.mayGather() > 0)
}

// inOrder reports whether the keys are wanted as they are stored.
func (q Query) inOrder() bool {
	return q.Order == Unordered || q.Order == Ascending && q.byKey()
}

func (q Query) byKey() bool { return q.By == 0 || q.By == Key }

// mayGather is how many keys may be gathered before they are sorted; zero is any
// number.
func (q Query) mayGather() int64 {
	switch {
	case q.Limit == 0 || !q.inOrder() || q.Create != (Between{}) || q.Mod != (Between{}):
		return 0
	case q.byKey():
		return q.Limit
	}
	// etcd sorts here what it has read to see that there is more, the key beyond
	// the limit included; its clients see which keys are left out.
	return q.Limit + 1
}

// arrange sorts what was gathered and leaves out what is beyond the limit.
func (q Query) arrange(page *Page) {
	if !q.byKey() || q.Order == Descending {
		slices.SortStableFunc(page.KVs, func(a, b KV) int {
			if q.Order == Descending {
				a, b = b, a
			}
			return q.compare(a, b)
		})
	}
	if q.Limit > 0 && int64(len(page.KVs)) > q.Limit {
		page.KVs, page.More = page.KVs[:q.Limit], true
	}
	if q.KeysOnly {
		for i := range page.KVs {
			page.KVs[i].Value = nil
		}
	}
}

func (q Query) compare(a, b KV) int {
	switch q.By {
	case CreateRevision:
		return cmp.Compare(a.Create, b.Create)
	case ModRevision:
		return cmp.Compare(a.Mod, b.Mod)
	case Version:
		return cmp.Compare(a.Version, b.Version)
	case Value:
		return bytes.Compare(a.Value, b.Value)
	}
	return bytes.Compare(a.Key, b.Key)
}

// gathering fills a page.
type gathering struct {
	Query
	page  *Page
	show  func(*KV) // nil: the page keeps them
	shown KV        // the last one
	most  int64     // keys; zero: any number
	seen  int64     // keys passed by, whether gathered or left out
	taken int64     // keys gathered
	size  int64     // bytes of keys and values gathered
	next  []byte
}

func (g *gathering) visit(key []byte, v version) bool {
	if g.most > 0 && g.taken == g.most || g.Bytes > 0 && g.size >= g.Bytes {
		g.page.More = true
		g.next = bytes.Clone(key)
		return false
	}
	g.seen++
	if g.Create.holds(v.create) && g.Mod.holds(v.mod) {
		g.size += int64(len(key) + len(v.value))
		g.taken++
		g.take(key, v)
	}
	return true
}

func (g *gathering) take(key []byte, v version) {
	if g.show == nil {
		g.page.KVs = append(g.page.KVs, v.of(key))
		return
	}
	if g.KeysOnly {
		v.value = nil
	}
	g.shown = KV{key, v.value, v.create, v.mod, v.version, v.lease}
	g.show(&g.shown)
}

// of is the version as a key of its own, in one piece of memory of its own.
func (v version) of(key []byte) KV {
	b := append(append(make([]byte, 0, len(key)+len(v.value)), key...), v.value...)
	out := KV{b[:len(key):len(key)], nil, v.create, v.mod, v.version, v.lease}
	if v.value != nil {
		out.Value = b[len(key):]
	}
	return out
}
