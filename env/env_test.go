package env_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate/env"
)

func TestRealTimerFiresOnceAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := env.Real()
		start := world.Now()
		timer := world.NewTimer(3 * time.Second)
		timer.Reset(5 * time.Second)
		<-timer.C()
		if got := world.Now().Sub(start); got != 5*time.Second {
			t.Fatalf("fired after %v, want the 5 s of the Reset", got)
		}
		time.Sleep(time.Hour)
		select {
		case <-timer.C():
			t.Fatal("fired twice")
		default:
		}
	})
}

func TestRealTickerTicksUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := env.Real()
		start := world.Now()
		ticker := world.NewTicker(time.Second)
		for range 3 {
			<-ticker.C()
		}
		if got := world.Now().Sub(start); got != 3*time.Second {
			t.Fatalf("three ticks took %v, want 3 s", got)
		}
		ticker.Stop()
		time.Sleep(time.Hour)
		select {
		case <-ticker.C():
			t.Fatal("ticked after Stop")
		default:
		}
	})
}

func TestRealRandomIsASource(t *testing.T) {
	rng := rand.New(env.Real())
	seen := map[uint64]bool{}
	for range 8 {
		seen[rng.Uint64()] = true
	}
	if len(seen) != 8 {
		t.Fatalf("8 draws gave %d different numbers", len(seen))
	}
}
