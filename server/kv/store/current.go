package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	currentFile = "CURRENT"
	formatName  = "quorate kv store"
	format      = 3
)

// home is the directory of a store: files in it, made durable step by step.
type home struct {
	fs  vfs.FS
	dir string
}

func (h home) path(name string) string { return h.fs.PathJoin(h.dir, name) }

func generationName(n int) string { return fmt.Sprintf("db-%06d", n) }

// prepare makes the directory if need be, finds out which generation is current,
// zero if the first was never finished, and removes the others and what was not staged to
// the end.
func (h home) prepare() (current int, err error) {
	if err := h.fs.MkdirAll(h.dir, 0o755); err != nil {
		return 0, err
	}
	if err := h.sync(h.fs.PathDir(h.dir)); err != nil {
		return 0, err
	}
	names, err := h.fs.List(h.dir)
	if err != nil {
		return 0, err
	}
	current, err = h.readCurrent()
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range names {
			// CURRENT is always written first, so this is no crash of ours.
			if strings.HasPrefix(name, "db-") {
				return 0, fmt.Errorf("%s holds %s but no %s file; put the directory back as it was, or empty it and let the member catch up", h.dir, name, currentFile)
			}
		}
		current, err = 0, h.writeCurrent(0)
	}
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		old := strings.HasPrefix(name, "db-") && name != generationName(current)
		if old || name == stagingName || strings.HasSuffix(name, goneSuffix) {
			if err := h.fs.RemoveAll(h.path(name)); err != nil {
				return 0, err
			}
		}
	}
	return current, nil
}

func (h home) readCurrent() (generation int, err error) {
	path := h.path(currentFile)
	f, err := h.fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 200))
	if err != nil {
		return 0, err
	}
	var version int
	if _, err := fmt.Sscanf(string(b), formatName+" %d", &version); err != nil {
		return 0, fmt.Errorf("%s is not the pointer file of a kv store; point the data directory at a store of quorate", path)
	}
	if version != format {
		return 0, fmt.Errorf("%s names format version %d, but this program knows only version %d; use the version of quorate that wrote it", path, version, format)
	}
	line := formatName + " %d db-%06d\n"
	if _, err := fmt.Sscanf(string(b), line, &version, &generation); err != nil || generation < 0 || string(b) != fmt.Sprintf(line, version, generation) {
		return 0, fmt.Errorf("%s is damaged; empty %s and let the member catch up from its peers", path, h.dir)
	}
	return generation, nil
}

// writeCurrent makes a generation the current one. When it returns an error, a
// crash may find either.
func (h home) writeCurrent(generation int) error {
	next := h.path(currentFile + ".new")
	f, err := h.fs.Create(next, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d %s\n", formatName, format, generationName(generation))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := h.fs.Rename(next, h.path(currentFile)); err != nil {
		return err
	}
	return h.sync(h.dir)
}

// sync makes the names in a directory durable.
func (h home) sync(dir string) error {
	d, err := h.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
