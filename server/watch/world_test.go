package watch

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

// fataler is a testing.T or a rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a leader, which has seen everything, and a follower that has a hub.
type world struct {
	fataler
	leader, follower *kv.Machine
	hub              *Hub
	log              [][]byte
	sent             int        // commands of the log that the follower has
	truth            []kv.Event // what the leader did
	revision         int64      // the leader's
	compacted        int64
}

func newWorld(t fataler, l Limits) *world {
	t.Helper()
	w := &world{fataler: t}
	for _, m := range []**kv.Machine{&w.leader, &w.follower} {
		var err error
		if *m, err = kv.New(store.NewMemory()); err != nil {
			t.Fatalf("New: %v", err)
		}
	}
	w.leader.Follow(func(a kv.Advance) { w.truth = append(w.truth, a.Events...) })
	var err error
	if w.hub, err = New(w.follower, env.Real(), l); err != nil {
		t.Fatalf("New: %v", err)
	}
	return w
}

// begin is a world with the usual limits that ends with the test.
func begin(t *testing.T) *world {
	w := newWorld(t, Usual)
	t.Cleanup(w.hub.Close)
	return w
}

func (w *world) apply(m *kv.Machine, from, to int) {
	w.Helper()
	batch := make([]quorate.Command, 0, to-from)
	for i := from; i < to; i++ {
		batch = append(batch, quorate.Command{Index: raft.Index(i + 1), Data: w.log[i]})
	}
	if err := m.Apply(batch); err != nil {
		w.Fatalf("Apply: %v", err)
	}
}

// lead has the leader carry actions out, and returns its revision.
func (w *world) lead(actions ...kv.Action) int64 {
	w.Helper()
	for _, do := range actions {
		w.log = append(w.log, kv.Command{Do: do}.Encode())
	}
	w.apply(w.leader, len(w.log)-len(actions), len(w.log))
	state, err := w.leader.State()
	if err != nil {
		w.Fatalf("State: %v", err)
	}
	w.revision, w.compacted = state.Revision, state.Compacted
	return state.Revision
}

// send has the follower apply n more of the leader's commands, as one batch.
func (w *world) send(n int) {
	w.Helper()
	to := min(w.sent+n, len(w.log))
	w.apply(w.follower, w.sent, to)
	w.sent = to
}

// do has both carry actions out.
func (w *world) do(actions ...kv.Action) int64 {
	w.Helper()
	revision := w.lead(actions...)
	w.send(len(w.log))
	return revision
}

// install gives the follower the leader's snapshot.
func (w *world) install() {
	w.Helper()
	view, err := w.leader.Snapshot()
	if err != nil {
		w.Fatalf("Snapshot: %v", err)
	}
	defer view.Close()
	var b bytes.Buffer
	if _, err := view.WriteTo(&b); err != nil {
		w.Fatalf("WriteTo: %v", err)
	}
	if err := w.follower.Restore(&b); err != nil {
		w.Fatalf("Restore: %v", err)
	}
	w.sent = len(w.log)
}

// next waits for what is to be told next.
func (w *world) next(s *Stream) Delivery {
	w.Helper()
	limit := time.After(30 * time.Second)
	for {
		d, ok, err := s.Next()
		if err != nil {
			w.Fatalf("Next: %v", err)
		}
		if ok {
			return d
		}
		select {
		case <-s.Wake():
		case <-limit:
			w.Fatalf("nothing comes; the stream: %d ready, %d late, at %d", len(s.ready), len(s.late), s.hub.revision)
		}
	}
}

func (w *world) watch(s *Stream, spec Spec) int64 {
	w.Helper()
	id, _, err := s.Watch(spec)
	if err != nil {
		w.Fatalf("Watch: %v", err)
	}
	return id
}

// say is a delivery as text.
func say(d Delivery) string {
	out := fmt.Sprintf("%d at %d:", d.ID, d.Revision)
	if d.Compacted != 0 {
		out = fmt.Sprintf("%d compacted %d", d.ID, d.Compacted)
	}
	for _, e := range d.Events {
		out += " " + sayEvent(&e.Event)
		if b := e.Before(); d.Before && b != nil {
			out += "(" + string(b.Value) + ")"
		}
	}
	return out
}

func sayEvent(e *kv.Event) string {
	if e.Deleted() {
		return fmt.Sprintf("-%s@%d", e.Key, e.Mod)
	}
	return fmt.Sprintf("%s=%.10s@%d", e.Key, e.Value, e.Mod)
}

// expect takes as many deliveries; the order among watchers is not promised.
func (w *world) expect(s *Stream, want ...string) {
	w.Helper()
	var got []string
	for range want {
		got = append(got, say(w.next(s)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Fatalf("got %q, want %q", got, want)
	}
}

// quiet says that nothing is left to be told, by asking how far things have come.
func (w *world) quiet(s *Stream, revision int64) {
	w.Helper()
	s.Ask()
	w.expect(s, fmt.Sprintf("-1 at %d:", revision))
}

func put(key, value string) kv.Op { return kv.Put{Key: []byte(key), Value: []byte(value)} }
func del(key string) kv.Op        { return kv.Delete{Key: []byte(key)} }
func then(ops ...kv.Op) kv.Txn    { return kv.Txn{Then: ops} }

func prefix(key string) Spec {
	return Spec{Key: []byte(key), End: kv.PrefixEnd([]byte(key))}
}
