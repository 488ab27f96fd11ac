package transport

import "syscall"

// maxUnsent is how much the system keeps of what was written and cannot be sent yet, in
// bytes: nothing overtakes it.
const maxUnsent = 256 << 10

const tcpNotSentLowat = 25 // TCP_NOTSENT_LOWAT, of linux/tcp.h

// limitUnsent is for a net.Dialer. Where a system does not know it, things are as without.
func limitUnsent(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, maxUnsent) })
}
