// Package vfs is the seam for files: what the log and the snapshot store need
// of a file system, and nothing more, so that a simulated disk can stand in
// its place and forget, tear and fail like a real one.
//
//   - [OS] is the real thing.
//   - [Mem] keeps everything in memory and knows what a power cut would leave.
//   - [Inject] lets operations of another FS fail.
//
// What a caller may rely on, and no more than that: bytes are durable once Sync
// of their file has returned; a name (created, renamed or removed) is durable
// once SyncDir of its directory has returned. After a failed Sync nobody knows
// what the disk holds: the bytes may read back well, and a second Sync may
// succeed, although they are lost. A Sync is therefore never tried again.
//
// Paths are built with path/filepath from a directory that the operator chose and
// from names made here, never from anything that came over a network.
package vfs

import (
	"fmt"
	"io"
)

// FS is a file system. It may be used by several goroutines. Errors wrap those of
// package io/fs and, where the system gave one, a syscall.Errno.
type FS interface {
	// Create makes a file, or empties the one that has this name.
	Create(path string) (File, error)

	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)

	// Rename gives a file a new name, in place of the file that had it.
	Rename(from, to string) error

	// Remove removes a file.
	Remove(path string) error

	// MakeDir makes a directory and those above it that are missing. They are
	// durable when it returns; those that exist are left as they are.
	MakeDir(path string) error

	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)

	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error

	// Space returns how many bytes can still be written to the file system that a
	// directory is on, and how many it has in all. An error that wraps
	// errors.ErrUnsupported means that nobody can tell.
	Space(dir string) (free, total int64, err error)

	// Lock claims a directory for this process until the result is closed or the
	// process ends. It returns a *LockedError if another one holds it.
	Lock(dir string) (io.Closer, error)
}

// File is an open file. One goroutine writes it; any number may read.
type File interface {
	io.ReaderAt
	io.WriterAt // a write beyond the end fills the gap with zeros
	io.Closer

	// Truncate makes the file size bytes long: what lies behind is cut off, what
	// is missing is zero.
	Truncate(size int64) error

	// Sync makes the content and the size durable.
	Sync() error

	// Size returns the length in bytes.
	Size() (int64, error)
}

// LockName is the file by which [OS] locks a directory. It stays there; only the
// lock on it comes and goes.
const LockName = "LOCK"

// LockedError says that a directory belongs to another process.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("data directory %s is in use by another process; stop it or choose another --data-dir", e.Dir)
}
