//go:build darwin || freebsd || linux

package vfs

import (
	"math"
	"os"
	"syscall"
)

// space counts what is left to those who are not root: some of the rest is reserved.
func space(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return blocks(int64(s.Bavail), int64(s.Bsize)), blocks(int64(s.Blocks), int64(s.Bsize)), nil
}

// blocks is so many bytes: none if the file system owes some, as one that is
// overdrawn says, and no more than there can be.
func blocks(count, size int64) int64 {
	if count <= 0 || size <= 0 {
		return 0
	}
	if count > math.MaxInt64/size {
		return math.MaxInt64
	}
	return count * size
}
