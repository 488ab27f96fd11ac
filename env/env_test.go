package env_test

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
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

func TestWaitTakesWhatComes(t *testing.T) {
	world := env.Real()
	full := func() <-chan struct{} {
		c := make(chan struct{}, 1)
		c <- struct{}{}
		return c
	}
	never := make(chan struct{})
	fired := world.NewTimer(0)
	for _, c := range []struct {
		timer   env.Timer
		a, b, c <-chan struct{}
		want    int
	}{
		{nil, full(), nil, nil, 1},
		{nil, full(), never, nil, 1},
		{nil, never, full(), nil, 2},
		{nil, nil, full(), nil, 2},
		{nil, never, never, full(), 3},
		{fired, never, nil, nil, 0},
	} {
		if got := world.Wait(c.timer, c.a, c.b, c.c); got != c.want {
			t.Errorf("Wait returned %d, want %d", got, c.want)
		}
	}
}

func TestYieldLetsOthersGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	world := env.Real()
	var ran atomic.Bool
	world.Go(func() { ran.Store(true) })
	for range 100 { // the collector's goroutines may be ready, too
		if world.Yield(); ran.Load() {
			return
		}
	}
	t.Fatal("a goroutine that was ready did not run")
}

func TestTasksAreWaitedFor(t *testing.T) {
	world := env.Real()
	var tasks env.Tasks
	tasks.Wait(world) // for none
	done := make(chan struct{}, 8)
	for range cap(done) {
		tasks.Go(world, func() { done <- struct{}{} })
	}
	tasks.Wait(world)
	if len(done) != cap(done) {
		t.Fatalf("%d of %d had ended", len(done), cap(done))
	}
}
