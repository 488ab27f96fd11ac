// Package freeport finds ports for tests and measurements that start servers.
package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// The ports lie below those that systems give to outgoing connections: a node that is down
// shall find its own free again, and one that is about to start, too.
const (
	first  = 10_000
	number = 22_000
)

// next is where the search begins. It is elsewhere in each process, so that those that
// run at the same time do not meet.
var next = struct {
	sync.Mutex
	port int
}{port: os.Getpid() % (number / perProcess) * perProcess}

const perProcess = 50

// Take returns a port of 127.0.0.1 on which nobody listens. It returns none again before
// it has returned all others.
func Take() (int, error) {
	next.Lock()
	defer next.Unlock()
	for range number {
		port := first + next.port
		next.port = (next.port + 1) % number
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// Addresses returns so many addresses with such ports.
func Addresses(n int) (addresses []string, err error) {
	for range n {
		port, err := Take()
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, fmt.Sprint("127.0.0.1:", port))
	}
	return addresses, nil
}
