package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quorate-db/quorate/raft/membership"
)

// accept takes connections until the listener is closed. An error of Accept
// itself (too many open files, say) passes; it must not spin meanwhile.
func (t *Transport) accept() {
	for {
		conn, err := t.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			t.log.warn("cannot accept a connection from a peer; trying again", "error", err.Error())
			if !t.sleep(firstDelay) {
				return
			}
		case t.counters.accepted.Add(1) > int64(t.cfg.Limits.Connections):
			t.counters.accepted.Add(-1)
			t.counters.refused.Add(1)
			conn.Close()
			t.log.warn("too many connections from peers; closed a new one",
				"remote", conn.RemoteAddr().String(), "limit", t.cfg.Limits.Connections)
		case t.track(conn):
			t.tasks.Go(func() {
				defer t.counters.accepted.Add(-1)
				defer t.release(conn)
				t.blame(conn, t.admit(conn))
			})
		}
	}
}

func (t *Transport) sleep(d time.Duration) bool {
	timer := t.cfg.Env.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-t.ctx.Done():
		return false
	}
}

// admit takes a connection through its handshake, for which the whole of it has
// one deadline, and then serves it to its end.
func (t *Transport) admit(conn net.Conn) error {
	if err := conn.SetDeadline(t.cfg.Env.Now().Add(t.cfg.Limits.Timeout)); err != nil {
		return err
	}
	conn, err := t.greet(conn)
	if err != nil || conn == nil {
		return err
	}
	h, err := readHello(conn)
	var no *refusal
	if err != nil && !errors.As(err, &no) {
		t.counters.refused.Add(1)
		return noHandshake(err)
	}
	var l *link
	if no == nil {
		no = t.vouch(conn, h.from)
	}
	if no == nil {
		l, no = t.invite(&h)
	}
	if no != nil {
		t.counters.refused.Add(1)
		t.log.warn("refused a connection", "remote", conn.RemoteAddr().String(), "peer", name(h.from), "reason", no.text)
		if err := answerHello(conn, no, t.origin, t.hlc.Now()); err != nil || no.code != refusedTLS {
			return err
		}
		return t.leave(conn) // with most of its words unread, which closing would turn into a reset
	}
	defer t.farewell(l, h.purpose)
	if err := answerHello(conn, nil, t.origin, t.hlc.Now()); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if h.purpose == forStream {
		return t.serveStream(conn, h.from)
	}
	return l.receive(conn, h.origin.Life)
}

// noHandshake makes a stranger's silence, and a hello that breaks off, the
// stranger's fault: a log line is how an operator learns what knocks there.
func noHandshake(err error) error {
	if errors.Is(err, errViolation) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return violation("no handshake: %v", err)
}

// invite decides on a hello. A link that it returns is held until farewell.
func (t *Transport) invite(h *hello) (*link, *refusal) {
	switch {
	case h.cluster != t.cfg.Cluster:
		return nil, &refusal{refusedCluster, fmt.Sprintf("this node belongs to cluster %x, not %x", t.cfg.Cluster, h.cluster)}
	case h.to != t.cfg.Node:
		return nil, &refusal{refusedReceiver, fmt.Sprintf("this is node %x, not %x; its address belongs to another node now", t.cfg.Node, h.to)}
	case h.from == 0 || h.from == t.cfg.Node:
		return nil, &refusal{refusedHello, fmt.Sprintf("a peer cannot be node %x", h.from)}
	case h.address == "" || len(h.address) > membership.MaxAddress:
		return nil, &refusal{refusedHello, "the address to call back is missing"}
	case h.purpose != forMessages && h.purpose != forStream:
		return nil, &refusal{refusedHello, fmt.Sprintf("a connection for the unknown purpose %d", h.purpose)}
	}
	if no := t.recall(h.from, h.origin); no != nil {
		return nil, no
	}
	if h.purpose == forStream && t.counters.streams.Add(1) > int64(t.cfg.Limits.Streams) {
		t.counters.streams.Add(-1)
		return nil, &refusal{refusedBusy, fmt.Sprintf("%d streams are coming in already; try again later", t.cfg.Limits.Streams)}
	}
	l := t.meet(h)
	if l == nil {
		if h.purpose == forStream {
			t.counters.streams.Add(-1)
		}
		return nil, &refusal{refusedBusy, fmt.Sprintf("%d peers are known already", t.cfg.Limits.Peers)}
	}
	return l, nil
}

// meet returns the link to a peer that called. Its own word about its address
// lets us answer somebody whom the log has not told us about yet.
func (t *Transport) meet(h *hello) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.links[h.from]
	if l == nil {
		if t.closed || len(t.links) >= t.cfg.Limits.Peers {
			return nil
		}
		l = t.addLink(h.from, h.address, false)
	} else {
		l.setAddress(h.address, false)
	}
	l.visits++
	return l
}

func (t *Transport) farewell(l *link, why purpose) {
	if why == forStream {
		t.counters.streams.Add(-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.visits--
}

// inbound is the connection on which a peer talks to us, one at a time.
type inbound struct {
	conn   net.Conn
	done   chan struct{} // closed when it is no longer served
	life   uint64        // of the peer's process
	number uint64        // of the last frame
}

// enter makes conn the peer's connection. An older one is done with first: the
// peer has given it up, and order holds across both.
func (l *link) enter(conn net.Conn, life uint64) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.in.conn != nil {
		old, done := l.in.conn, l.in.done
		l.mu.Unlock()
		old.Close()
		<-done
		l.mu.Lock()
	}
	done := make(chan struct{})
	l.in.conn, l.in.done = conn, done
	if l.in.life != life {
		l.in.life, l.in.number = life, 0
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.in.conn = nil
		close(done)
	}
}

// receive serves the peer's connection until it breaks.
func (l *link) receive(conn net.Conn, life uint64) error {
	defer l.enter(conn, life)()
	limits := &l.t.cfg.Limits
	wire := &patient{Conn: conn, clock: l.t.cfg.Env, read: limits.silence(), write: limits.Timeout}
	answers := newQueue(l.t.hlc, limits)
	leave := context.AfterFunc(l.gone, func() { conn.Close() })
	defer leave()
	stop, written := make(chan struct{}), make(chan struct{})
	l.t.tasks.Go(func() {
		defer close(written)
		w := writer{conn: wire, queue: answers, sent: &l.stats.sent}
		w.run(stop) // if it fails the connection is broken, which the reader notices
		conn.Close()
	})
	err := l.readMessages(wire, answers)
	close(stop)
	conn.Close()
	<-written
	answers.close()
	return err
}

func (l *link) readMessages(conn net.Conn, answers *queue) error {
	frames := frameReader{r: bufio.NewReaderSize(conn, 64<<10), limit: l.t.cfg.Limits.MaxFrame}
	calls := callServer{link: l, conn: conn, answers: answers}
	for {
		f, err := frames.next()
		if err != nil {
			return err
		}
		l.stats.received.Add(uint64(headerSize + len(f.payload)))
		l.t.observe(l.id, f.clock)
		if l.repeated(f.number) {
			continue
		}
		switch f.kind {
		case frameMessages:
			err = l.onMessages(f.payload)
		case frameCall:
			err = calls.onCall(f.payload)
		case framePing:
			if err = l.learn(f.payload); err == nil {
				_, err = answers.put(urgent, framePong, 0, f.payload)
			}
		default:
			err = violation("frame type %d on a connection for messages", f.kind)
		}
		if err != nil {
			return err
		}
	}
}

// repeated takes note of a frame's number. What we have seen is not taken twice.
func (l *link) repeated(number uint64) bool {
	last := l.in.number // only the one goroutine between enter and leave writes it
	if number <= last {
		l.stats.repeats.Add(1)
		return true
	}
	if last > 0 {
		l.stats.missed.Add(number - last - 1)
	}
	l.in.number = number
	return false
}

func (l *link) onMessages(payload []byte) error {
	messages, err := decodeMessages(l.id, l.t.cfg.Node, payload)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		l.t.cfg.Handler.Receive(l.id, messages)
	}
	return nil
}
