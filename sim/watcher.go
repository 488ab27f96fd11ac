package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// watcher is a client that wants to be told what happens. It stays with a node for a
// while, or until the connection breaks, and then goes to another, which has to go on
// where it was.
type watcher struct {
	wish
	sim     *run
	number  int
	group   int
	rng     *rand.Rand
	visit   uint64        // counts the nodes that it has been to: what comes of an earlier one is late
	arrival time.Duration // of what was sent last: a connection keeps the order
}

func newWatcher(s *run, number, group int) *watcher {
	w := &watcher{sim: s, number: number, group: group, rng: rand.New(rand.NewPCG(s.cfg.Seed, 0x3a7c4e5+uint64(number)))}
	w.draw()
	return w
}

// draw draws what it wants to be told of: from now, the beginning, the future or the
// past on.
func (w *watcher) draw() {
	w.wish = wish{key: prefixOf(w.group), prefix: w.rng.IntN(2) == 0}
	if !w.prefix {
		w.key = key(w.group, w.rng.IntN(w.sim.cfg.Keys))
	}
	switch last := w.sim.judges[w.group].chronicle.revision; w.rng.IntN(4) {
	case 0:
		w.next = 1
	case 1:
		w.next = last + 1 + w.rng.Uint64N(8)
	case 2:
		w.next = 1 + w.rng.Uint64N(last+1)
	}
}

// longestVisit bounds how long a watcher stays with a node.
const longestVisit = 800 * time.Millisecond

func (w *watcher) way() time.Duration {
	return between(w.rng, 100*time.Microsecond, 2*time.Millisecond)
}

// begin goes to another node, after a while.
func (w *watcher) begin(after time.Duration) {
	w.visit++
	w.during(w.visit, after, w.call)
}

// during does something later if the watcher is still where it was.
func (w *watcher) during(visit uint64, after time.Duration, do func()) {
	w.sim.world.after(after, nil, func() {
		if visit == w.visit {
			do()
		}
	})
}

// call asks a node to be told, and leaves it after a while. Now and then it wants
// something else from now on, or has the store forget what others may still want.
func (w *watcher) call() {
	s, visit := w.sim, w.visit
	n := s.anyNode(w.rng)
	if !n.serving() {
		w.begin(between(w.rng, time.Millisecond, 50*time.Millisecond))
		return
	}
	if !s.calm && w.rng.IntN(8) == 0 {
		w.draw()
	}
	forget := !s.calm && w.rng.IntN(6) == 0
	wants, left := w.wish, make(chan struct{}, 1)
	s.world.after(w.way(), &n.process, func() {
		if !n.serving() {
			w.lost(visit)
			return
		}
		if forget {
			w.compact(n)
		}
		n.Go(func() { w.attend(n, visit, wants, left) })
	})
	w.during(visit, between(w.rng, time.Millisecond, longestVisit), func() {
		s.world.after(w.way(), &n.process, func() { signal(left) })
		w.begin(w.way())
	})
}

// compact asks a node to forget a part of what the watcher knows of.
func (w *watcher) compact(n *node) {
	r := n.replicas[w.group]
	command := r.store.(Watchable).Compact(1 + w.rng.Uint64N(w.next+1))
	n.do(w.sim.cfg.Timeout.D(), func(ctx context.Context) {
		_, _ = r.group.Propose(ctx, command) // whatever comes of it
	})
}

// attend is what the node does for the watcher: the door that it stands at.
func (w *watcher) attend(n *node, visit uint64, wants wish, left chan struct{}) {
	defer w.lost(visit)
	judge, r := w.sim.judges[w.group], n.replicas[w.group]
	stream, err := r.hub.Watch(wants.key, wants.prefix, wants.next)
	if err != nil {
		judge.fail(n, broken("I15", "node %d refuses to tell who watches from %d on: %v", n.id, wants.next, err))
		return
	}
	defer stream.Close()
	at := stream.Revision()
	judge.local(n, r, at)
	w.send(visit, func() { w.accepted(at) })
	stream.Ask()
	slow := w.rng.IntN(4) == 0
	for n.Wait(nil, stream.Wake(), left, stream.Closed()) == 1 {
		t, ok, err := stream.Next()
		if err != nil {
			judge.fail(n, broken("I15", "node %d cannot tell who watches from %d on: %v", n.id, wants.next, err))
			return
		}
		if ok {
			w.send(visit, func() { w.told(n, &t) })
		}
		if slow && n.rest(between(w.rng, 0, 100*time.Millisecond), left, stream.Closed()) != 0 {
			return
		}
	}
}

// rest passes time, unless something comes; it returns what, or 0.
func (n *node) rest(d time.Duration, a, b <-chan struct{}) int {
	t := n.NewTimer(d)
	defer t.Stop()
	return n.Wait(t, a, b, nil)
}

// send lets something reach the watcher, if it is still there by then.
func (w *watcher) send(visit uint64, do func()) {
	now := w.sim.world.now
	w.arrival = max(w.arrival, now+w.way())
	w.during(visit, w.arrival-now, do)
}

// lost is what happens when a connection breaks: the watcher goes elsewhere.
func (w *watcher) lost(visit uint64) {
	w.during(visit, w.way(), func() { w.begin(w.way()) })
}

// accepted is what a node says first: one who watches from now on does so from here.
func (w *watcher) accepted(at uint64) {
	if w.next == 0 {
		w.next = at + 1
	}
}

// told notes what a node tells.
func (w *watcher) told(n *node, t *Told) {
	s := w.sim
	s.world.mix(uint64(w.number), t.Revision, t.Compacted, uint64(len(t.Changes)))
	s.counts.Told += len(t.Changes)
	if s.transcript != nil {
		s.note(n, "tells watcher %d of %v, which is all of %q from %d to %d; compacted: %d", w.number, t.Changes, w.key, w.next, t.Revision, t.Compacted)
	}
	judge := s.judges[w.group]
	judge.fail(n, judge.heard(n, &w.wish, t))
	if t.Compacted == 0 {
		w.next = t.Revision + 1
		return
	}
	w.next = t.Compacted
	s.counts.Forgotten++
	w.begin(w.way())
}

// isWatched reports whether anybody watches a group.
func (s *run) isWatched(id raft.GroupID) bool {
	return slices.ContainsFunc(s.watchers, func(w *watcher) bool { return s.judges[w.group].group == id })
}
