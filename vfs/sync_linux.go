package vfs

import (
	"errors"
	"os"
	"syscall"
)

// SyncMode is how File.Sync of [OS] works on this system.
//
// Beside fdatasync there is O_DSYNC, where the write itself waits. On files that were
// written before, it was 4 to 18 % faster where we measured, no more than two
// measurements of the same differ, and it would leave no moment between a write and its sync for
// a fault to be injected. So there is no choice to be made at the start.
const SyncMode = "fdatasync"

// syncFile makes content and size durable. fdatasync leaves out what nobody
// reads back, the times of the file, and with that often a second disk write.
func syncFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var synced error
	err = conn.Control(func(fd uintptr) {
		// Interrupted is not failed: nothing was reported to us yet.
		for synced = syscall.EINTR; errors.Is(synced, syscall.EINTR); {
			synced = syscall.Fdatasync(int(fd))
		}
	})
	if err == nil {
		err = synced
	}
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}
