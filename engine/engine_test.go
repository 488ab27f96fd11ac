package engine_test

import (
	"testing"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// lone returns a group of one voter that has just been elected, after its first
// write was reported as durable.
func lone(t *testing.T, e *engine.Engine, id raft.GroupID) {
	t.Helper()
	saved, err := raft.Bootstrap(membership.New(membership.Member{ID: 1, Role: membership.Voter}))
	if err != nil {
		t.Fatal(err)
	}
	core, err := raft.New(raft.Config{ID: 1}, saved)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Add(id, core, raft.BootstrapID.Index); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, e *engine.Engine, id raft.GroupID, input func(*raft.Raft)) {
	t.Helper()
	if err := e.Do(id, func(core *raft.Raft) error { input(core); return nil }); err != nil {
		t.Fatal(err)
	}
}

// settle drains and reports writes until nothing is left to write, and returns
// how many entries were handed out for each group.
func settle(t *testing.T, e *engine.Engine) map[raft.GroupID]int {
	t.Helper()
	applied := map[raft.GroupID]int{}
	var b engine.Batch
	for {
		e.Drain(&b)
		for _, a := range b.Apply {
			applied[a.Group] += len(a.Entries)
		}
		if len(b.Written) == 0 {
			return applied
		}
		for _, w := range b.Written {
			do(t, e, w.Group, func(core *raft.Raft) { core.Persisted(w.ID) })
		}
	}
}

func TestOneBatchHoldsTheWritesOfAllGroups(t *testing.T) {
	var e engine.Engine
	for id := raft.GroupID(1); id <= 3; id++ {
		lone(t, &e, id)
		do(t, &e, id, (*raft.Raft).Campaign)
	}
	var b engine.Batch
	e.Drain(&b)
	if len(b.Writes) != 3 || len(b.Written) != 3 {
		t.Fatalf("%d writes of 3 groups in one batch", len(b.Writes))
	}
	for _, w := range b.Written {
		do(t, &e, w.Group, func(core *raft.Raft) { core.Persisted(w.ID) })
	}
	if got := settle(t, &e); got[1] != 1 || got[2] != 1 || got[3] != 1 {
		t.Fatalf("entries handed out: %v, want the blank one of each group", got)
	}
	if e.Drain(&b); len(b.Writes)+len(b.Apply)+len(b.Send) != 0 {
		t.Fatalf("a batch without inputs has effects: %+v", b)
	}
}

func TestEntriesAreHandedOutOnce(t *testing.T) {
	var e engine.Engine
	lone(t, &e, 1)
	do(t, &e, 1, (*raft.Raft).Campaign)
	settle(t, &e)
	for range 5 {
		do(t, &e, 1, func(core *raft.Raft) {
			if _, err := core.Propose([]byte("x")); err != nil {
				t.Fatal(err)
			}
		})
	}
	if got := settle(t, &e); got[1] != 5 {
		t.Fatalf("%d entries handed out, want 5", got[1])
	}
	if got := settle(t, &e); got[1] != 0 {
		t.Fatalf("%d entries handed out again", got[1])
	}
}

func TestABrokenInvariantShutsOffItsGroupAlone(t *testing.T) {
	var e engine.Engine
	lone(t, &e, 1)
	lone(t, &e, 2)
	settle(t, &e)
	// A report of a write that nobody asked for breaks V12.
	if err := e.Do(1, func(core *raft.Raft) error { core.Persisted(99); return nil }); err == nil {
		t.Fatal("no error from a broken invariant")
	}
	var b engine.Batch
	e.Drain(&b)
	if len(b.Fenced) != 1 || b.Fenced[0].Group != 1 {
		t.Fatalf("fenced: %v, want group 1", b.Fenced)
	}
	if err := e.Do(1, func(*raft.Raft) error { return nil }); err == nil {
		t.Fatal("a group that is shut off takes inputs")
	}
	do(t, &e, 2, (*raft.Raft).Campaign)
	if got := settle(t, &e); got[2] != 1 {
		t.Fatalf("group 2 handed out %d entries, want 1", got[2])
	}
}

func TestAMessageForAnUnknownGroupIsAnError(t *testing.T) {
	var e engine.Engine
	if err := e.Step(&codec.Envelope{Group: 7}); err == nil {
		t.Fatal("accepted")
	}
}
