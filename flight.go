package quorate

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
)

// ErrNotRecorded says that nothing is known of a group's recent past.
var ErrNotRecorded = errors.New("quorate: nothing was recorded: the group has had nothing to do for longer than FlightWindow, " +
	"or many groups share FlightBytes, or recording is off")

// Dump writes what went lately into the core of a group, and a digest of what came
// out, so that `quorate replay` can play it again: at least a quarter of FlightWindow, as
// far as FlightBytes allow. Of commands it tells only how long they are.
func (h *Host) Dump(group GroupID, w io.Writer) error {
	if h.group(group) == nil {
		return fmt.Errorf("%w: %d", engine.ErrNoGroup, group)
	}
	var file []byte
	err := h.ask(func() error {
		if h.loop.flight != nil {
			if d, known := h.loop.flight.Dump(group, ""); known {
				file = d.Append(nil)
				return nil
			}
		}
		return ErrNotRecorded
	})
	if err != nil {
		return err
	}
	_, err = w.Write(file)
	return err
}

// record begins to record groups, if the configuration wants it.
func (h *Host) record() {
	if h.cfg.FlightWindow > 0 {
		h.loop.flight = flight.New(uint64(h.cfg.FlightWindow.Microseconds()), h.cfg.FlightBytes)
	}
	h.loop.engine.Observe = h.decided
}

// decided is told a core's effects before anything of them is done.
func (h *Host) decided(id GroupID, core *raft.Raft, fx *raft.Effects) {
	if h.loop.flight != nil {
		h.loop.flight.Tend(id, core)
	}
	if g := h.group(id); g != nil {
		g.weigh(int64(core.Uncommitted()))
		g.noteLog(int64(core.LogBytes()))
		g.sample.decided(h, core, fx.WriteID)
		if core.Asleep() {
			g.waiting.rest()
		}
	}
	h.observe(func(o Observer) { o.Decided(id, core, fx) })
}

// fenced ends a group of which an invariant broke.
func (h *Host) fenced(f engine.Fenced) {
	h.loop.life.generation++
	if g := h.group(f.Group); g != nil {
		g.weigh(0)
		g.noteLog(0)
		g.stop(h.preserve(f))
	}
}

// preserve begins to write down what led to a broken invariant, and returns the error
// with the name of the file. The loop does not wait for it.
func (h *Host) preserve(f engine.Fenced) error {
	if h.loop.flight == nil {
		return f.Err
	}
	d, known := h.loop.flight.Dump(f.Group, f.Err.Error())
	if !known {
		return f.Err
	}
	file := d.Append(nil)
	h.loop.flight.Forget(f.Group)
	name := fmt.Sprintf("%s-group-%d%s", h.cfg.Env.Now().UTC().Format("20060102T150405.000000"), f.Group, flightSuffix)
	h.start(func() {
		if err := h.keepFlight(name, file); err != nil {
			h.cfg.Logger.Warn("what led to a broken invariant could not be written", "group", f.Group, "file", name, "err", err)
		}
	})
	return fmt.Errorf("%w; to see what led to it: quorate replay %s", f.Err, filepath.Join(h.cfg.Dir, flightDir, name))
}

const (
	flightDir    = "flight"
	flightSuffix = ".flight"
	maxFlights   = 16 // files; the oldest go
)

// keepFlight writes a file into the data directory.
func (h *Host) keepFlight(name string, content []byte) error {
	fs, dir := h.cfg.FS, filepath.Join(h.cfg.Dir, flightDir)
	if err := fs.MakeDir(dir); err != nil {
		return err
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for i, old := range names { // sorted, and so by time
		if len(names)-i >= maxFlights && strings.HasSuffix(old, flightSuffix) {
			err = errors.Join(err, fs.Remove(filepath.Join(dir, old)))
		}
	}
	f, err2 := fs.Create(filepath.Join(dir, name))
	if err = errors.Join(err, err2); err2 != nil {
		return err
	}
	_, err2 = f.WriteAt(content, 0)
	return errors.Join(err, err2, f.Sync(), f.Close(), fs.SyncDir(dir))
}
