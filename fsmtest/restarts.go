package fsmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/vfs"
)

// restarts: a durable machine, started again at any point, holds the effects of
// exactly the commands up to Applied, and nothing that was synced is lost.
func (k *kit) restarts() error {
	return k.each(func(h *history) error {
		w := &walk{kit: k, history: h, left: 12}
		if err := w.record(); err != nil {
			return err
		}
		return w.run()
	})
}

// walk leads a machine through a history, with restarts on the way. Places are
// counted in commands; place 0 is the empty machine.
type walk struct {
	*kit
	*history

	// What an instance that never stopped was like at each place, and said on the
	// way there.
	hashes    []uint64
	snapshots [][]byte
	results   []any

	life life
	m    quorate.DurableStateMachine
	at   int   // place of m
	may  []int // places at which m may be after a restart: the last one synced, and those since
	left int   // restarts to come
}

// record plays the history to an instance that never stops.
func (w *walk) record() error {
	m := w.New()
	defer end(m)
	for place := 0; ; place++ {
		data, err := snapshot(m)
		if err != nil {
			return err
		}
		hash, err := w.hash(m)
		if err != nil {
			return err
		}
		w.hashes, w.snapshots = append(w.hashes, hash), append(w.snapshots, data)
		if place == len(w.commands) {
			return nil
		}
		r, err := play(m, w.commands[place:place+1], single)
		if err != nil {
			return err
		}
		w.results = append(w.results, r...)
	}
}

// index is where the log has the last command before a place.
func (w *walk) index(place int) raft.Index {
	if place == 0 {
		return 0
	}
	return w.commands[place-1].Index
}

func (w *walk) run() (err error) {
	w.life = w.begin()
	if w.m, err = w.life.start(); err != nil {
		return fmt.Errorf("opening an empty machine: %w", err)
	}
	defer func() { end(w.m) }()
	w.may = []int{0}
	if err := w.look(); err != nil {
		return err
	}
	for w.at < len(w.commands) {
		if err := w.step(); err != nil {
			return err
		}
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.restart()
}

// step does one thing that a host does to a machine.
func (w *walk) step() error {
	dice := w.rng.IntN(10)
	switch {
	case dice == 0:
		return w.sync()
	case dice == 1:
		return w.restore()
	case dice < 5 && w.left > 0:
		w.left--
		if !w.life.doom(w.rng) {
			return w.restart()
		}
	}
	return w.apply()
}

// survived makes of the error of a call what is to be said about it: nothing, if
// the machine was killed meanwhile; it is then started again.
func (w *walk) survived(call string, err error) (bool, error) {
	if w.life.dead() {
		return false, w.restart()
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", call, err)
	}
	return true, nil
}

func (w *walk) apply() error {
	n := 1 + w.rng.IntN(min(5, len(w.commands)-w.at))
	for place := w.at + 1; place <= w.at+n; place++ {
		w.may = append(w.may, place)
	}
	batch, err := apply(w.m, w.commands[w.at:w.at+n])
	if alive, err := w.survived("Apply", err); !alive {
		return err
	}
	part := history{commands: w.commands[w.at:]}
	got := make([]any, n)
	for i := range batch {
		got[i] = batch[i].Result
	}
	if err := part.sameResults(got, w.results[w.at:w.at+n], "and was started again on the way"); err != nil {
		return err
	}
	w.at += n
	return w.check("Apply")
}

// check sees whether the machine knows where it is.
func (w *walk) check(after string) error {
	if got, want := w.m.Applied(), w.index(w.at); got != want {
		return fmt.Errorf("after %s, Applied returns %d instead of %d", after, got, want)
	}
	return nil
}

func (w *walk) sync() error {
	if alive, err := w.survived("Sync", w.m.Sync()); !alive {
		return err
	}
	w.may = []int{w.at}
	return nil
}

// restore gives the machine a snapshot from further on, as a leader does.
func (w *walk) restore() error {
	to := w.at + w.rng.IntN(len(w.commands)-w.at+1)
	w.may = append(w.may, to)
	err := w.m.Restore(bytes.NewReader(w.snapshots[to]))
	if alive, err := w.survived("Restore", err); !alive {
		return err
	}
	w.at = to
	return w.check("Restore")
}

// restart kills the machine, if it is not dead, and looks at what starts again.
func (w *walk) restart() (err error) {
	if w.m, err = w.life.next(w.m, w.rng); err != nil {
		return fmt.Errorf("the machine cannot be opened after a crash: %w", err)
	}
	applied := w.m.Applied()
	place := slices.IndexFunc(w.may, func(place int) bool { return w.index(place) == applied })
	if place < 0 {
		return fmt.Errorf("after a restart, Applied returns %d, which is lost or was never reached: the last Sync was at %d, the last command at %d",
			applied, w.index(w.may[0]), w.index(w.at))
	}
	w.at = w.may[place]
	w.may = []int{w.at}
	return w.look()
}

// look compares the state with what it should be where the machine says it is.
func (w *walk) look() error {
	if err := w.check("a start"); err != nil {
		return err
	}
	hash, err := w.hash(w.m)
	if err == nil && hash != w.hashes[w.at] {
		err = fmt.Errorf("after a restart, the state is not that of the commands up to Applied, %d: commands are lost, or would be applied twice", w.index(w.at))
	}
	return err
}

// life is how a machine is started, dies, and is started again.
type life interface {
	start() (quorate.DurableStateMachine, error)

	// doom decides how soon the machine dies within one of its calls, and reports
	// whether it can; dead, whether that has happened.
	doom(*rand.Rand) bool
	dead() bool

	// next returns the machine that the storage holds after a death now or then.
	next(quorate.DurableStateMachine, *rand.Rand) (quorate.DurableStateMachine, error)
}

func (k *kit) begin() life {
	if k.Open == nil {
		return &foreign{k}
	}
	return &onFiles{kit: k, disk: vfs.NewMem()}
}

// foreign is a life of which only the user knows how it goes on.
type foreign struct{ *kit }

func (f *foreign) start() (quorate.DurableStateMachine, error) {
	return f.New().(quorate.DurableStateMachine), nil
}

func (f *foreign) doom(*rand.Rand) bool { return false }
func (f *foreign) dead() bool           { return false }

func (f *foreign) next(m quorate.DurableStateMachine, _ *rand.Rand) (quorate.DurableStateMachine, error) {
	return f.Reopen(m), nil
}

// onFiles is a life on a disk of ours.
type onFiles struct {
	*kit
	disk   *vfs.Mem
	doomed bool
	fuse   int      // changes of files until the end
	left   *vfs.Mem // what the end has left of the disk; nil while the machine lives
	rng    *rand.Rand
}

var errKilled = errors.New("fsmtest: the process has been killed")

func (o *onFiles) start() (quorate.DurableStateMachine, error) {
	return o.Open(vfs.Inject(o.disk, func(op vfs.Op, _ string) error {
		if o.left == nil && o.doomed && op.Changes() {
			o.fuse--
			if o.fuse < 0 {
				o.left = o.disk.Crash(survival(o.rng))
			}
		}
		if o.left != nil {
			return errKilled
		}
		return nil
	}))
}

func (o *onFiles) doom(rng *rand.Rand) bool {
	o.doomed, o.fuse, o.rng = true, rng.IntN(12), rng
	return true
}

func (o *onFiles) dead() bool { return o.left != nil }

// survival draws what a power cut leaves: nothing that was not synced, all of it,
// or any part.
func survival(rng *rand.Rand) vfs.Survival {
	switch rng.IntN(3) {
	case 0:
		return vfs.Lost
	case 1:
		return vfs.Kept
	default:
		return func(size int) int { return rng.IntN(size + 1) }
	}
}

func (o *onFiles) next(old quorate.DurableStateMachine, rng *rand.Rand) (quorate.DurableStateMachine, error) {
	if o.left == nil {
		o.left = o.disk.Crash(survival(rng))
	}
	if c, ok := old.(io.Closer); ok {
		_ = c.Close() // all that it still does fails
	}
	for {
		o.disk, o.left = o.left, nil
		o.doomed, o.fuse, o.rng = rng.IntN(3) == 0, rng.IntN(4), rng // it may die again while it starts
		m, err := o.start()
		if !o.dead() {
			o.doomed = false
			return m, err
		}
	}
}
