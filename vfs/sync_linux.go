package vfs

import (
	"errors"
	"os"
	"syscall"
)

// syncModes are those that there are; the first is the one for which no reason is needed.
var syncModes = []SyncMode{Fdatasync, DSync}

func fileOf(f *os.File, mode SyncMode) File {
	if mode == DSync {
		return &waiting{osFile: osFile{f}, unsynced: true}
	}
	return osFile{f}
}

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
