package main

import (
	"errors"
	"os"
	"syscall"
)

// dataSyncName is what dataSync does.
const dataSyncName = "fdatasync"

func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// allocate reserves the blocks of a file, which so gets its length.
func allocate(f *os.File, bytes int64) error {
	for {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, bytes); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fallocate", err)
		}
	}
}
