package httpapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/transport/certs"
)

// handshakeTime is how long a client may take for its handshake.
const handshakeTime = 5 * time.Second

// Doorkeeper takes clients through the handshake of TLS before they are served.
// net/http would do it too, but tells nobody who was turned away and why.
type Doorkeeper struct {
	certs  *certs.Source
	tls    TLS
	log    *slog.Logger
	failed atomic.Uint64

	mu   sync.Mutex
	said time.Time // when a failure was last logged: strangers can cause any number
	held int       // failures since then that were not
}

// TLS is which versions of it clients may speak, and in 1.2 with which suites;
// zero leaves it to package certs, and none of the suites to crypto/tls.
type TLS struct {
	Min, Max uint16
	Suites   []uint16
}

// NewDoorkeeper returns one for listeners that share certificates.
func NewDoorkeeper(source *certs.Source, tls TLS, log *slog.Logger) *Doorkeeper {
	return &Doorkeeper{certs: source, tls: tls, log: log}
}

// config is how to take the next client.
func (d *Doorkeeper) config() *tls.Config {
	// Whoever can speak HTTP/1.1 does: on a node, HTTP/2 is for gRPC, whose clients
	// offer nothing else.
	c := d.certs.Server("http/1.1", "h2")
	if d.tls.Min != 0 {
		c.MinVersion = d.tls.Min
	}
	c.MaxVersion, c.CipherSuites = d.tls.Max, d.tls.Suites
	return c
}

// Failed is how many clients were turned away since the start. There may be no
// doorkeeper.
func (d *Doorkeeper) Failed() uint64 {
	if d == nil {
		return 0
	}
	return d.failed.Load()
}

// Guard returns a listener whose connections are those of the inner one that got
// through their handshakes. Closing it closes the inner one.
func (d *Doorkeeper) Guard(inner net.Listener) net.Listener {
	g := &guarded{Listener: inner, keeper: d, passed: make(chan passed)}
	g.open, g.end = context.WithCancel(context.Background())
	go g.run()
	return g
}

// guarded is a listener with a doorkeeper.
type guarded struct {
	net.Listener
	keeper *Doorkeeper
	passed chan passed
	open   context.Context // ends with Close
	end    context.CancelFunc
}

// passed is what Accept returns next.
type passed struct {
	conn net.Conn
	err  error
}

// Accept returns the next client that got through.
func (g *guarded) Accept() (net.Conn, error) {
	select {
	case p := <-g.passed:
		return p.conn, p.err
	case <-g.open.Done():
		return nil, net.ErrClosed
	}
}

// Close ends handshakes in progress too. Whoever serves learns of it before the
// listener below is closed, and closes in its turn: either may be first.
func (g *guarded) Close() error {
	g.end()
	if err := g.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (g *guarded) run() {
	for g.open.Err() == nil {
		raw, err := g.Listener.Accept()
		if err != nil {
			g.pass(passed{err: err}) // whoever serves waits before asking again
			continue
		}
		go g.greet(raw)
	}
}

// pass reports false if nobody accepts any more.
func (g *guarded) pass(p passed) bool {
	select {
	case g.passed <- p:
		return true
	case <-g.open.Done():
		return false
	}
}

func (g *guarded) greet(raw net.Conn) {
	ctx, cancel := context.WithTimeout(g.open, handshakeTime)
	defer cancel()
	conn := tls.Server(raw, g.keeper.config())
	if err := conn.HandshakeContext(ctx); err != nil {
		g.keeper.refuse(raw, g.keeper.certs.ExplainCaller(err))
		return
	}
	if !g.pass(passed{conn: conn}) {
		raw.Close()
	}
}

// refuse turns a client away. What it has sent is read to its end, because closing
// on unread data would keep the reason from it.
func (d *Doorkeeper) refuse(raw net.Conn, err error) {
	defer raw.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return // a probe of the port, or our own end
	}
	d.failed.Add(1)
	d.complain(raw.RemoteAddr(), err)
	if raw.SetDeadline(time.Now().Add(handshakeTime)) != nil {
		return
	}
	if plain, ok := errors.AsType[*certs.Error](err); ok && plain.Plain() {
		d.answerPlain(raw)
	}
	if half, ok := raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, raw) // however that ends, it is over
	}
}

// answerPlain tells a client that begins without TLS, most likely with HTTP, in the
// same words as any other mistake.
func (d *Doorkeeper) answerPlain(raw net.Conn) {
	p := problem(wire.Malformed, "this port speaks TLS: write https instead of http")
	body, err := json.Marshal(p)
	if err != nil {
		return
	}
	// If it cannot be written nobody wants to know.
	_, _ = fmt.Fprintf(raw, "HTTP/1.0 %d Bad Request\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		p.Status, wire.ProblemType, len(body), body)
}

// complain logs one failure a second, and how many it left out.
func (d *Doorkeeper) complain(remote net.Addr, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.said) < time.Second {
		d.held++
		return
	}
	d.log.Warn("turned a client away without good credentials", "remote", remote.String(), "error", err.Error(), "left_out", d.held)
	d.said, d.held = time.Now(), 0
}
