package vfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const sharingViolation = syscall.Errno(32)

// lock opens the lock file and shares it with nobody. Windows closes the handle
// when the process dies, however it dies.
func lock(dir string) (io.Closer, error) {
	path := filepath.Join(dir, LockName)
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	const unshared = 0
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, unshared, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, &LockedError{dir}
	case err != nil:
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}
