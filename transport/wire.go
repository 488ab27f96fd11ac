package transport

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
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

	mu    sync.Mutex // held by who writes
	eager *eager     // nil: only run writes
	batch []byte     // that was taken from the queue and not yet written; nil: none
	done  int        // bytes of it
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
		beat := false
		select {
		case <-done:
			return nil
		case <-w.queue.ready:
		case <-tick:
			beat = true
		}
		if err := w.drain(beat); err != nil {
			return err
		}
	}
}

// drain writes what push has left of a batch and then what waits.
func (w *writer) drain(beat bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.batch != nil {
		if err := w.write(w.conn.Write); err != nil {
			return err
		}
	}
	if beat {
		if err := w.pulse.beat(w.queue); err != nil {
			return err
		}
	}
	return w.write(w.conn.Write)
}

// pushBytes is how much is written by those who send it: what takes longer is left to the
// writer's own goroutine, while they go on.
const pushBytes = 16 << 10

// push writes what waits on the goroutine that has put it there, which then need not wake
// another: if that is little, nobody else writes, and the system takes it at once. It
// never waits. It reports whether nothing is left to do.
func (w *writer) push() bool {
	if w.queue.waiting() > pushBytes || !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	if w.eager == nil || w.batch != nil {
		return false
	}
	return w.write(w.eager.write) == nil && w.batch == nil
}

// write writes what is left of a batch, or else the next one.
func (w *writer) write(to func([]byte) (int, error)) error {
	if w.batch == nil {
		w.batch = w.queue.take()
	}
	n, err := to(w.batch[w.done:])
	w.sent.Add(uint64(n))
	if w.done += n; err == nil && w.done == len(w.batch) {
		w.queue.written(w.batch)
		w.batch, w.done = nil, 0
		if w.pulse != nil {
			w.pulse.wrote()
		}
	}
	return err
}

// stop ends pushing: what waits is for another connection.
func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.eager = nil
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
