//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package vfs

import (
	"errors"
	"fmt"
	"io"
)

// lock refuses: running without one would let a second process destroy the
// directory. (The browser, where this matters, has no OS file system; it uses Mem.)
func lock(dir string) (io.Closer, error) {
	return nil, fmt.Errorf("cannot lock %s on this operating system: %w", dir, errors.ErrUnsupported)
}
