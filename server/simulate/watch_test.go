package simulate_test

import (
	"testing"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

// Watchers are told of much while nodes crash, some of what they want is compacted
// away, and a run with them can be repeated.
func TestWatchers(t *testing.T) {
	var told, forgotten int
	setup := sim.Setup{Store: simulate.New}
	for seed := uint64(1); seed <= 20; seed++ {
		p := sim.Draw(seed, sim.Limits{})
		p.Watchers = 3
		a, err := sim.Execute(p, setup)
		if err != nil {
			t.Fatal(err)
		}
		if a.Err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, a.Err, p.Encode())
		}
		if seed%4 == 0 {
			if b, _ := sim.Execute(p, setup); a.Sum != b.Sum || a.Counts != b.Counts {
				t.Errorf("seed %d: %x and %+v, then %x and %+v", seed, a.Sum, a.Counts, b.Sum, b.Counts)
			}
		}
		told, forgotten = told+a.Counts.Told, forgotten+a.Counts.Forgotten
	}
	if told < 500 || forgotten < 5 {
		t.Errorf("watchers were told of %d changes, and %d times that something is compacted away", told, forgotten)
	}
}

// forgetful is a store whose hubs lose the changes of a revision now and then.
type forgetful struct{ *simulate.KV }

func (s *forgetful) Crash(keep func(int) int) sim.Durable {
	return &forgetful{s.KV.Crash(keep).(*simulate.KV)}
}

func (s *forgetful) Hub(on env.Env) (sim.Hub, error) {
	h, err := s.KV.Hub(on)
	return forgetfulHub{h}, err
}

type forgetfulHub struct{ sim.Hub }

func (h forgetfulHub) Watch(key string, prefix bool, from uint64) (sim.Stream, error) {
	s, err := h.Hub.Watch(key, prefix, from)
	return forgetfulStream{s}, err
}

type forgetfulStream struct{ sim.Stream }

func (s forgetfulStream) Next() (sim.Told, bool, error) {
	t, ok, err := s.Stream.Next()
	if t.Revision%16 == 0 {
		t.Changes = nil
	}
	return t, ok, err
}

// A change that a hub loses is found, and named.
func TestAChangeThatIsLostIsFound(t *testing.T) {
	setup := sim.Setup{Store: func(durable bool) sim.Store { return &forgetful{simulate.New(durable).(*simulate.KV)} }}
	for seed := uint64(1); seed <= 10; seed++ {
		r, err := sim.Execute(sim.Draw(seed, sim.Limits{}), setup)
		if err != nil {
			t.Fatal(err)
		}
		if sim.Kind(r.Err) == "I15" {
			return
		}
	}
	t.Error("a hub that loses changes passes ten seeds")
}
