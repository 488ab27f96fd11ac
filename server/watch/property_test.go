package watch

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/server/kv"
)

// witness is a watcher and what it was told.
type witness struct {
	Spec
	stream   *Stream
	told     []*Event
	informed int64 // what the last delivery said
	ended    bool
}

// due is what happened that the witness wants to hear of, up to a revision.
func (x *witness) due(truth []kv.Event, to int64) (all []kv.Event) {
	i := newIndex()
	i.add(&watcher{Spec: x.Spec})
	for _, e := range truth {
		i.match(e.Key, func(*watcher) {
			unwanted := e.Deleted() && x.NoDeletes || !e.Deleted() && x.NoPuts
			if e.Mod >= x.From && e.Mod <= to && !unwanted {
				all = append(all, e)
			}
		})
	}
	return all
}

// check says whether what the witness was told is what it should have been, all of
// it, up to where it was said to be informed.
func (x *witness) check(w *world) {
	w.Helper()
	due := x.due(w.truth, x.informed)
	if len(due) != len(x.told) {
		w.Fatalf("watcher %d from %d was told %d events up to %d, not %d", x.ID, x.From, len(x.told), x.informed, len(due))
	}
	for i := range due {
		got := x.told[i]
		if fmt.Sprint(got.Event) != fmt.Sprint(due[i]) {
			w.Fatalf("watcher %d was told %v, not %v", x.ID, got.Event, due[i])
		}
		if b := got.Before(); x.Spec.Before && due[i].Replaced > w.compacted && (b == nil || b.Mod != due[i].Replaced) {
			w.Fatalf("watcher %d was told that %v replaced %v", x.ID, due[i], b)
		}
	}
}

// crowd is the streams and watchers of a property test.
type crowd struct {
	*world
	streams []*Stream
	all     map[*Stream]map[int64]*witness
}

func (c *crowd) hear(s *Stream, d Delivery) {
	c.Helper()
	if d.ID == Everyone {
		for _, x := range c.all[s] {
			if !x.ended && d.Revision < x.informed {
				c.Fatalf("all are told of %d, but watcher %d had come to %d", d.Revision, x.ID, x.informed)
			} else if !x.ended {
				x.informed = d.Revision
				x.check(c.world)
			}
		}
		return
	}
	x := c.all[s][d.ID]
	switch {
	case x == nil || x.ended:
		c.Fatalf("%s, but the watcher has ended", say(d))
	case d.Compacted != 0:
		if d.Compacted > c.compacted || max(x.informed+1, x.From) >= d.Compacted {
			c.Fatalf("%s, but it had come to %d, and compacted is %d", say(d), x.informed, c.compacted)
		}
		x.ended = true
	case d.Revision < x.informed:
		c.Fatalf("%s, but it had come to %d", say(d), x.informed)
	default:
		x.told, x.informed = append(x.told, d.Events...), d.Revision
		x.check(c.world)
	}
}

func (c *crowd) step(t *rapid.T, s *Stream) {
	key := func() string { return rapid.SampledFrom([]string{"a", "ab", "b", "c"}).Draw(t, "key") }
	switch rapid.IntRange(0, 12).Draw(t, "step") {
	case 0:
		spec := Spec{Key: []byte(key()), Before: rapid.Bool().Draw(t, "before"),
			NoPuts: rapid.IntRange(0, 4).Draw(t, "no puts") == 0, NoDeletes: rapid.IntRange(0, 4).Draw(t, "no deletes") == 0,
			From: rapid.Int64Range(0, c.revision+3).Draw(t, "from"), Progress: rapid.Bool().Draw(t, "progress"),
			End: rapid.SampledFrom([][]byte{nil, kv.NoEnd, []byte("b"), []byte("d")}).Draw(t, "end")}
		id, revision, err := s.Watch(spec)
		if err != nil {
			return // b to b
		}
		if spec.From == 0 {
			spec.From = revision + 1
		}
		spec.ID = id
		c.all[s][id] = &witness{Spec: spec, stream: s, informed: spec.From - 1}
	case 1:
		id := rapid.Int64Range(0, 5).Draw(t, "cancelled")
		if s.Cancel(id) != (c.all[s][id] != nil) {
			c.Fatalf("cancelled %d, of %v", id, c.all[s])
		}
		delete(c.all[s], id)
	case 2:
		s.Tick()
	case 3:
		s.Ask()
	case 4:
		c.lead(kv.Compact{Revision: rapid.Int64Range(0, int64(len(c.log))).Draw(t, "compacted")})
	case 5:
		c.install()
	case 6, 7:
		c.send(rapid.IntRange(1, 20).Draw(t, "send"))
	case 8, 9, 10:
		var ops []kv.Op
		used := make(map[string]bool)
		for range rapid.IntRange(1, 4).Draw(t, "operations") {
			k := key()
			if used[k] {
				continue
			}
			used[k] = true
			if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				ops = append(ops, del(k))
			} else {
				ops = append(ops, put(k, fmt.Sprint(len(c.log))))
			}
		}
		c.lead(then(ops...))
	default:
		for range rapid.IntRange(1, 5).Draw(t, "takes") {
			d, ok, err := s.Next()
			if err != nil {
				c.Fatalf("Next: %v", err)
			}
			if ok {
				c.hear(s, d)
			}
		}
	}
}

// Whatever is written, deleted, compacted and installed, and however slowly its
// client takes it: a watcher is told every event from its start on once, in order.
func TestW04EveryEventOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{
			QueueBytes:  rapid.SampledFrom([]int{0, 1000, 1 << 20}).Draw(t, "queue"),
			StreamBytes: rapid.SampledFrom([]int{1, 300, 1000, 1 << 20}).Draw(t, "stream"),
			PassBytes:   rapid.SampledFrom([]int{1, 500, 1 << 20}).Draw(t, "pass bytes"),
			PassChanges: rapid.SampledFrom([]int{1, 5, 1000}).Draw(t, "pass changes"),
			Near:        rapid.SampledFrom([]int64{0, 3, 1000}).Draw(t, "near"),
		}
		c := &crowd{world: newWorld(t, l), all: make(map[*Stream]map[int64]*witness)}
		defer c.hub.Close()
		for range rapid.IntRange(1, 3).Draw(t, "streams") {
			s := c.hub.Stream()
			c.streams, c.all[s] = append(c.streams, s), make(map[int64]*witness)
			defer s.Close()
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			c.step(t, rapid.SampledFrom(c.streams).Draw(t, "stream"))
		}
		// Beyond what the watchers of the future wait for; then all can be told that
		// they are up to date.
		for range 10 {
			c.lead(then(put("z", "last")))
		}
		last := c.do(then(put("z", "last")))
		for _, s := range c.streams {
			c.watch(s, Spec{ID: 99, Key: []byte("none")})
			c.all[s][99] = &witness{Spec: Spec{ID: 99, Key: []byte("none"), From: last + 1}, stream: s, informed: last}
			for s.Ask(); ; {
				d := c.next(s)
				c.hear(s, d)
				if d.ID == Everyone && d.Revision == last {
					break
				}
				if d.ID == Everyone {
					s.Ask()
				}
			}
		}
	})
}
