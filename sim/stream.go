package sim

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// stream is bulk data on their way. Its two ends belong to two processes and speak
// through events only.
type stream struct {
	from, to *endpoint
	ctx      context.Context

	chunk   int           // how much travels at once, in bytes
	room    int           // chunks that may be sent before one is taken
	sent    int           // bytes
	relief  chan struct{} // holds a signal when there is room, a reply, or a verdict
	replied bool
	reply   []byte
	judged  bool
	verdict error
	over    bool // the sender has ended it
	broken  bool // nothing arrives any more, in either direction
	body    *body

	there, back time.Duration // when the last thing sent that way arrives
}

// window is how many chunks may be under way.
const window = 4

// How much of a stream travels at once, in bytes: first little, so that a small one
// too is cut into several, and each time twice as much.
const (
	firstChunk = 32
	maxChunk   = 16 << 10
)

// OpenStream implements quorate.Transport.
func (e *endpoint) OpenStream(ctx context.Context, to raft.NodeID, header []byte) (quorate.Stream, error) {
	net := e.node.sim.net
	target := net.find(e.peers[to], to)
	if d := e.doors[target]; !e.up() || target == nil || d == nil || !d.open {
		return nil, fmt.Errorf("sim: no way to node %d", to)
	}
	s := &stream{from: e, to: target, ctx: ctx, chunk: firstChunk, room: window, relief: make(chan struct{}, 1)}
	s.body = &body{stream: s, wake: make(chan struct{}, 1)}
	net.streams = slices.DeleteFunc(net.streams, (*stream).ended)
	net.streams = append(net.streams, s)
	header = append([]byte{}, header...)
	s.toReceiver(func() {
		target.pass(e, func() {
			target.tasks.Go(&target.node.process, func() {
				err := target.cfg.Handler.Stream(e.cfg.Node, header, s.body)
				s.toSender(func() { s.judge(err, true) })
			})
		})
	})
	return s, nil
}

// toReceiver plans something at the other end; if it cannot get there, the stream
// breaks after a while.
func (s *stream) toReceiver(do func()) {
	if s.broken {
		return
	}
	net := s.from.node.sim.net
	if w := &net.weather; chance(net.world.rng, w.Break) || chance(net.world.rng, w.Drop/8) { // lost frames are sent again, but not for ever
		s.breakOff(net.weather.Most.D())
		return
	}
	if d, ok := net.transit(net.link(s.from.node.number, s.to.node.number), &s.there); ok && s.to.up() {
		net.world.after(d, &s.to.node.process, do)
		return
	}
	s.breakOff(hangs)
}

func (s *stream) toSender(do func()) {
	if s.broken {
		return
	}
	net := s.from.node.sim.net
	if d, ok := net.transit(net.link(s.to.node.number, s.from.node.number), &s.back); ok && s.from.up() {
		net.world.after(d, &s.from.node.process, do)
		return
	}
	s.breakOff(hangs)
}

// breakOff ends the connection; both ends find out after a while.
func (s *stream) breakOff(after time.Duration) {
	s.broken = true
	w := s.from.node.world
	w.after(after, &s.from.node.process, func() { s.judge(errBroken, false) })
	w.after(after, &s.to.node.process, func() { s.body.end(errBroken) })
}

func (s *stream) ended() bool { return s.judged || !s.from.up() && !s.to.up() }

func (s *stream) judge(err error, spoken bool) {
	if s.judged {
		return
	}
	if err != nil && spoken {
		err = fmt.Errorf("%w: %w", transport.ErrStreamRefused, err)
	}
	s.judged, s.verdict = true, err
	signal(s.relief)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// await waits for room or the verdict.
func (s *stream) await(ready func() bool) error {
	p := &s.from.node.process
	patience := p.NewTimer(5 * hangs)
	defer patience.Stop()
	for !s.judged && !ready() {
		switch p.Wait(patience, s.relief, s.ctx.Done(), nil) {
		case 0:
			return errBroken
		case 2:
			return s.ctx.Err()
		}
	}
	return nil
}

func (s *stream) Reply() ([]byte, error) {
	if err := s.await(func() bool { return s.replied }); err != nil {
		return nil, err
	}
	if s.replied {
		return s.reply, nil
	}
	return nil, s.verdict
}

func (s *stream) Write(data []byte) (int, error) {
	for written := 0; written < len(data); {
		if err := s.await(func() bool { return s.room > 0 }); err != nil {
			return written, err
		}
		if s.judged && s.verdict != nil {
			return written, s.verdict
		}
		n := min(s.chunk, len(data)-written)
		if n == s.chunk {
			s.chunk = min(2*s.chunk, maxChunk)
		}
		chunk := append([]byte{}, data[written:written+n]...)
		s.room--
		s.sent += n
		s.toReceiver(func() { s.body.put(chunk) })
		written += n
	}
	return len(data), nil
}

func (s *stream) CloseAndWait() error {
	s.over = true
	s.toReceiver(func() { s.body.end(io.EOF) })
	if err := s.await(func() bool { return false }); err != nil {
		return err
	}
	return s.verdict
}

func (s *stream) Close() {
	if !s.over && s.from.up() {
		s.over = true
		s.toReceiver(func() { s.body.end(errBroken) })
	}
}

// body is what the receiver reads.
type body struct {
	stream *stream
	chunks [][]byte
	err    error // what follows the last chunk
	wake   chan struct{}
}

func (b *body) put(chunk []byte) {
	if b.err == nil {
		b.chunks = append(b.chunks, chunk)
		signal(b.wake)
	}
}

func (b *body) end(err error) {
	if b.err == nil {
		b.err = err
		signal(b.wake)
	}
}

// Reply implements [transport.Incoming].
func (b *body) Reply(reply []byte) error {
	s := b.stream
	reply = append([]byte{}, reply...)
	s.toSender(func() {
		s.replied, s.reply = true, reply
		signal(s.relief)
	})
	return nil
}

// Close implements [transport.Incoming].
func (b *body) Close() {
	b.end(errBroken)
	b.stream.breakOff(b.stream.from.node.sim.net.weather.Most.D())
}

func (b *body) Read(p []byte) (int, error) {
	s := b.stream
	who := &s.to.node.process
	patience := who.NewTimer(10 * time.Second)
	defer patience.Stop()
	for len(b.chunks) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		if who.Wait(patience, b.wake, nil, nil) == 0 {
			return 0, errBroken
		}
	}
	n := copy(p, b.chunks[0])
	if b.chunks[0] = b.chunks[0][n:]; len(b.chunks[0]) == 0 {
		b.chunks = b.chunks[1:]
		s.toSender(func() { s.room++; signal(s.relief) })
	}
	return n, nil
}
