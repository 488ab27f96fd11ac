package simulate_test

import (
	"testing"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/simulate"
	"github.com/quorate-db/quorate/sim"
)

// counting counts what results its stores give.
type counting struct {
	*simulate.KV
	of map[kv.Code]int
}

func (s *counting) Crash(keep func(int) int) sim.Durable {
	return &counting{s.KV.Crash(keep).(*simulate.KV), s.of}
}

func (s *counting) Says(result any) string {
	s.of[result.(*kv.Result).Code]++
	return s.KV.Says(result)
}

// Guests have leases, use up a quota and do what they may not, while nodes crash; each
// kind is answered in all ways that matter, and a run with them can be repeated.
func TestGuests(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	of := map[kv.Code]int{}
	setup := sim.Setup{Store: func(durable bool) sim.Store { return &counting{simulate.New(durable).(*simulate.KV), of} }}
	for seed := uint64(1); seed <= seeds; seed++ {
		p := sim.Draw(seed, sim.Limits{})
		p.Guests = sim.Guests{Tenants: 2, Users: 2, Quota: 4000}
		a, err := sim.Execute(p, setup)
		if err != nil {
			t.Fatal(err)
		}
		if a.Err != nil {
			small := sim.Shrink(a, setup, 100)
			t.Fatalf("seed %d: %v\n%s", seed, small.Err, small.Plan.Encode())
		}
		if seed%8 == 0 {
			if b, _ := sim.Execute(p, setup); a.Sum != b.Sum || a.Counts != b.Counts {
				t.Errorf("seed %d: %x and %+v, then %x and %+v", seed, a.Sum, a.Counts, b.Sum, b.Counts)
			}
		}
	}
	for _, code := range []kv.Code{
		kv.ErrNoSpace, kv.ErrCorrupt, kv.ErrDenied, kv.ErrOldRights, kv.ErrNoUser, kv.ErrLeaseNotFound, kv.ErrSessionExpired,
		kv.ErrUserNotFound, kv.ErrRoleNotGranted, kv.ErrRightNotGranted, kv.ErrRootNeeded, kv.ErrFutureRevision, kv.ErrCompacted,
	} {
		if !testing.Short() && of[code] == 0 {
			t.Errorf("nobody was answered %q", code)
		}
	}
}
