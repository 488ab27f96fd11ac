package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OS is the file system of the machine. Files are readable by their owner only:
// they hold what users stored.
type OS struct {
	// Mode is how files are synced. Empty, or one that the system does not have: fdatasync
	// on Linux, fsync elsewhere; a Host measures what is best, if it is empty (see [Tune]).
	Mode SyncMode
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncFile(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (o OS) open(path string, flags int) (File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return fileOf(f, o.SyncMode()), nil
}

// Create implements [FS].
func (o OS) Create(path string) (File, error) {
	return o.open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open implements [FS].
func (o OS) Open(path string) (File, error) { return o.open(path, os.O_RDWR) }

// Rename implements [FS].
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements [FS].
func (OS) Remove(path string) error { return os.Remove(path) }

// MakeDir implements [FS]. It works from the top down and syncs each parent: a
// directory whose own name is lost takes everything in it along.
func (o OS) MakeDir(path string) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("a file of that name is in the way")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if err := o.MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncDir(parent)
}

// List implements [FS].
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// SyncDir implements [FS].
func (OS) SyncDir(dir string) error { return syncDir(dir) }

// Space implements [FS].
func (OS) Space(dir string) (free, total int64, err error) { return space(dir) }

// Lock implements [FS].
func (OS) Lock(dir string) (io.Closer, error) { return lock(dir) }
