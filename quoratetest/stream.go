package quoratetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/transport"
)

var errBroken = errors.New("quoratetest: the stream broke")

// stream is a snapshot on its way. It implements [quorate.Stream].
type stream struct {
	from, to *endpoint
	ctx      context.Context // ends with the sender's, with either node, or when it is broken off
	cancel   context.CancelFunc
	in       *io.PipeWriter
	reply    chan []byte // holds it
	verdict  chan error  // holds it
}

// OpenStream implements [quorate.Transport].
func (e *endpoint) OpenStream(ctx context.Context, id quorate.NodeID, header []byte) (quorate.Stream, error) {
	to := e.peer(id)
	if to == nil || !e.net.reaches(e.cfg.Node, id) || !to.enter() {
		return nil, fmt.Errorf("quoratetest: node %d cannot be reached", id)
	}
	out, in := io.Pipe()
	s := &stream{from: e, to: to, in: in, reply: make(chan []byte, 1), verdict: make(chan error, 1)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	stops := []func() bool{context.AfterFunc(e.ctx, s.cancel), context.AfterFunc(to.ctx, s.cancel)}
	context.AfterFunc(s.ctx, func() {
		for _, stop := range stops {
			stop()
		}
		_ = in.CloseWithError(errBroken) // never fails; nothing happens if it has ended
	})
	header = bytes.Clone(header)
	go func() {
		defer to.tasks.Done()
		time.Sleep(latency)
		s.serve(header, out)
	}()
	return s, nil
}

// serve is the receiver's side.
func (s *stream) serve(header []byte, out *io.PipeReader) {
	err := s.to.cfg.Handler.Stream(s.from.cfg.Node, header, body{out, s})
	if err != nil {
		err = fmt.Errorf("%w: %w", transport.ErrStreamRefused, err)
		_ = out.CloseWithError(err) // never fails
	}
	s.verdict <- err
	_, _ = io.Copy(io.Discard, out) // it has enough; the rest is thrown away
}

// body is what the receiver has of a stream. It implements [transport.Incoming].
type body struct {
	*io.PipeReader
	stream *stream
}

func (b body) Reply(reply []byte) error {
	b.stream.reply <- bytes.Clone(reply)
	return nil
}

func (b body) Close() { b.stream.cancel() }

// Reply implements [quorate.Stream].
func (s *stream) Reply() ([]byte, error) {
	select {
	case reply := <-s.reply:
		return reply, s.passes()
	case err := <-s.verdict: // it comes after the reply, if there is one
		s.verdict <- err // for CloseAndWait
		select {
		case reply := <-s.reply:
			return reply, s.passes()
		default:
			return nil, errors.Join(err, s.passes())
		}
	case <-s.ctx.Done():
		return nil, errBroken
	}
}

// passes waits until something can have crossed the network. If it cannot, the
// stream breaks after a while.
func (s *stream) passes() error {
	wait := latency
	if !s.from.net.reaches(s.from.cfg.Node, s.to.cfg.Node) {
		wait = hangs
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return errBroken
	case <-timer.C:
	}
	if wait == hangs {
		s.cancel()
		return errBroken
	}
	return nil
}

// Write implements [quorate.Stream].
func (s *stream) Write(data []byte) (int, error) {
	if err := s.passes(); err != nil || len(data) == 0 {
		return 0, err
	}
	n, err := s.in.Write(data)
	if errors.Is(err, io.ErrClosedPipe) {
		err = errBroken // meanwhile
	}
	return n, err
}

// CloseAndWait implements [quorate.Stream].
func (s *stream) CloseAndWait() error {
	defer s.cancel()
	if err := s.passes(); err != nil {
		return err
	}
	_ = s.in.Close() // never fails
	select {
	case err := <-s.verdict:
		return errors.Join(err, s.passes())
	case <-s.ctx.Done():
		return errBroken
	}
}

// Close implements [quorate.Stream].
func (s *stream) Close() { s.cancel() }
