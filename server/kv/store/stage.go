package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A content that is staged is tables in a directory of its own, which has its name as long as
// all of them are there, durably.
const (
	stagingName = "staging" // not yet
	goneSuffix  = ".gone"   // no more
)

func stagedName(at uint64) string { return fmt.Sprintf("staged-%020d", at) }

// parseStaged returns the number under which a directory holds something.
func parseStaged(name string) (at uint64, ok bool) {
	_, err := fmt.Sscanf(name, "staged-%d", &at)
	return at, err == nil && name == stagedName(at)
}

// Stage keeps a content beside the present one.
func (d *Disk) Stage(at uint64, fill func(set func(key, value []byte) error) error) error {
	g := d.acquire()
	if g == nil {
		return ErrClosed
	}
	tables := g.tables
	if err := d.release(g); err != nil {
		return err
	}
	files, path := d.opts.FS, d.home.path(stagingName)
	err := errors.Join(files.RemoveAll(path), files.MkdirAll(path, 0o755))
	if err == nil {
		_, err = writeTables(files, path, tables, fill)
	}
	if err == nil {
		err = d.home.sync(path)
	}
	if err == nil {
		err = d.home.name(path, stagedName(at))
	}
	if err != nil {
		return fmt.Errorf("store: staging a content: %w", errors.Join(err, files.RemoveAll(path)))
	}
	return nil
}

// name gives a directory a name, durably, in place of the one that had it.
func (h home) name(dir, name string) error {
	if err := h.remove(name); err != nil {
		return err
	}
	if err := h.fs.Rename(dir, h.path(name)); err != nil {
		return err
	}
	return h.sync(h.dir)
}

// remove removes a directory, if there is one. A crash leaves none of that name with half of
// its files.
func (h home) remove(name string) error {
	gone := h.path(name + goneSuffix)
	if err := h.fs.RemoveAll(gone); err != nil {
		return err
	}
	err := h.fs.Rename(h.path(name), gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = h.sync(h.dir)
	}
	if err == nil {
		err = h.fs.RemoveAll(gone)
	}
	return err
}

// Adopt replaces the content by one that was staged, whose tables the new generation has in
// common with it until it is removed.
func (d *Disk) Adopt(at uint64) (bool, error) {
	files, staged := d.opts.FS, d.home.path(stagedName(at))
	names, err := files.List(staged)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("store: adopting a staged content: %w", err)
	}
	err = d.replace(func(next *generation, dir string) error {
		var paths []string
		for _, name := range names {
			path := files.PathJoin(dir, name)
			if err := vfs.LinkOrCopy(files, files.PathJoin(staged, name), path); err != nil {
				return err
			}
			paths = append(paths, path)
		}
		return next.ingest(paths)
	})
	if err != nil {
		return false, err
	}
	if err := d.home.remove(stagedName(at)); err != nil {
		d.opts.Logger.Warn("removing what was staged", "err", err)
	}
	return true, nil
}

// Unstage removes what is staged up to a number.
func (d *Disk) Unstage(upTo uint64) error {
	names, err := d.opts.FS.List(d.home.dir)
	for _, name := range names {
		if at, ok := parseStaged(name); ok && at <= upTo {
			err = errors.Join(err, d.home.remove(name))
		}
	}
	if err != nil {
		return fmt.Errorf("store: removing what was staged: %w", err)
	}
	return nil
}
