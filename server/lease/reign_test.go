package lease

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

// A reign finds the leases that have run out, and no others, whatever was granted,
// renewed, granted anew and forgotten before.
func TestReignAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, model := newReign(1), map[kv.LeaseID]*held{}
		var now time.Duration
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := kv.LeaseID(rapid.IntRange(1, 5).Draw(t, "lease"))
			h, known := r.leases[id]
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				ttl := rapid.Int64Range(1, 9).Draw(t, "ttl")
				g := kv.Grant{ID: id, TTL: ttl, Index: raft.Index(i + 1), Left: ttl}
				r.takeAll([]kv.Grant{g}, now)
				model[id] = &held{Grant: g, deadline: now + time.Duration(g.TTL)*time.Second}
			case 1:
				if known && !h.over() {
					r.renew(h, now)
					model[id].deadline = h.deadline
				}
			case 2:
				if known {
					r.drop(h)
					delete(model, id)
				}
			case 3:
				var living []kv.Grant
				if known {
					living = append(living, h.Grant)
				}
				r.keep(living)
				for other := range model {
					if other != id {
						delete(model, other)
					}
				}
			}
			now += time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second
			out := map[kv.LeaseID]bool{}
			for _, h := range r.ranOut(now) {
				out[h.ID] = true
			}
			want := map[kv.LeaseID]bool{}
			for id, m := range model {
				if m.deadline <= now {
					want[id] = true
				}
			}
			if fmt.Sprint(out) != fmt.Sprint(want) || len(r.leases) != len(model) {
				t.Fatalf("step %d: out %v of %d leases, want %v of %d", i, out, len(r.leases), want, len(model))
			}
		}
	})
}

// alone is a group of one that commits at once, and can be told to refuse.
type alone struct {
	machine *kv.Machine
	mu      sync.Mutex
	index   raft.Index
	refuse  error
	lose    bool // the next command, which comes late
	late    []byte
}

func (a *alone) Leader() (quorate.NodeID, raft.Term) { return 1, 1 }

func (a *alone) Read(context.Context) (raft.Index, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.index, nil
}

func (a *alone) ProposeIn(_ context.Context, _ raft.Term, command []byte) (any, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		return nil, a.refuse
	}
	if a.lose {
		a.lose, a.late = false, command
		return nil, quorate.ErrUnknownOutcome
	}
	a.index++
	batch := []quorate.Command{{Index: a.index, Data: command}}
	err := a.machine.Apply(batch)
	return batch[0].Result, err
}

func (a *alone) do(t *testing.T, action kv.Action) {
	t.Helper()
	if _, err := a.ProposeIn(t.Context(), 1, kv.Command{Do: action}.Encode()); err != nil {
		t.Fatal(err)
	}
}

func reigning(t *testing.T) (*Lessor, *alone) {
	t.Helper()
	machine, err := kv.New(store.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Machine: machine, Env: env.Real(), Logger: slog.New(slog.DiscardHandler)})
	group := &alone{machine: machine}
	l.group, l.node, l.ticked = group, 1, l.Env.Now()
	l.round(t.Context())
	return l, group
}

// Leases that their clients revoke long before their time do not fill the memory.
func TestRevokedLeasesAreForgotten(t *testing.T) {
	l, group := reigning(t)
	for i := range 5 * mostRevoked {
		id := kv.LeaseID(i + 1)
		group.do(t, kv.GrantLease{ID: id, TTL: kv.MaxLeaseTTL})
		if i%100 == 0 {
			l.round(t.Context())
		}
		if i >= 10 {
			group.do(t, kv.RevokeLease{ID: id})
		}
	}
	l.round(t.Context())
	if n := len(l.reign.leases); n > mostRevoked+100 || n < 10 {
		t.Errorf("%d leases are remembered, 10 are left", n)
	}
}

// Once a lease has run out it stays so, though its revocation may have come to
// nothing: it may also still be on its way.
func TestWhatHasRunOutIsNotRenewed(t *testing.T) {
	l, group := reigning(t)
	group.do(t, kv.GrantLease{ID: 7, TTL: 1})
	l.round(t.Context())
	group.refuse = quorate.ErrUnknownOutcome
	l.now += 2 * time.Second
	l.round(t.Context())
	question := []byte{askRenew, 0, 0, 0, 0, 0, 0, 0, 7}
	if answer, err := l.Answer(t.Context(), question); err != nil || fmt.Sprint(answer) != "[1]" {
		t.Errorf("%v, %v; want -1", answer, err)
	}
	group.refuse = nil
	l.round(t.Context())
	if g, err := group.machine.Lease(7); g != nil || err != nil {
		t.Errorf("%v, %v", g, err)
	}
	if len(l.reign.leases) != 0 {
		t.Error("it is remembered")
	}
}

// left is what the store says of a lease.
func (a *alone) left(t *testing.T, id kv.LeaseID) int64 {
	t.Helper()
	g, err := a.machine.Lease(id)
	if err != nil {
		t.Fatal(err)
	}
	return g.Left
}

// A note whose outcome is not known does not undo a renewal when it comes late, and
// nobody is told of a renewal that the store does not know of.
func TestALateNoteUndoesNothing(t *testing.T) {
	l, group := reigning(t)
	group.do(t, kv.GrantLease{ID: 7, TTL: 100})
	l.round(t.Context())
	group.lose = true
	l.now += 60 * time.Second
	l.round(t.Context())
	if group.late == nil {
		t.Fatal("nothing was noted")
	}
	question := []byte{askRenew, 0, 0, 0, 0, 0, 0, 0, 7}
	group.refuse = quorate.ErrNoLeader
	if _, err := l.Answer(t.Context(), question); !errors.Is(err, quorate.ErrNoLeader) {
		t.Errorf("it is renewed, the store knows nothing: %v", err)
	}
	group.refuse = nil
	if _, err := l.Answer(t.Context(), question); err != nil {
		t.Error(err)
	}
	if _, err := group.ProposeIn(t.Context(), 1, group.late); err != nil {
		t.Fatal(err)
	}
	if left := group.left(t, 7); left != 100 {
		t.Errorf("%d s left", left)
	}
	l.now += 60 * time.Second
	l.round(t.Context())
	if left := group.left(t, 7); left != 40 {
		t.Errorf("%d s left after 60 of 100", left)
	}
}

// However many leases there are to note, one command is bounded, and all are noted in
// the end.
func TestNotesAreBounded(t *testing.T) {
	l, group := reigning(t)
	const leases = 3*mostNoted + 10
	for i := range leases {
		group.do(t, kv.GrantLease{ID: kv.LeaseID(i + 1), TTL: 1000})
	}
	l.round(t.Context())
	l.now += 510 * time.Second
	count := func() (n int) {
		for i := range leases {
			if group.left(t, kv.LeaseID(i+1)) < 1000 {
				n++
			}
		}
		return n
	}
	if l.round(t.Context()); count() != mostNoted {
		t.Errorf("%d noted at once", count())
	}
	for range 3 {
		l.now += 70 * time.Second // they are looked at again later
		l.round(t.Context())
	}
	if n := count(); n != leases {
		t.Errorf("%d of %d are noted", n, leases)
	}
	// All are renewed at once, by many.
	var all sync.WaitGroup
	for i := 0; i < leases; i += MostRenewed {
		question := []byte{askRenew}
		for id := i + 1; id <= min(i+MostRenewed, leases); id++ {
			question = binary.BigEndian.AppendUint64(question, uint64(id))
		}
		all.Go(func() {
			if _, err := l.Answer(t.Context(), question); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := count(); n != 0 {
		t.Errorf("the store does not know that %d were renewed", n)
	}
}

// A question that makes no sense, and one before there is a group.
func TestQuestionsWithoutAnAnswer(t *testing.T) {
	l, _ := reigning(t)
	for _, q := range []string{"", "\x01", "\x03\x00\x00\x00\x00\x00\x00\x00\x07", "\x01\x00\x00\x00\x00\x00\x00\x00\x07\x00", "\x01" + strings.Repeat("\x00", 8*(MostRenewed+1))} {
		if answer, err := l.Answer(t.Context(), []byte(q)); err == nil || errors.Is(err, raft.ErrNotLeader) {
			t.Errorf("%q: %v, %v", q, answer, err)
		}
	}
	if _, err := New(l.Options).Answer(t.Context(), make([]byte, 9)); err == nil {
		t.Error("a question of no kind is answered")
	}
	if _, err := New(l.Options).Answer(t.Context(), []byte{askRenew, 0, 0, 0, 0, 0, 0, 0, 7}); !errors.Is(err, raft.ErrNotLeader) {
		t.Errorf("before Run: %v", err)
	}
}
