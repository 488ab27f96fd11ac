//go:build unix

package transport

import (
	"net"
	"syscall"
)

// eager writes to a connection as much as the system takes without waiting.
type eager struct {
	raw  syscall.RawConn
	data []byte
	done int
	try  func(fd uintptr) bool
}

// newEager is nil for a connection that is not the system's own, as with TLS.
func newEager(conn net.Conn) *eager {
	system, is := conn.(syscall.Conn)
	if !is {
		return nil
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil
	}
	e := &eager{raw: raw}
	e.try = func(fd uintptr) bool {
		if n, err := syscall.Write(int(fd), e.data); err == nil {
			e.done = n
		}
		return true // not to be called again when there is room
	}
	return e
}

// write has the signature of a writer's, but what it could not write is no error: whoever
// waits finds out why.
func (e *eager) write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	e.data, e.done = b, 0
	_ = e.raw.Write(e.try)
	e.data = nil
	return e.done, nil
}
