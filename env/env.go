// Package env is the seam through which everything below the line meets time
// and chance. Whoever waits, reads a clock, draws a number or begins a goroutine
// does so through an Env, so that the simulator can be all of them: its clock
// moves only when nothing else can happen, its numbers come from a seed, and of
// all goroutines one runs at a time, in an order that a seed decides.
//
// Files have a seam of their own, package vfs. The core needs neither: for it
// time is a tick that arrives as an input, and its generator is part of its
// state.
package env

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// Clock tells the time and wakes those who wait for it.
type Clock interface {
	// Now returns the present. Differences between two readings of one clock
	// are never negative; readings of clocks on different machines cannot be
	// compared (see [HLC] for what can).
	Now() time.Time

	// NewTimer returns a timer that fires once, after d.
	NewTimer(d time.Duration) Timer

	// NewTicker returns a timer that fires every d, which must be positive. A
	// tick that nobody takes is dropped: a slow reader misses ticks, it is
	// never flooded with old ones.
	NewTicker(d time.Duration) Timer
}

// Timer fires on its channel. It must be stopped once it is no longer needed.
type Timer interface {
	C() <-chan time.Time

	// Reset starts the wait anew with the duration d. A time that was on its
	// way and not yet taken is gone when Reset returns.
	Reset(d time.Duration)

	// Stop ends the wait. Nothing arrives on C after it, nor is C closed.
	Stop()
}

// Random is a source of uniformly distributed 64-bit numbers; it serves as a
// [rand.Source]. It is safe for use by several goroutines.
type Random interface {
	Uint64() uint64
}

// Runner runs what happens at the same time. A goroutine must not hold a lock
// while it waits: in a simulator nobody else could go on.
type Runner interface {
	// Go runs f in a goroutine of its own.
	Go(f func())

	// Wait returns when the timer fires, or when something can be received from
	// one of the channels, which it receives; it returns which: 0 for the timer,
	// 1 to 3 for a channel. What is nil never comes.
	Wait(t Timer, a, b, c <-chan struct{}) int

	// Yield lets all others that are ready go on first. Who is about to work on
	// what has gathered calls it: what they add then costs no work of its own.
	Yield()
}

// Env is a clock, a source of random numbers, and what runs goroutines.
type Env interface {
	Clock
	Random
	Runner
}

// Real returns the world as it is: the machine's clock, and random numbers that
// an outsider cannot predict.
func Real() Env { return world{} }

type world struct{}

func (world) Now() time.Time                  { return time.Now() }
func (world) NewTimer(d time.Duration) Timer  { return timer{time.NewTimer(d)} }
func (world) NewTicker(d time.Duration) Timer { return ticker{time.NewTicker(d)} }

// The package-level generator is ChaCha8, seeded by the operating system: node
// IDs and salts that are drawn from it cannot be guessed.
func (world) Uint64() uint64 { return rand.Uint64() }

func (world) Go(f func()) { go f() }

func (world) Yield() { runtime.Gosched() }

func (world) Wait(t Timer, a, b, c <-chan struct{}) int {
	var fire <-chan time.Time
	if t != nil {
		fire = t.C()
	}
	if t == nil && c == nil { // most wait for one thing, or for that and a context
		return waitForTwo(a, b)
	}
	select {
	case <-fire:
		return 0
	case <-a:
		return 1
	case <-b:
		return 2
	case <-c:
		return 3
	}
}

func waitForTwo(a, b <-chan struct{}) int {
	if b == nil {
		<-a
		return 1
	}
	select {
	case <-a:
		return 1
	case <-b:
		return 2
	}
}

type timer struct{ t *time.Timer }

func (t timer) C() <-chan time.Time   { return t.t.C }
func (t timer) Reset(d time.Duration) { t.t.Reset(d) }
func (t timer) Stop()                 { t.t.Stop() }

type ticker struct{ t *time.Ticker }

func (t ticker) C() <-chan time.Time   { return t.t.C }
func (t ticker) Reset(d time.Duration) { t.t.Reset(d) }
func (t ticker) Stop()                 { t.t.Stop() }
