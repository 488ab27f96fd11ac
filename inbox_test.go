package quorate

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/engine"
)

// A caller for whom there is no room costs nothing: no copy of its command, and no lock
// for which the loop could wait.
func TestARefusalCostsNothing(t *testing.T) {
	h := &Host{cfg: Config{MaxCommandBytes: 1 << 20}, inbox: newInbox(), pending: pending{limit: 1 << 30}}
	h.id = 7
	g := newGroup(h, GroupConfig{ID: 1})
	g.setLeader(engine.Leader{Group: 1, Node: h.id, Term: 1})
	command := make([]byte, 1<<20)
	why := map[string]func(){
		"the inbox is full":           func() { h.inbox.reserved.Store(maxInboxBytes) },
		"the group is":                func() { g.weigh(maxUncommittedBytes) },
		"the host is":                 func() { g.weigh(1); h.pending.bytes.Store(h.pending.limit); h.pending.limit = 1 << 20 },
		"the state machine is behind": func() { g.machine.waiting.Store(maxBehind + 1) },
		"another node leads": func() {
			g.machine.heavy.Store(1)
			h.pending.bytes.Store(1 << 30)
			h.pending.limit = 1
			g.leader.Node = 8
		},
	}
	for name, full := range why {
		t.Run(name, func(t *testing.T) {
			defer func(limit int64) {
				h.pending.limit, g.leader.Node = limit, h.id
				for _, n := range []interface{ Store(int64) }{&h.inbox.reserved, &g.uncommitted, &h.pending.bytes, &g.machine.waiting, &g.machine.heavy} {
					n.Store(0)
				}
			}(h.pending.limit)
			full()
			g.waiting.mu.Lock()
			defer g.waiting.mu.Unlock()
			if n := testing.AllocsPerRun(10, func() {
				if _, err := g.Propose(t.Context(), command); !errors.Is(err, ErrBusy) {
					t.Errorf("there is no room: %v", err)
				}
			}); n != 0 {
				t.Errorf("%v allocations for a refusal", n)
			}
		})
	}
}

// What was reserved is given back by whoever takes the command, or refuses it.
func TestTheInboxGivesBackWhatWasReserved(t *testing.T) {
	in, w := newInbox(), &work{}
	offer := func(size int) error {
		if !in.reserve(size) {
			return ErrBusy
		}
		return in.propose(proposal{data: make([]byte, size)})
	}
	if err := offer(maxInboxBytes); err != nil {
		t.Fatalf("one command, however large, has room where there is none: %v", err)
	}
	if err := offer(0); !errors.Is(err, ErrBusy) {
		t.Fatalf("one too many: %v", err)
	}
	in.take(w, false)
	if err := offer(0); !errors.Is(err, ErrBusy) {
		t.Fatalf("it has not been taken: %v", err)
	}
	if in.take(w, true); len(w.proposals) != 1 || in.reserved.Load() != 0 {
		t.Fatalf("%d commands were taken, and %d bytes are reserved still", len(w.proposals), in.reserved.Load())
	}
	if err := errors.Join(offer(100), offer(1000)); err != nil {
		t.Fatal(err)
	}
	in.close()
	if err := offer(1); !errors.Is(err, ErrClosed) {
		t.Fatalf("a closed inbox: %v", err)
	}
	if in.take(w, true); len(w.proposals) != 2 || in.reserved.Load() != 0 {
		t.Fatalf("%d commands were taken, and %d bytes are reserved still", len(w.proposals), in.reserved.Load())
	}
}

// One half of the limit is for who comes first, the other for all.
func TestEachGroupHasAShareOfTheHost(t *testing.T) {
	for _, c := range []struct {
		all, own, fresh, more int64
		groups                int
		takes                 bool
	}{
		{all: 0, own: 0, more: 5000, groups: 10, takes: true},     // it has nothing
		{all: 2000, own: 0, more: 5000, groups: 10, takes: true},  // still
		{all: 400, own: 400, more: 100, groups: 10, takes: true},  // the half that is common
		{all: 400, own: 400, more: 101, groups: 10, takes: false}, // is used up
		{all: 300, own: 400, fresh: 100, more: 101, groups: 10},   // also by what was taken just now
		{all: 1000, own: 1, more: 49, groups: 10, takes: true},    // a share
		{all: 1000, own: 1, more: 50, groups: 10, takes: false},   // and no more
		{all: 1000, own: 1, more: 50, groups: 0, takes: true},     // before any group is there
	} {
		p := pending{limit: 1000}
		p.bytes.Store(c.all)
		if got := p.takes(c.own, c.fresh, c.more, c.groups); got != c.takes {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
