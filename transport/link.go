package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// link is a peer as we see it: our connection to it, what waits for it, and the
// connection on which it talks to us.
//
// A peer that was named by SetPeer is dialled for ever. One that merely called us
// is dialled too, so that it can be answered, but forgotten when it is gone.
type link struct {
	t      *Transport
	id     raft.NodeID
	queue  *queue
	drafts [2]draft      // by lane; belong to Send
	kick   chan struct{} // holds a token if dialling now makes sense
	gone   context.Context
	leave  context.CancelFunc
	stats  linkStats

	unanswered unanswered
	writer     atomic.Pointer[writer] // of our last connection to it

	mu      sync.Mutex
	address string
	fixed   bool     // the address is from SetPeer
	conn    net.Conn // ours to it; nil while there is none
	calls   pending
	in      inbound

	visits int // incoming connections of it, guarded by t.mu: it is not forgotten meanwhile
}

type linkStats struct {
	state           atomic.Int32
	sent, received  atomic.Uint64 // bytes
	missed, repeats atomic.Uint64 // frames
	roundTrips      roundTrips
	lastError       atomic.Pointer[string]
}

func newLink(t *Transport, id raft.NodeID) *link {
	l := &link{t: t, id: id, queue: newQueue(t.hlc, &t.cfg.Limits), kick: make(chan struct{}, 1)}
	l.calls.waiting = map[uint64]*call{}
	l.gone, l.leave = context.WithCancel(t.ctx)
	return l
}

// setAddress is called with t.mu held. What SetPeer said outweighs what the peer
// says about itself.
func (l *link) setAddress(address string, fixed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fixed || !l.fixed {
		if l.address != address && l.conn != nil {
			l.conn.Close() // and dial again, at the new address
		}
		l.address, l.fixed = address, l.fixed || fixed
	}
	l.wake()
}

func (l *link) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *link) dialAddress() (address string, fixed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.address, l.fixed
}

// run keeps a connection to the peer until the link is left or forgotten. What is
// sent while the first attempt is under way waits for it; once one has failed,
// nothing waits until there is a connection again: it would only grow old.
func (l *link) run() {
	defer func() {
		l.queue.close()
		l.failCalls(true)
		l.leave()
	}()
	pause := backoff{random: l.t.cfg.Env}
	stood := false // the last connection did, and what we know since is one attempt
	for l.gone.Err() == nil {
		l.stats.state.Store(int32(Dialing))
		address, _ := l.dialAddress()
		gone := false
		conn, err := l.t.dial(l.gone, l.id, address, forMessages)
		if err == nil {
			l.queue.reopen()
			start := l.t.cfg.Env.Now()
			err = l.serve(conn, address)
			l.failCalls(false)
			stood = pause.held(l.t.cfg.Env.Now().Sub(start))
		} else {
			l.queue.close()
			l.failCalls(true)
			pause.failed()
			gone, stood = isGone(err, stood), false
		}
		if l.gone.Err() != nil || !l.lost(address, err, gone) {
			return
		}
		l.wait(pause.next())
	}
}

// lost reports whether to go on after the connection broke or was not made.
func (l *link) lost(address string, err error, gone bool) bool {
	was := State(l.stats.state.Swap(int32(Waiting)))
	text := err.Error()
	if last := l.stats.lastError.Swap(&text); was == Connected || last == nil || *last != text {
		l.t.log.warn("no connection to a peer; trying again", "peer", name(l.id), "address", address, "error", text)
	}
	l.t.cfg.Handler.Unreachable(l.id, gone)
	if no, is := errors.AsType[*refusal](err); is && no.code == refusedForgotten && l.t.cfg.Memory != nil {
		l.t.cfg.Memory.Refused(l.id, no.text)
	}
	return was == Connected || !l.t.forget(l)
}

// isGone reports whether an attempt to connect shows that the peer's process is gone, as
// far as it can be seen from here: nobody listens at its address. Or, right after a connection that
// stood, somebody does who is not the peer: another node, another program, or a proxy that
// has nobody to pass us on to. That may be a mistake, and so counts once for each
// connection that stood. A peer that is slow, or itself turns us away, lives.
func isGone(err error, stood bool) bool {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	no, answered := errors.AsType[*refusal](err)
	slow, is := errors.AsType[net.Error](err)
	return stood && errors.Is(err, errNoHandshake) && !(answered && no.code != refusedReceiver) && !(is && slow.Timeout())
}

// forget drops a link that nobody asked for and whose peer has gone.
func (t *Transport) forget(l *link) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, fixed := l.dialAddress()
	if fixed || l.visits > 0 || t.links[l.id] != l {
		return false
	}
	delete(t.links, l.id)
	return true
}

// wait ends early when the peer shows a sign of life or gets another address.
func (l *link) wait(d time.Duration) {
	if d == 0 {
		return
	}
	timer := l.t.cfg.Env.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-l.kick:
	case <-l.gone.Done():
	}
}

// errNoHandshake says that there was a connection, and not with whom we wanted.
var errNoHandshake = errors.New("no handshake")

// dial makes a connection for the purpose and introduces us. It is tracked.
func (t *Transport) dial(ctx context.Context, to raft.NodeID, address string, why purpose) (net.Conn, error) {
	limits := &t.cfg.Limits
	dialer := net.Dialer{Timeout: limits.Timeout, KeepAliveConfig: keepAlive(limits), Control: limitUnsent}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if !t.track(conn) {
		return nil, net.ErrClosed
	}
	wire, err := t.introduceTo(ctx, conn, address, hello{
		cluster: t.cfg.Cluster, from: t.cfg.Node, to: to,
		origin: t.origin, purpose: why, address: t.cfg.Advertise,
	})
	if err != nil {
		t.release(conn)
		return nil, fmt.Errorf("%w with %s: %w", errNoHandshake, address, err)
	}
	return wire, nil
}

func (t *Transport) introduceTo(ctx context.Context, conn net.Conn, address string, h hello) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if err := conn.SetDeadline(t.cfg.Env.Now().Add(t.cfg.Limits.Timeout)); err != nil {
		return nil, err
	}
	wire, err := t.prove(conn, address)
	if err == nil {
		err = t.exchange(wire, h)
	}
	switch {
	case !stop():
		return nil, context.Cause(ctx) // it is what closed the connection
	case err != nil:
		return nil, err
	}
	return wire, wire.SetDeadline(time.Time{})
}

// exchange takes the connection through the handshake, at the end of which both ends
// know whom they talk to.
func (t *Transport) exchange(wire net.Conn, h hello) error {
	if no := t.vouch(wire, h.to); no != nil {
		return fmt.Errorf("transport: this node turns the peer away: %s", no.text)
	}
	is, err := introduce(wire, h, t.hlc.Now())
	if err != nil {
		return err
	}
	if no := t.recall(h.to, is); no != nil {
		return fmt.Errorf("transport: this node turns the peer away: %s", no.text)
	}
	return nil
}

// serve uses our connection until it breaks and returns why.
func (l *link) serve(conn net.Conn, address string) error {
	limits := &l.t.cfg.Limits
	wire := &patient{Conn: conn, clock: l.t.cfg.Env, write: limits.Timeout}
	stop := context.AfterFunc(l.gone, func() { conn.Close() })
	defer stop()
	l.setConn(conn, address)
	defer l.setConn(nil, address)
	l.stats.state.Store(int32(Connected))
	l.t.cfg.Logger.Info("connected to a peer", "peer", name(l.id), "address", conn.RemoteAddr().String())

	beat := &pulse{clock: l.t.cfg.Env, every: limits.pingEvery(), timeout: limits.Timeout, trips: &l.stats.roundTrips, mark: l.t.mark}
	read := make(chan struct{})
	var readErr error
	l.t.tasks.Go(func() {
		defer close(read)
		readErr = l.readAnswers(wire, beat)
	})
	w := &writer{conn: wire, queue: l.queue, sent: &l.stats.sent, pulse: beat, eager: newEager(conn)}
	l.writer.Store(w)
	err := w.run(read)
	w.stop()
	l.t.release(conn)
	<-read
	if err == nil {
		err = readErr
	}
	l.t.blame(conn, err)
	return err
}

// push has what was put into the queue written: here and now, or by the goroutine that does.
func (l *link) push() {
	if w := l.writer.Load(); w == nil || !w.push() {
		l.queue.signal()
	}
}

// setConn lets setAddress close the connection. If the peer was given another
// address while this one was dialled, it is closed at once.
func (l *link) setConn(conn net.Conn, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if conn != nil && l.address != address {
		conn.Close()
	}
}

// readAnswers takes what comes back on our connection until it breaks.
func (l *link) readAnswers(conn net.Conn, beat *pulse) error {
	frames := frameReader{r: bufio.NewReaderSize(conn, 64<<10), limit: l.t.cfg.Limits.MaxFrame}
	for {
		f, err := frames.next()
		if err != nil {
			return err
		}
		l.stats.received.Add(uint64(headerSize + len(f.payload)))
		l.t.observe(l.id, f.clock)
		switch f.kind {
		case framePong:
			err = beat.pong(f.payload)
		case frameAnswer:
			err = l.onAnswer(f.payload)
		default:
			err = violation("frame type %d on a connection that only answers", f.kind)
		}
		if err != nil {
			return err
		}
	}
}

// backoff spreads attempts: 20 ms at first, doubled up to a second, half of it by
// chance, so that the peers of a node that restarts do not all call at once.
type backoff struct {
	random interface{ Uint64() uint64 }
	delay  time.Duration
}

const (
	firstDelay = 20 * time.Millisecond
	lastDelay  = time.Second
)

// held takes note of how long a connection lasted, and reports whether it stood for a
// while. Such a one is dialled again at once, so that we soon know whether its process is gone.
func (b *backoff) held(d time.Duration) (stood bool) {
	if d < lastDelay {
		b.failed()
		return false
	}
	b.delay = 0
	return true
}

func (b *backoff) failed() { b.delay = min(max(2*b.delay, firstDelay), lastDelay) }

func (b *backoff) next() time.Duration {
	if b.delay == 0 {
		return 0
	}
	half := b.delay / 2
	return half + time.Duration(b.random.Uint64()%uint64(half+1))
}
