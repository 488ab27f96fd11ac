//go:build !linux

package transport

import "syscall"

// limitUnsent does nothing where we do not know how to.
func limitUnsent(_, _ string, _ syscall.RawConn) error { return nil }
