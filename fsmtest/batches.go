package fsmtest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/quorate-db/quorate"
)

// batches: the same commands, in whatever batches, lead every instance to the same
// results and the same state.
func (k *kit) batches() error {
	var first []quorate.StateMachine
	var results [][]any
	defer func() { end(first...) }()
	err := k.each(func(h *history) error {
		m := k.New()
		first = append(first, m)
		r, err := play(m, h.commands, single)
		results = append(results, r)
		return err
	})
	if err != nil {
		return err
	}
	time.Sleep(k.Pause)
	return k.each(func(h *history) error {
		run := h.seed - k.First
		for _, how := range []batching{single, whole, h.mixed(), h.mixed()} {
			if err := k.again(h, how, first[run], results[run]); err != nil {
				return err
			}
		}
		return nil
	})
}

// again plays a history to a new instance and compares it with the first one.
func (k *kit) again(h *history, how batching, first quorate.StateMachine, want []any) error {
	m := k.New()
	defer end(m)
	got, err := play(m, h.commands, how)
	if err != nil {
		return err
	}
	if err := h.sameResults(got, want, how.name); err != nil {
		return err
	}
	return k.sameState(m, first, "its Apply is not deterministic: two instances that applied the same commands, the second "+how.name+", are in different states")
}

func (h *history) sameResults(got, want []any, name string) error {
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			return fmt.Errorf("its Apply is not deterministic: command %d, %q, had the result %v at one instance and %v at another, which applied them %s",
				i+1, h.commands[i].Data, want[i], got[i], name)
		}
	}
	return nil
}

// memory: commands are neither changed nor kept.
func (k *kit) memory() error {
	return k.each(func(h *history) error {
		m := k.New()
		defer end(m)
		mine := make([][]byte, len(h.commands))
		batch := make([]quorate.Command, len(h.commands))
		for i, c := range h.commands {
			mine[i] = bytes.Clone(c.Data)
			batch[i] = quorate.Command{Index: c.Index, Data: mine[i]}
		}
		if err := m.Apply(batch); err != nil {
			return fmt.Errorf("in Apply: %w", err)
		}
		for i, c := range h.commands {
			if !bytes.Equal(mine[i], c.Data) {
				return fmt.Errorf("its Apply changed the Data of command %d from %q to %q; the log holds it too", i+1, c.Data, mine[i])
			}
		}
		return k.kept(m, batch, mine)
	})
}

// kept writes over the memory of commands that were applied: nobody may see it.
func (k *kit) kept(m quorate.StateMachine, batch []quorate.Command, mine [][]byte) error {
	before, err := k.hash(m)
	if err != nil {
		return err
	}
	results := make([]string, len(batch))
	for i := range batch {
		results[i] = fmt.Sprintf("%+v", batch[i].Result)
	}
	for _, data := range mine {
		for i := range data {
			data[i] ^= 0x55
		}
	}
	for i := range batch {
		if fmt.Sprintf("%+v", batch[i].Result) != results[i] {
			return fmt.Errorf("the Result of command %d shares memory with its Data, which is not kept after Apply; copy it", i+1)
		}
	}
	after, err := k.hash(m)
	if err == nil && after != before {
		err = errors.New("the state shares memory with the Data of commands, which is not kept after Apply; copy what you keep")
	}
	return err
}
