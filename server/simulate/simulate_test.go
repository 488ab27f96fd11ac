package simulate_test

import (
	"testing"

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
