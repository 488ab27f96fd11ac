package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-db/quorate/env"
)

// proxy passes connections on to an address, until it is told otherwise.
type proxy struct {
	net.Listener
	to string

	mu     sync.Mutex
	closed bool // it has nobody to pass on to
	open   []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to}
	t.Cleanup(func() { l.Close(); p.cut(true) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.pass(conn)
		}
	}()
	return p
}

func (p *proxy) pass(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	behind, err := net.Dial("tcp", p.to)
	if p.closed || err != nil {
		conn.Close()
		return
	}
	p.open = append(p.open, conn, behind)
	go func() { _, _ = io.Copy(conn, behind); conn.Close() }()
	go func() { _, _ = io.Copy(behind, conn); behind.Close() }()
}

// cut breaks all connections; for good, there is nobody behind them any more.
func (p *proxy) cut(good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = good
	for _, conn := range p.open {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset
		}
		conn.Close()
	}
	p.open = nil
}

// jumping is an environment whose clock can be set ahead.
type jumping struct {
	env.Env
	by *atomic.Int64
}

func (j jumping) Now() time.Time { return j.Env.Now().Add(time.Duration(j.by.Load())) }

// behind returns a node that is connected to another one by way of a proxy, by a
// connection that has stood for a while.
func behind(t *testing.T) (*node, *node, *proxy) {
	t.Helper()
	var by atomic.Int64
	b := start(t, 2)
	front := newProxy(t, b.Addr().String())
	a := start(t, 1, func(c *Config) { c.Env = jumping{env.Real(), &by} })
	a.SetPeer(b.id, front.Addr().String())
	a.connected(t, b)
	by.Add(int64(2 * lastDelay))
	return a, b, front
}

func (b *book) attempts() (unreachable, refused int) {
	b.note(func(b *book) { unreachable, refused = b.unreachable, b.refused })
	return unreachable, refused
}

// A reset says nothing yet: the connection is made again at once, and only if that
// ends at once, too, the process is taken for gone; and that once.
func TestAResetWithNobodyBehindItIsAHint(t *testing.T) {
	a, _, front := behind(t)
	front.cut(true)
	until(t, "several attempts have failed", func() bool { n, _ := a.attempts(); return n >= 4 })
	if _, refused := a.attempts(); refused != 1 {
		t.Errorf("the peer was taken for gone %d times, wanted once", refused)
	}
}

func TestAResetAfterWhichThePeerIsThereIsNoHint(t *testing.T) {
	a, b, front := behind(t)
	front.cut(false)
	until(t, "the connection breaks", func() bool { n, _ := a.attempts(); return n >= 1 })
	a.connected(t, b)
	if _, refused := a.attempts(); refused != 0 {
		t.Errorf("a peer that is there was taken for gone %d times", refused)
	}
}

func TestWhoIsTakenForGone(t *testing.T) {
	shaken := func(err error) error { return fmt.Errorf("%w with x:1: %w", errNoHandshake, err) }
	for _, c := range []struct {
		why           string
		err           error
		stood, anyway bool // taken for gone after a connection that stood, and without one
	}{
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true, true},
		{"reset again", shaken(syscall.ECONNRESET), true, false},
		{"closed again", shaken(io.EOF), true, false},
		{"another program", shaken(violation("not a quorate node")), true, false},
		{"another node", shaken(&refusal{refusedReceiver, "this is node 3"}), true, false},
		{"a node that has no time", shaken(&refusal{refusedBusy, "try again later"}), false, false},
		{"a node that turns us away", shaken(&refusal{refusedForgotten, "lost"}), false, false},
		{"silence", shaken(os.ErrDeadlineExceeded), false, false},
		{"no way there", &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, false, false},
		{"no answer", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, false, false},
		{"something else", errors.New("strange"), false, false},
	} {
		if got := isGone(c.err, true); got != c.stood {
			t.Errorf("%s, after a connection: gone %t, want %t", c.why, got, c.stood)
		}
		if got := isGone(c.err, false); got != c.anyway {
			t.Errorf("%s: gone %t, want %t", c.why, got, c.anyway)
		}
	}
}
