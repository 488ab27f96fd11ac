package fsmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing/iotest"

	"github.com/quorate-db/quorate"
)

// readers cut what they read in different ways, as disks and connections do.
var readers = []struct {
	name string
	wrap func(io.Reader) io.Reader
}{
	{"in one piece", func(r io.Reader) io.Reader { return r }},
	{"byte by byte", iotest.OneByteReader},
	{"whose last bytes come with io.EOF", iotest.DataErrReader},
}

// roundTrips: what a View has written, Restore makes of any instance.
func (k *kit) roundTrips() error {
	return k.each(func(h *history) error {
		before, after := h.somewhere()
		for _, reader := range readers {
			for _, used := range []bool{false, true} {
				if err := k.roundTrip(h, before, after, used, reader.wrap); err != nil {
					return fmt.Errorf("a snapshot after %d commands, read %s: %w", len(before), reader.name, err)
				}
			}
		}
		return nil
	})
}

// roundTrip restores a snapshot into a new instance, or into one that was in
// another state before, and lets both go on.
func (k *kit) roundTrip(h *history, before, after []quorate.Command, used bool, wrap func(io.Reader) io.Reader) error {
	source, target := k.New(), k.New()
	defer end(source, target)
	if _, err := play(source, before, h.mixed()); err != nil {
		return err
	}
	whose := "a new instance"
	if used {
		whose = "one that had a state already"
		if _, err := play(target, others(h.commands, len(before)), h.mixed()); err != nil {
			return err
		}
	}
	data, err := snapshot(source)
	if err != nil {
		return err
	}
	if err := target.Restore(wrap(bytes.NewReader(data))); err != nil {
		return fmt.Errorf("in Restore: %w", err)
	}
	if err := sameApplied(target, source); err != nil {
		return err
	}
	if err := k.sameState(target, source, "Restore made another state of "+whose+" than the one that was saved"); err != nil {
		return err
	}
	return k.goOn(h, target, source, after, "a machine that was restored, "+whose+", goes on differently")
}

// others returns n commands that are not those of the history, so that there is
// something to forget. They stand where the history's stand: a host restores only
// what is further on.
func others(commands []quorate.Command, n int) []quorate.Command {
	other := make([]quorate.Command, n)
	for i := range other {
		other[i] = quorate.Command{Index: commands[i].Index, Data: commands[len(commands)-1-i].Data}
	}
	return other
}

// goOn lets two machines of the same state apply the same commands: what a
// snapshot has lost without its showing, shows now.
func (k *kit) goOn(h *history, got, want quorate.StateMachine, after []quorate.Command, what string) error {
	a, err := play(got, after, h.mixed())
	if err != nil {
		return err
	}
	b, err := play(want, after, h.mixed())
	if err != nil {
		return err
	}
	at := len(h.commands) - len(after)
	rest := history{commands: h.commands[at:]}
	if err := rest.sameResults(a, b, "after a snapshot"); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return k.sameState(got, want, what)
}

// sameApplied compares how far durable machines say that they have come.
func sameApplied(got, want quorate.StateMachine) error {
	a, durable := got.(quorate.DurableStateMachine)
	if !durable {
		return nil
	}
	if g, w := a.Applied(), want.(quorate.DurableStateMachine).Applied(); g != w {
		return fmt.Errorf("after a Restore, Applied returns %d; the snapshot was taken at %d", g, w)
	}
	return nil
}

// views: a View stays what it was while Apply goes on.
func (k *kit) views() error {
	return k.each(func(h *history) error {
		before, after := h.somewhere()
		if err := k.view(h, before, after, later); err != nil {
			return err
		}
		return k.view(h, before, after, meanwhile)
	})
}

// view takes a View, applies further commands, and compares what it writes with
// the state that it was taken of.
func (k *kit) view(h *history, before, after []quorate.Command, write func(quorate.View, func() error) ([]byte, error)) error {
	m, then, restored := k.New(), k.New(), k.New()
	defer end(m, then, restored)
	if _, err := play(m, before, h.mixed()); err != nil {
		return err
	}
	if _, err := play(then, before, h.mixed()); err != nil {
		return err
	}
	view, err := m.Snapshot()
	if err != nil {
		return fmt.Errorf("taking a Snapshot: %w", err)
	}
	unread, err := m.Snapshot() // a second one, which is given up
	if err != nil {
		return fmt.Errorf("taking a Snapshot, while another View is open: %w", err)
	}
	if err := unread.Close(); err != nil {
		return fmt.Errorf("a View's Close: %w", err)
	}
	data, err := write(view, func() error { _, err := play(m, after, h.mixed()); return err })
	if err != nil {
		return err
	}
	if err := restored.Restore(bytes.NewReader(data)); err != nil {
		return fmt.Errorf("in Restore of a View that was written while Apply went on: %w", err)
	}
	if err := sameApplied(restored, then); err != nil {
		return fmt.Errorf("a View changed while Apply went on: %w", err)
	}
	return k.sameState(restored, then, fmt.Sprintf("a View that was taken after %d commands changed while Apply went on", len(before)))
}

// later writes a View once Apply has gone on.
func later(view quorate.View, goOn func() error) ([]byte, error) {
	if err := goOn(); err != nil {
		return nil, err
	}
	return written(view)
}

// meanwhile writes a View while Apply goes on, as a host does.
func meanwhile(view quorate.View, goOn func() error) ([]byte, error) {
	applied := make(chan error)
	go func() { applied <- goOn() }()
	runtime.Gosched()
	data, err := written(view)
	return data, errors.Join(err, <-applied)
}

var errBad = errors.New("fsmtest: this reader or writer has failed")

// badWriter fails after some bytes.
type badWriter struct{ left int }

func (w *badWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		n := w.left
		w.left = 0
		return n, errBad
	}
	w.left -= len(p)
	return len(p), nil
}

// badWriters: a View tells of a writer that fails, or half a snapshot would be
// taken for a whole one.
func (k *kit) badWriters() error {
	return k.each(func(h *history) error {
		m := k.New()
		defer end(m)
		if _, err := play(m, h.commands, h.mixed()); err != nil {
			return err
		}
		data, err := snapshot(m)
		if err != nil || len(data) == 0 {
			return err
		}
		view, err := m.Snapshot()
		if err != nil {
			return fmt.Errorf("taking a Snapshot: %w", err)
		}
		defer view.Close()
		room := h.rng.IntN(len(data))
		if _, err := view.WriteTo(&badWriter{room}); err == nil {
			return fmt.Errorf("a View's WriteTo returned no error, although the writer failed after %d of %d bytes", room, len(data))
		}
		return nil
	})
}

// badReaders: a Restore that is interrupted leaves the old state or the new one.
func (k *kit) badReaders() error {
	return k.each(func(h *history) error {
		before, after := h.somewhere()
		for range 4 {
			if err := k.badReader(h, before, after); err != nil {
				return err
			}
		}
		return nil
	})
}

func (k *kit) badReader(h *history, before, after []quorate.Command) error {
	m, old, fresh := k.New(), k.New(), k.New()
	defer end(m, old, fresh)
	for _, machine := range []quorate.StateMachine{m, old, fresh} {
		if _, err := play(machine, before, h.mixed()); err != nil {
			return err
		}
	}
	if _, err := play(fresh, after, h.mixed()); err != nil {
		return err
	}
	data, err := snapshot(fresh)
	if err != nil {
		return err
	}
	cut := h.rng.IntN(len(data) + 1)
	failed := m.Restore(io.MultiReader(bytes.NewReader(data[:cut]), iotest.ErrReader(errBad)))
	what := fmt.Sprintf("a Restore whose reader failed after %d of %d bytes", cut, len(data))
	isNew := k.sameState(m, fresh, what+" returned no error, and the state is not the new one")
	if failed == nil || isNew == nil {
		return isNew
	}
	if err := k.sameState(m, old, what+" left neither the old state nor the new one"); err != nil {
		return err
	}
	return k.goOn(h, m, old, after, what+" left an old state that goes on differently")
}
