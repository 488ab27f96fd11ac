package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/timing"
)

// patient is a connection on which every read and every write must get on within
// a time, however long the whole takes: a peer that is slow is served, one that
// stands still is dropped.
type patient struct {
	net.Conn
	clock env.Clock
	read  time.Duration // zero: for ever
	write time.Duration
}

// stride is how much must be written within the time, in bytes.
const stride = 256 << 10

func (p *patient) Read(b []byte) (int, error) {
	if p.read > 0 {
		if err := p.SetReadDeadline(p.clock.Now().Add(p.read)); err != nil {
			return 0, err
		}
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := p.SetWriteDeadline(p.clock.Now().Add(p.write)); err != nil {
			return done, err
		}
		n, err := p.Conn.Write(b[done:min(done+stride, len(b))])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// writer drains a queue into a connection, everything that waits in one write.
type writer struct {
	conn  net.Conn
	queue *queue
	sent  *atomic.Uint64 // bytes
	pulse *pulse         // nil on the accepting side, which only answers
}

// run writes until the connection fails or done is closed.
func (w *writer) run(done <-chan struct{}) error {
	var tick <-chan time.Time
	if w.pulse != nil {
		ticker := w.pulse.clock.NewTicker(w.pulse.every)
		defer ticker.Stop()
		tick = ticker.C()
	}
	for {
		select {
		case <-done:
			return nil
		case <-w.queue.ready:
		case <-tick:
			if err := w.pulse.beat(w.queue); err != nil {
				return err
			}
		}
		batch := w.queue.take()
		n, err := w.conn.Write(batch)
		w.sent.Add(uint64(n))
		w.queue.written(batch)
		if err != nil {
			return err
		}
		if w.pulse != nil {
			w.pulse.wrote()
		}
	}
}

// pulse tells a peer that is silent from one that is gone. Keep-alive of the
// operating system does not: it waits while data are under way, and a leader's
// heartbeats always are.
type pulse struct {
	clock   env.Clock
	every   time.Duration
	timeout time.Duration // from the moment at which a ping was written
	trips   *roundTrips
	mark    func() uint64 // how far our log has come

	sent    uint64        // pings
	sentAt  time.Time     // when the last was written; zero while it was not
	pending bool          // the last is in the batch that is written next
	seen    atomic.Uint64 // the last that was answered
}

var errSilent = errors.New("transport: the peer did not answer a ping in time")

// pingBytes is the payload of a ping: its number, our time, our mark.
const pingBytes = 3 * 8

// beat is called by the writer once in a while.
func (p *pulse) beat(q *queue) error {
	now := p.clock.Now()
	if p.seen.Load() < p.sent {
		if now.Sub(p.sentAt) > p.timeout {
			return errSilent
		}
		return nil
	}
	var payload [pingBytes]byte
	binary.LittleEndian.PutUint64(payload[:], p.sent+1)
	binary.LittleEndian.PutUint64(payload[8:], uint64(now.UnixNano()))
	binary.LittleEndian.PutUint64(payload[16:], p.mark())
	if _, err := q.put(urgent, framePing, 0, payload[:]); err == nil {
		p.sent++
		p.pending = true
	}
	return nil
}

func (p *pulse) wrote() {
	if p.pending {
		p.pending, p.sentAt = false, p.clock.Now()
	}
}

// pong is called by the reader.
func (p *pulse) pong(payload []byte) error {
	if len(payload) != pingBytes {
		return violation("a pong of %d bytes", len(payload))
	}
	p.seen.Store(binary.LittleEndian.Uint64(payload))
	sentAt := int64(binary.LittleEndian.Uint64(payload[8:]))
	p.trips.note(time.Duration(max(1, p.clock.Now().UnixNano()-sentAt)))
	return nil
}

// roundTrips is how long pings took until they were answered, queues on both sides
// included.
type roundTrips struct {
	last atomic.Int64 // nanoseconds
	all  timing.Live
}

func (r *roundTrips) note(took time.Duration) {
	r.last.Store(int64(took))
	r.all.Add(took)
}
