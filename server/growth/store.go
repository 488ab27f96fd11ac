package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/internal/cputime"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

const (
	batch      = 100 // commands that are applied together
	valueBytes = 256
	warming    = 5_000 // gets before they are counted
)

// stock is a store with so many keys.
type stock struct {
	*kv.Machine
	disk   *store.Disk
	size   int
	next   raft.Index
	random *rand.Rand
}

func open(dir string, size int, seed uint64) (*stock, error) {
	disk, err := store.Open(dir, store.Options{})
	if err != nil {
		return nil, err
	}
	m, err := kv.New(disk)
	if err != nil {
		return nil, errors.Join(err, disk.Close())
	}
	return &stock{m, disk, size, m.Applied() + 1, rand.New(rand.NewPCG(uint64(size), seed))}, nil
}

// close makes everything durable: the next round goes on with it.
func (s *stock) close() error { return errors.Join(s.Sync(), s.disk.Close()) }

func (s *stock) key(i int) []byte { return fmt.Appendf(nil, "key-%08d", i) }

// put is a command with a value that cannot be compressed.
func (s *stock) put(key int) []byte {
	value := make([]byte, 0, valueBytes)
	for len(value) < valueBytes {
		n := s.random.Uint64()
		for range 8 {
			value = append(value, byte(n))
			n >>= 8
		}
	}
	return kv.Command{Do: kv.Txn{Then: []kv.Op{kv.Put{Key: s.key(key), Value: value}}}}.Encode()
}

// apply carries out commands, in batches.
func (s *stock) apply(commands [][]byte) error {
	for len(commands) > 0 {
		n := min(batch, len(commands))
		all := make([]quorate.Command, n)
		for i := range all {
			all[i] = quorate.Command{Index: s.next, Data: commands[i]}
			s.next++
		}
		if err := s.Apply(all); err != nil {
			return err
		}
		if got := all[n-1].Result.(*kv.Result); got.Code != 0 {
			return fmt.Errorf("a command was refused: %w", got.Code)
		}
		commands = commands[n:]
	}
	return nil
}

// fill puts every key once, in no order that a store could gain from.
func (s *stock) fill() error {
	const apart = 7_368_787 // a prime: no size is a multiple of it
	for begin := 0; begin < s.size; begin += batch {
		var commands [][]byte
		for i := begin; i < min(begin+batch, s.size); i++ {
			commands = append(commands, s.put(i*apart%s.size))
		}
		if err := s.apply(commands); err != nil {
			return err
		}
	}
	return s.forget()
}

// forget clears away what is not the latest: the keys stay as many as they are.
func (s *stock) forget() error {
	state, err := s.State()
	if err != nil {
		return err
	}
	command := kv.Command{Do: kv.Compact{Revision: state.Revision}}.Encode()
	for state.Swept < state.Revision && err == nil {
		if err = s.apply([][]byte{command}); err == nil {
			state, err = s.State()
		}
		command = kv.Command{Do: kv.Sweep{}}.Encode()
	}
	return err
}

// puts returns what a put costs, with all that the store does in the background
// because of it.
func (s *stock) puts(n int) (float64, error) {
	commands := make([][]byte, n)
	for i := range commands {
		commands[i] = s.put(s.random.IntN(s.size))
	}
	cost, err := of(n, func() error { return s.apply(commands) })
	if err != nil {
		return 0, err
	}
	return cost, s.forget()
}

// gets returns what a get costs, once the store has come to rest.
func (s *stock) gets(n int) (float64, error) {
	if _, err := of(warming, func() error { return s.read(warming) }); err != nil {
		return 0, err
	}
	return of(n, func() error { return s.read(n) })
}

func (s *stock) read(n int) error {
	for range n {
		key := s.key(s.random.IntN(s.size))
		if got, _, err := s.Get(key, 0); err != nil || got == nil {
			return errors.Join(fmt.Errorf("key %s is not there", key), err)
		}
	}
	return nil
}

// of returns the CPU time of each of n operations in microseconds, from one rest of
// the process to the next.
func of(n int, do func() error) (float64, error) {
	rest()
	runtime.GC()
	before := cputime.Now()
	if err := do(); err != nil {
		return 0, err
	}
	rest()
	return float64((cputime.Now() - before).Nanoseconds()) / 1000 / float64(n), nil
}

// rest returns when the process has nothing to do: what it does in the background, it
// does without being asked, and says nothing of it.
func rest() {
	const look, little = 50 * time.Millisecond, time.Millisecond
	for calm := 0; calm < 2; {
		before := cputime.Now()
		time.Sleep(look)
		if calm++; cputime.Now()-before > little {
			calm = 0
		}
	}
}
