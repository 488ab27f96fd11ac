//go:build linux

package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// network joins the namespaces of the nodes, and ours, which is number 0. Each has
// a TUN device whose other end is a file here: every packet of every node comes by
// and is passed on, later, or not at all. So a link can be cut in one direction
// only, and no kernel module and no filter is needed.
type network struct {
	ports []*os.File

	mu    sync.Mutex
	links [][]link // from, to
	held  atomic.Int64

	passed, dropped atomic.Int64 // packets
	readers         sync.WaitGroup
}

// link is how packets fare in one direction; the zero link passes them all.
type link struct {
	cut    bool
	loss   float64       // the share that is lost
	delay  time.Duration // of each packet
	jitter time.Duration // at most so much more, by chance; later packets may overtake
}

// subnet is the network's addresses without the last number. It is set aside for
// tests of networks (RFC 2544), and nobody outside our namespaces sees it.
const subnet = "198.18.0."

// networkTools returns an error that says what is missing for a network.
func networkTools() error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("the program ip is not here (Debian: iproute2): %w", err)
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no right to make network devices: %w", err)
	}
	return tun.Close()
}

// newNetwork returns a network to which nobody is connected.
func newNetwork(size int) *network {
	n := &network{ports: make([]*os.File, size), links: make([][]link, size)}
	for i := range n.links {
		n.links[i] = make([]link, size)
	}
	return n
}

// connect gives a namespace its device, or, without a name, our own namespace.
func (n *network) connect(i int, namespace string) error {
	device := fmt.Sprint("qt", i)
	port, err := openTUN(device)
	if err != nil {
		return fmt.Errorf("a TUN device: %w", err)
	}
	n.ports[i] = port
	var in []string
	if namespace != "" {
		in = []string{"-n", namespace}
		if err := ip("netns", "add", namespace); err != nil {
			return err
		}
		if err := ip("link", "set", device, "netns", namespace); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", fmt.Sprint(subnet, i+1, "/24"), "dev", device},
		{"link", "set", device, "up"},
	} {
		if err := ip(append(in[:len(in):len(in)], args...)...); err != nil {
			return err
		}
	}
	return nil
}

// run begins to pass packets on, once all are connected.
func (n *network) run() {
	for i := range n.ports {
		n.readers.Go(func() { n.read(i) })
	}
}

// close ends the network. Devices go with their files, namespaces with us.
func (n *network) close() {
	for _, port := range n.ports {
		if port != nil {
			_ = port.Close() // nothing is buffered
		}
	}
	n.readers.Wait()
}

// read passes on what one namespace sends.
func (n *network) read(from int) {
	packet := make([]byte, 1<<16)
	for {
		size, err := n.ports[from].Read(packet)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		// What is no IPv4 is the kernel's search for routers.
		if err != nil || size < 20 || packet[0]>>4 != 4 {
			continue
		}
		if to := int(packet[19]) - 1; to >= 0 && to < len(n.ports) {
			n.pass(packet[:size], from, to)
		}
	}
}

// mostHeld is how many packets may be under way at a time: a network does not
// keep everything either.
const mostHeld = 20_000

func (n *network) pass(packet []byte, from, to int) {
	n.mu.Lock()
	l := n.links[from][to]
	n.mu.Unlock()
	if l.cut || rand.Float64() < l.loss || n.held.Load() > mostHeld {
		n.dropped.Add(1)
		return
	}
	n.passed.Add(1)
	if l.delay == 0 {
		_, _ = n.ports[to].Write(packet) // what does not get through is lost: a network may
		return
	}
	n.held.Add(1)
	late := append([]byte(nil), packet...)
	time.AfterFunc(l.delay+rand.N(l.jitter+1), func() {
		_, _ = n.ports[to].Write(late)
		n.held.Add(-1)
	})
}

// set changes the links for which a function says so.
func (n *network) set(change func(from, to int, l *link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for from := range n.links {
		for to := range n.links[from] {
			if from != to {
				change(from, to, &n.links[from][to])
			}
		}
	}
}

// heal lets all packets pass again.
func (n *network) heal() { n.set(func(_, _ int, l *link) { *l = link{} }) }

// ip runs the program of that name.
func ip(args ...string) error {
	said, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}

// openTUN makes a device that hands its packets to a file, and is gone when the
// file is closed.
func openTUN(name string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var request struct { // struct ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], name)
	request.flags = syscall.IFF_TUN | syscall.IFF_NO_PI
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TUNSETIFF, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return nil, errors.Join(os.NewSyscallError("TUNSETIFF", errno), syscall.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}
