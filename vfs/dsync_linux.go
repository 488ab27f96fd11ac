package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// waiting is a file in mode [DSync]. A write over bytes that are there waits until it is
// durable, so that Sync has nothing to do. All else waits for Sync: a write that makes
// the file longer, which costs less together with the one that follows it; a truncation;
// what was in the file when it was opened, which may be no more than in the kernel's
// memory; and whatever is written while such a thing waits.
type waiting struct {
	osFile
	durable  writerCloser // the same file, opened with O_DSYNC; nil: not yet
	size     int64        // in bytes, as of the last Sync
	unsynced bool         // something waits for Sync
}

type writerCloser interface {
	io.WriterAt
	io.Closer
}

// WriteAt implements [File]. An error leaves open, as one of Sync, what the disk has, but
// for one that says that there is no room.
func (f *waiting) WriteAt(p []byte, at int64) (int, error) {
	if f.unsynced || at+int64(len(p)) > f.size || !f.reopened() {
		f.unsynced = true
		return f.osFile.WriteAt(p, at)
	}
	n, err := f.durable.WriteAt(p, at)
	if err == nil {
		return n, nil
	}
	f.unsynced = true
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		// The write found no room, or the sync in it did, which is another thing: after the
		// one the file can still be used. These bytes are all that is not durable, so they
		// are given to the kernel anew, and what it says of them, now or at Sync, is clear.
		return f.osFile.WriteAt(p, at)
	}
	return n, fmt.Errorf("%s: %w", f.Name(), err)
}

// reopened reports whether there is a descriptor whose writes wait. It is opened by way of
// the first one, since the file may have another name by now.
func (f *waiting) reopened() bool {
	if f.durable != nil {
		return true
	}
	durable, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|syscall.O_DSYNC, 0)
	if err != nil {
		return false // no /proc: Sync does it all
	}
	f.durable = durable
	return true
}

// Truncate implements [File].
func (f *waiting) Truncate(size int64) error {
	f.unsynced = true
	return f.osFile.Truncate(size)
}

// Sync implements [File].
func (f *waiting) Sync() error {
	if !f.unsynced {
		return nil
	}
	if err := f.osFile.Sync(); err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	f.size, f.unsynced = size, false
	return nil
}

// Close implements [File].
func (f *waiting) Close() error {
	f.unsynced = true // so that a Sync finds that it is closed
	err := f.osFile.Close()
	if f.durable != nil {
		err = errors.Join(err, f.durable.Close())
	}
	return err
}
