package simulate_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

// TestSeeds puts the real store through what the simulator has.
func TestSeeds(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		r, err := sim.Execute(sim.Draw(seed, sim.Limits{}), sim.Setup{Store: simulate.New})
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil {
			small := sim.Shrink(r, sim.Setup{Store: simulate.New}, 100)
			t.Fatalf("seed %d: %v\n%s", seed, small.Err, small.Plan.Encode())
		}
	}
}

// TestFoundBefore carries out the plans that once failed: see docs/found-by-sim.md.
func TestFoundBefore(t *testing.T) {
	scripts, err := filepath.Glob("testdata/found/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := sim.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := sim.Execute(p, sim.Setup{Store: simulate.New}); err != nil || r.Err != nil {
			t.Errorf("%s: %v, %+v", path, err, r)
		}
	}
}

// torn is a store whose transactions come apart: a read of several keys sees the last
// of them as it was before, or only the first of what is written is.
type torn struct {
	*simulate.KV
	reads bool
	was   map[string]linear.Part
}

func (s *torn) Transaction(session, sequence uint64, parts []linear.Part) []byte {
	if !s.reads {
		parts = parts[:1]
	}
	return s.KV.Transaction(session, sequence, parts)
}

func (s *torn) Look(parts []linear.Part) uint64 {
	at := s.KV.Look(parts)
	last := &parts[len(parts)-1]
	if old, known := s.was[last.Key]; known && s.reads {
		s.was[last.Key], *last = *last, old
	} else {
		s.was[last.Key] = *last
	}
	return at
}

func (s *torn) Crash(keep func(int) int) sim.Durable {
	return &torn{s.KV.Crash(keep).(*simulate.KV), s.reads, s.was}
}

// Clients of the real store make transactions, and see it if one comes apart.
func TestATransactionThatComesApartIsFound(t *testing.T) {
	for _, reads := range []bool{true, false} {
		setup := sim.Setup{Store: func(durable bool) sim.Store {
			return &torn{simulate.New(durable).(*simulate.KV), reads, map[string]linear.Part{}}
		}}
		found := slices.ContainsFunc([]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, func(seed uint64) bool {
			r, err := sim.Execute(sim.Draw(seed, sim.Limits{}), setup)
			if err != nil {
				t.Fatal(err)
			}
			return sim.Kind(r.Err) == "E1"
		})
		if !found {
			t.Errorf("a store whose transactions come apart, in reads: %v, passes ten seeds", reads)
		}
	}
}
