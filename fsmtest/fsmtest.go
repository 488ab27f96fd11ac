// Package fsmtest checks a state machine of yours against what
// [quorate.StateMachine] and [quorate.DurableStateMachine] promise, as
// testing/fstest does for file systems: in milliseconds, on one machine, and
// without Raft.
//
//   - Apply is deterministic: the same commands, in whatever batches, lead every
//     instance to the same results and the same state. Between the instances the
//     clock goes on, and each has maps of its own.
//   - Apply neither changes the memory of commands nor keeps it.
//   - What a View writes is the state as it was when the View was taken, while
//     Apply goes on (under the race detector this is seen best), and Restore makes
//     it of any instance, whatever that was before, and however the reader cuts it.
//   - A View tells of a writer that fails; a Restore of a reader that fails leaves
//     the old state or the new one, whole.
//   - A durable machine, started again at any point, holds the effects of exactly
//     the commands up to Applied, has lost nothing that Sync was called for, and goes
//     on from there to the same state as if nothing had happened.
//
// Once a machine passes, [github.com/quorate-db/quorate/sim] puts it through whole
// clusters, with their crashes and partitions, and
// [github.com/quorate-db/quorate/quoratetest] lets a program's tests run around it.
//
// Reading order: Config below, history.go, then one file for each of the groups of
// promises above: batches.go, snapshots.go, restarts.go.
package fsmtest

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/vfs"
)

// Config says how a state machine is made and what commands it knows. New (or
// Open) and Command are needed. A machine that has a Close method is closed when
// it is no longer needed, unless it dies in a restart.
type Config struct {
	// New returns an empty machine that shares nothing with any other.
	New func() quorate.StateMachine

	// Command draws a command, from no other source of chance. Commands that the
	// machine refuses belong to it as much as those that it carries out.
	Command func(*rand.Rand) []byte

	// Hash tells two states apart. If nil, the bytes of a snapshot do, which then
	// must not depend on the order of a map.
	Hash func(quorate.StateMachine) uint64

	// Open, for durable machines whose files go through package vfs, opens the one
	// that these files hold: an empty one if there are none. The machine is killed
	// at any of its operations on files, and loses what it had not synced.
	Open func(vfs.FS) (quorate.DurableStateMachine, error)

	// Reopen, for all other durable machines, ends the process of one between two
	// calls, without a farewell, and returns the one that its storage now holds.
	Reopen func(quorate.DurableStateMachine) quorate.DurableStateMachine

	Runs     int           // how many histories are tried, the first ones short; 20 if zero
	Commands int           // in the longest of them; 200 if zero
	First    uint64        // seed of the first one; 1 if zero
	Pause    time.Duration // between the instances, for their clocks to differ; 1 s if zero. In a synctest bubble a day is free
}

// Test checks a state machine and fails the test with everything that it found.
func Test(t testing.TB, cfg Config) {
	t.Helper()
	if err := Check(cfg); err != nil {
		t.Fatal(err)
	}
}

// Check returns what is wrong with a state machine: for every broken promise the
// shortest history that was found to break it, all of them joined.
func Check(cfg Config) error {
	k := &kit{Config: cfg}
	k.Runs, k.Commands = cmp.Or(k.Runs, 20), cmp.Or(k.Commands, 200)
	k.First, k.Pause = cmp.Or(k.First, 1), cmp.Or(k.Pause, time.Second)
	if cfg.New == nil && cfg.Open != nil {
		m, err := cfg.Open(vfs.NewMem())
		if err != nil {
			return fmt.Errorf("fsmtest: Config.Open cannot open an empty machine: %w", err)
		}
		end(m)
		k.New = k.opened
	}
	switch {
	case k.New == nil:
		return errors.New("fsmtest: Config.New is nil: say how an empty machine is made")
	case k.Command == nil:
		return errors.New("fsmtest: Config.Command is nil: say what commands there are")
	}
	first := k.New()
	defer end(first)
	checks := []func(*kit) error{(*kit).batches, (*kit).memory, (*kit).roundTrips, (*kit).views, (*kit).badWriters, (*kit).badReaders}
	if _, durable := first.(quorate.DurableStateMachine); durable {
		if k.Open == nil && k.Reopen == nil {
			return errors.New("fsmtest: the machine is durable: Config.Open or Config.Reopen must say how it is started again")
		}
		checks = append(checks, (*kit).restarts)
	}
	var broken []error
	for _, check := range checks {
		broken = append(broken, check(k))
	}
	return errors.Join(broken...)
}

// kit is a configuration without gaps.
type kit struct{ Config }

// opened is New for machines that are made by Open.
func (k *kit) opened() quorate.StateMachine {
	m, err := k.Open(vfs.NewMem())
	if err != nil {
		panic(fmt.Errorf("fsmtest: Config.Open opened an empty machine once, and then no more: %w", err))
	}
	return m
}

// end closes a machine that wants to be closed.
func end(machines ...quorate.StateMachine) {
	for _, m := range machines {
		if c, ok := m.(io.Closer); ok {
			_ = c.Close() // nothing of it is used any more
		}
	}
}

var sums = crc64.MakeTable(crc64.ECMA)

// hash tells the states of machines apart.
func (k *kit) hash(m quorate.StateMachine) (uint64, error) {
	if k.Hash != nil {
		return k.Hash(m), nil
	}
	data, err := snapshot(m)
	return crc64.Checksum(data, sums), err
}

// sameState returns an error, which begins with what, if two machines are in
// different states.
func (k *kit) sameState(got, want quorate.StateMachine, what string) error {
	a, err := k.hash(got)
	if err != nil {
		return err
	}
	b, err := k.hash(want)
	if err != nil {
		return err
	}
	if a != b {
		return errors.New(what)
	}
	return nil
}

// each tries one check on every history, the shortest first, and returns the first
// thing that it finds.
func (k *kit) each(check func(*history) error) error {
	for run := range k.Runs {
		h := k.draw(run)
		if err := check(h); err != nil {
			return fmt.Errorf("fsmtest: seed %d, %d commands: %w", h.seed, len(h.commands), err)
		}
	}
	return nil
}
