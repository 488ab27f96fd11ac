//go:build linux

package torture

import (
	"fmt"
	"os"
	"syscall"
)

// disk is a small file system of its own, whose end can be brought near.
type disk struct{ dir string }

// plenty is the size of a disk while it is not full. It is a limit; only what is
// written takes memory.
const plenty = "size=2g"

// mountDisk makes a directory a disk, or returns an error where that is not
// allowed.
func mountDisk(dir string) (*disk, error) {
	if os.Getenv(inside) == "" {
		return nil, fmt.Errorf("a small disk needs a mount namespace of its own")
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, plenty); err != nil {
		return nil, fmt.Errorf("a small disk needs the right to mount a tmpfs: %w", err)
	}
	return &disk{dir}, nil
}

// fill leaves no room for another page. A node that writes meanwhile may be in the
// way of the first attempts.
func (d *disk) fill() (err error) {
	for range 100 {
		var s syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &s); err != nil {
			return err
		}
		used := int64(s.Blocks-s.Bfree) * s.Bsize
		if err = d.remount(fmt.Sprint("size=", used)); err == nil {
			return nil
		}
	}
	return err
}

// empty makes room.
func (d *disk) empty() error { return d.remount(plenty) }

func (d *disk) remount(options string) error {
	if err := syscall.Mount("none", d.dir, "tmpfs", syscall.MS_REMOUNT, options); err != nil {
		return fmt.Errorf("the disk cannot change to %s: %w", options, err)
	}
	return nil
}

// unmount lets the disk go.
func (d *disk) unmount() error { return syscall.Unmount(d.dir, syscall.MNT_DETACH) }
