package flight_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

const (
	second = 1_000_000
	window = 10 * second
)

// lone is the core of a group of one, which leads.
func lone(t testing.TB) *raft.Raft { return loneWith(t, raft.Config{ID: 1}) }

func loneWith(t testing.TB, cfg raft.Config) *raft.Raft {
	saved, err := raft.Bootstrap(membership.New(membership.Member{ID: 1, Role: membership.Voter}))
	if err != nil {
		t.Fatal(err)
	}
	core, err := raft.New(cfg, saved)
	if err != nil {
		t.Fatal(err)
	}
	core.Campaign()
	core.Persisted(core.Take().WriteID)
	return core
}

// work gives a core a command of so many bytes, which becomes durable and is applied;
// without a recorder nobody watches.
func work(r *flight.Recorder, id raft.GroupID, core *raft.Raft, size int) {
	_, _ = core.Propose(make([]byte, size)) // it leads
	for range 2 {
		fx := core.Take()
		if r != nil {
			r.Tend(id, core)
		}
		core.Persisted(fx.WriteID)
		core.Applied(fx.Commit)
		_ = core.Compact(fx.Commit) // refused until that is applied
	}
}

type watcher struct{ begins, inputs int }

func (w *watcher) Begins(uint64, *raft.Raft)                           { w.begins++ }
func (w *watcher) Given(uint64, *raft.Raft, *raft.Input, []raft.Event) { w.inputs++ }

// replayed plays what is remembered of a group, from its file.
func replayed(t *testing.T, r *flight.Recorder, id raft.GroupID) (flight.Outcome, *watcher) {
	t.Helper()
	d, known := r.Dump(id, "")
	if !known {
		t.Fatalf("nothing is known of group %d", id)
	}
	read, err := flight.Read(d.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{}
	o, err := read.Play(w)
	if err != nil {
		t.Fatal(err)
	}
	return o, w
}

func TestAtLeastHalfOfTheWindowIsKept(t *testing.T) {
	r, core := flight.New(window, 1<<20), lone(t)
	now := uint64(100 * second)
	for range 400 {
		now += second / 10
		r.Clock(now)
		work(r, 3, core, 10)
		o, _ := replayed(t, r, 3)
		if kept := now - o.Begun; kept > window || now > 110*second && kept < window/4 {
			t.Fatalf("at %d the last %d µs are kept", now, kept)
		}
	}
	if _, w := replayed(t, r, 3); w.begins != 2 {
		t.Errorf("%d tapes", w.begins)
	}
}

func TestAGroupThatSleepsIsForgotten(t *testing.T) {
	r, core := flight.New(window, 1<<20), lone(t)
	r.Clock(second)
	work(r, 1, core, 10)
	if r.Bytes() == 0 || core.Tape() == nil {
		t.Fatal("nothing was recorded")
	}
	r.Clock(second + 2*window)
	if _, known := r.Dump(1, ""); known || r.Bytes() != 0 || core.Tape() != nil {
		t.Errorf("%d bytes are kept of a group that sleeps", r.Bytes())
	}
	work(r, 1, core, 10)
	if o, _ := replayed(t, r, 1); o.Begun != second+2*window {
		t.Errorf("it was recorded anew from %d on", o.Begun)
	}
}

// Thousands of groups may sleep: their tapes keep no room for inputs that do not come.
func TestATapeOfAGroupThatSleepsTakesWhatItNeeds(t *testing.T) {
	for commands := range 100 {
		r, core := flight.New(window, 1<<20), loneWith(t, raft.Config{ID: 1, SleepTicks: 3})
		for range commands + 1 {
			work(r, 1, core, 10)
		}
		for ticks := 0; ticks < 100 && !core.Asleep(); ticks++ {
			core.Tick()
			core.Persisted(core.Take().WriteID)
			r.Tend(1, core)
		}
		tape := core.Tape()
		if need := tape.Len() + len(tape.State()); !core.Asleep() || r.Bytes() != tape.Size() || r.Bytes() > need+need/6+64 {
			t.Fatalf("after %d commands %d bytes are kept for %d, asleep: %v", commands+1, r.Bytes(), need, core.Asleep())
		}
		replayed(t, r, 1)
	}
}

// Whatever happens, memory stays within its bound but for what one step takes; every
// dump plays; and a tape is of some use before it goes, so that not all the time is
// spent on states.
func TestMemoryIsSharedAndBounded(t *testing.T) {
	const limit = 64 << 10
	r, rng := flight.New(window, limit), rand.New(rand.NewPCG(1, 2))
	cores := make([]*raft.Raft, 200)
	for i := range cores {
		cores[i] = lone(t)
	}
	now, known := uint64(0), 0
	for step := range 60_000 {
		now += uint64(rng.IntN(2000))
		r.Clock(now)
		i := rng.IntN(1 + rng.IntN(len(cores))) // the first are busier
		work(r, raft.GroupID(i+1), cores[i], rng.IntN(100))
		if r.Bytes() > limit {
			t.Fatalf("step %d: %d bytes", step, r.Bytes())
		}
		if step%500 == 0 {
			if _, found := r.Dump(raft.GroupID(i+1), ""); found {
				known++
				replayed(t, r, raft.GroupID(i+1))
			}
		}
	}
	if known < 10 {
		t.Errorf("only %d of 120 groups could be dumped", known)
	}
	for i := range cores {
		r.Forget(raft.GroupID(i + 1))
	}
	if r.Bytes() != 0 {
		t.Errorf("%d bytes are left of nothing", r.Bytes())
	}
}

func TestABusyGroupForgetsItsOwnPast(t *testing.T) {
	r, quiet, busy := flight.New(window, 64<<10), lone(t), lone(t)
	r.Clock(second)
	work(r, 1, quiet, 10)
	for range 50_000 {
		work(r, 2, busy, 10)
	}
	if _, known := r.Dump(1, ""); !known {
		t.Error("a quiet group was forgotten for a busy one")
	}
	replayed(t, r, 2)
}

func TestWhatIsNoWholeRecordingIsRefused(t *testing.T) {
	r, core := flight.New(window, 1<<20), lone(t)
	work(r, 1, core, 10)
	d, _ := r.Dump(1, "")
	file := d.Append(nil)
	older := bytes.Clone(file)
	older[8] = 99
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"nothing":         {nil, flight.ErrNoDump},
		"another file":    {[]byte("quoratew and more"), flight.ErrNoDump},
		"another version": {older, flight.ErrVersion},
		"half of it":      {file[:len(file)/2], flight.ErrDamaged},
	} {
		if _, err := flight.Read(c.file); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := len("quorflit") + 1; i < len(file); i++ {
		bad := bytes.Clone(file)
		bad[i] ^= 0x40
		if _, err := flight.Read(bad); !errors.Is(err, flight.ErrDamaged) {
			t.Fatalf("byte %d is wrong: %v", i, err)
		}
	}
}

// A recording of something else than what the core does is not said to be equal.
func TestADepartureIsNamed(t *testing.T) {
	r, core := flight.New(window, 1<<20), lone(t)
	work(r, 1, core, 10)
	d, _ := r.Dump(1, "")
	d.End = append(bytes.Clone(d.End), 0)
	if o, err := d.Play(&watcher{}); !errors.Is(err, flight.ErrDeparted) || o.Inputs == 0 || !strings.Contains(err.Error(), "the last one") {
		t.Errorf("another end: %v", err)
	}
	d, _ = r.Dump(1, "V3: a lie")
	if _, err := d.Play(&watcher{}); !errors.Is(err, flight.ErrDeparted) || !strings.Contains(err.Error(), "V3: a lie") {
		t.Errorf("an invariant that holds: %v", err)
	}
	other := *d.Tapes[0]
	d, _ = r.Dump(1, "")
	d.Tapes = append([]*raft.Tape{&other}, d.Tapes...)
	if _, err := d.Play(&watcher{}); !errors.Is(err, flight.ErrDeparted) || !strings.Contains(err.Error(), "the next tape") {
		t.Errorf("a tape that does not go on where the last one ended: %v", err)
	}
}
