//go:build !(darwin || freebsd || linux)

package vfs

import (
	"errors"
	"fmt"
)

// space is not known here: a full disk is met when a write finds no room.
func space(dir string) (free, total int64, err error) {
	return 0, 0, fmt.Errorf("the space left on the disk of %s cannot be told on this operating system: %w", dir, errors.ErrUnsupported)
}
