package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/quorate-db/quorate/raft"
)

// ErrStreamRefused is what the sender of a stream gets if the receiver's handler
// returned an error, with that error's text.
var ErrStreamRefused = errors.New("transport: the receiver refused the stream")

// MaxReply is how long the reply to a stream's header may be, in bytes.
const MaxReply = 4 << 10

const (
	chunkSize  = 64 << 10
	maxVerdict = MaxReply // payload of a verdict, in bytes

	verdictAccepted = 0
	verdictRefused  = 1
)

// Stream is bulk data on their way to a peer, on a connection of their own. It is
// used by one goroutine. It must be ended by CloseAndWait or Close.
type Stream struct {
	t      *Transport
	ctx    context.Context
	conn   net.Conn
	wire   *patient
	stop   func() bool
	number uint64
	chunk  []byte // the frame of the next chunk, as far as there is any of it

	replied chan struct{} // closed when the receiver has replied to the header
	reply   []byte        // read after replied
	judged  chan struct{} // closed when the receiver has spoken or is gone
	verdict error         // read after judged
	spoken  bool          // it was the receiver's word
}

// OpenStream connects to the peer for one stream. The header tells the peer's
// handler what it is about. When ctx ends, the stream breaks.
func (t *Transport) OpenStream(ctx context.Context, to raft.NodeID, header []byte) (*Stream, error) {
	l := t.link(to)
	if l == nil {
		return nil, fmt.Errorf("transport: no address of node %s is known", name(to))
	}
	if len(header) > chunkSize {
		return nil, fmt.Errorf("transport: a stream's header has %d bytes, at most %d are allowed", len(header), chunkSize)
	}
	if !t.begin() {
		return nil, net.ErrClosed
	}
	address, _ := l.dialAddress()
	conn, err := t.dial(ctx, to, address, forStream)
	if err != nil {
		t.tasks.Done()
		return nil, err
	}
	limits := &t.cfg.Limits
	s := &Stream{
		t: t, ctx: ctx, conn: conn,
		wire:    &patient{Conn: conn, clock: t.cfg.Env, write: limits.streamPatience()},
		stop:    context.AfterFunc(ctx, func() { conn.Close() }),
		chunk:   make([]byte, headerSize, headerSize+chunkSize),
		replied: make(chan struct{}),
		judged:  make(chan struct{}),
	}
	go s.awaitVerdict()
	if err := s.send(frameOpen, header); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// begin announces one more goroutine, unless Close waits for the last.
func (t *Transport) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.tasks.Add(1)
	}
	return !t.closed
}

// awaitVerdict reads all along, so that a receiver that gives up early need not
// be sent the rest.
func (s *Stream) awaitVerdict() {
	defer s.t.tasks.Done()
	defer close(s.judged)
	frames := frameReader{r: s.conn, limit: maxVerdict}
	f, err := frames.next()
	if err == nil && f.kind == frameReply {
		s.reply = f.payload
		close(s.replied)
		f, err = frames.next()
	}
	switch {
	case err != nil:
		s.verdict = fmt.Errorf("transport: the stream broke: %w", err)
	case f.kind != frameVerdict || len(f.payload) == 0:
		s.verdict = violation("frame type %d instead of a verdict", f.kind)
	case f.payload[0] == verdictAccepted:
		s.spoken = true
	default:
		s.spoken = true
		s.verdict = fmt.Errorf("%w: %s", ErrStreamRefused, f.payload[1:])
	}
	s.t.blame(s.conn, s.verdict)
}

// Reply waits for what the receiver says about the header. It is nil, without an
// error, if the receiver has accepted the stream and needs nothing of it.
func (s *Stream) Reply() ([]byte, error) {
	s.await(s.replied)
	select {
	case <-s.replied: // the connection may have broken since
		return s.reply, nil
	default:
		return nil, s.broken(s.verdict)
	}
}

// await waits for the receiver to reply or to judge, or until its patience is over: its
// system may keep the connection alive while it stands still itself, or its disk does.
func (s *Stream) await(replied <-chan struct{}) {
	patience := s.t.cfg.Env.NewTimer(s.t.cfg.Limits.replyPatience())
	defer patience.Stop()
	select {
	case <-replied:
	case <-s.judged:
	case <-patience.C():
		s.conn.Close()
		<-s.judged
	}
}

// Write sends p, or keeps it for the next chunk. If the receiver has refused the
// stream already, the error says so; if it has enough, p is thrown away. To write
// nothing sends what was kept, or an empty chunk if nothing was: a receiver that has to
// wait for more shall know that somebody is there.
func (s *Stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, s.sendChunk()
	}
	written := 0
	for written < len(p) {
		n := min(len(p)-written, cap(s.chunk)-len(s.chunk))
		s.chunk = append(s.chunk, p[written:written+n]...)
		if len(s.chunk) == cap(s.chunk) {
			if err := s.flush(); err != nil {
				return written, err
			}
		}
		written += n
	}
	return written, nil
}

func (s *Stream) flush() error {
	if len(s.chunk) == headerSize {
		return nil
	}
	return s.sendChunk()
}

func (s *Stream) sendChunk() error {
	err := s.write(frameChunk, s.chunk)
	s.chunk = s.chunk[:headerSize]
	return err
}

func (s *Stream) send(kind frameType, payload []byte) error {
	return s.write(kind, append(make([]byte, headerSize), payload...))
}

// write seals a frame, whose payload is in its place, and sends it.
func (s *Stream) write(kind frameType, frame []byte) error {
	select {
	case <-s.judged:
		return s.broken(s.verdict)
	default:
	}
	s.number++
	sealFrame(frame, kind, s.number, s.t.hlc.Now())
	if _, err := s.wire.Write(frame); err != nil {
		return s.failed(err)
	}
	return nil
}

// failed explains a write that failed: the receiver's verdict, which may wait to
// be read although the connection is gone, is worth more than the operating
// system's words. Only where nothing is known yet must reading be cut short.
func (s *Stream) failed(err error) error {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		s.conn.Close()
	}
	<-s.judged
	if s.spoken {
		return s.verdict
	}
	return s.broken(fmt.Errorf("transport: the stream broke: %w", err))
}

func (s *Stream) broken(err error) error {
	if cause := s.ctx.Err(); cause != nil && !s.spoken {
		return fmt.Errorf("transport: the stream was given up: %w", cause)
	}
	return err
}

// CloseAndWait ends the stream and returns what became of it: nil once the
// receiver's handler has returned nil, an error that wraps ErrStreamRefused if it
// returned another, any other error if nothing is known: the connection broke, or the
// handler has taken 60 times Limits.Timeout.
func (s *Stream) CloseAndWait() error {
	defer s.Close()
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.send(frameEnd, nil); err != nil {
		return err
	}
	s.await(nil)
	return s.broken(s.verdict)
}

// Close breaks the stream off unless it has ended. It may be called again.
func (s *Stream) Close() {
	s.stop()
	s.t.release(s.conn)
	<-s.judged
}

// serveStream hands an incoming stream to the handler and returns its verdict.
func (t *Transport) serveStream(conn net.Conn, from raft.NodeID) error {
	limits := &t.cfg.Limits
	wire := &patient{Conn: conn, clock: t.cfg.Env, read: limits.streamPatience(), write: limits.Timeout}
	frames := frameReader{r: wire, limit: chunkSize}
	f, err := frames.next()
	if err != nil {
		return err
	}
	if f.kind != frameOpen {
		return violation("frame type %d at the start of a stream", f.kind)
	}
	frames.lent = make([]byte, chunkSize) // from now on: the header is the handler's
	body := &streamBody{t: t, conn: conn, wire: wire, frames: frames, last: f.number}
	verdict := t.cfg.Handler.Stream(from, f.payload, body)
	if errors.Is(body.err, errViolation) {
		return body.err
	}
	status, text := []byte{verdictAccepted}, ""
	if verdict != nil {
		status[0], text = verdictRefused, verdict.Error()
	}
	text = text[:min(len(text), maxVerdict-1)]
	if _, err := wire.Write(appendFrame(nil, frameVerdict, body.said+1, t.hlc.Now(), status, []byte(text))); err != nil {
		return err
	}
	return t.linger(conn)
}

// linger reads what is still under way before the connection is closed: closing
// on unread data would reset it, and the sender might never see the verdict.
func (t *Transport) linger(conn net.Conn) error {
	if err := conn.SetReadDeadline(t.cfg.Env.Now().Add(t.cfg.Limits.Timeout)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	return err
}

// streamBody is an incoming stream. It implements [Incoming].
type streamBody struct {
	t    *Transport
	conn net.Conn
	wire io.Writer
	said uint64 // frames

	frames frameReader
	last   uint64 // number of the newest frame
	rest   []byte // of the newest chunk
	err    error  // final
}

func (b *streamBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		b.rest, b.err = b.chunk()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *streamBody) Reply(reply []byte) error {
	if b.said > 0 || len(reply) > MaxReply {
		return fmt.Errorf("transport: a stream has one reply, of at most %d bytes", MaxReply)
	}
	b.said++
	_, err := b.wire.Write(appendFrame(nil, frameReply, b.said, b.t.hlc.Now(), reply))
	return err
}

func (b *streamBody) Close() { b.conn.Close() }

// chunk returns the next piece, or io.EOF if the sender said that it is done. A
// connection that merely ended must not look like that.
func (b *streamBody) chunk() ([]byte, error) {
	f, err := b.frames.next()
	switch {
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case f.number != b.last+1:
		return nil, violation("frame %d of a stream after frame %d", f.number, b.last)
	}
	b.last = f.number
	switch f.kind {
	case frameChunk:
		return f.payload, nil
	case frameEnd:
		return nil, io.EOF
	default:
		return nil, violation("frame type %d within a stream", f.kind)
	}
}
