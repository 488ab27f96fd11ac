package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
)

// How a call can fail. What else is wrong is wrapped into one of the two.
var (
	// ErrNotSent says that the peer's handler has certainly not seen the
	// request: there is no connection, too much waits, or the peer was too busy
	// to look at it. It may be sent again, there or elsewhere.
	ErrNotSent = errors.New("transport: the request was not delivered")

	// ErrLost says that the request may or may not have been carried out: the
	// connection broke, or the caller gave up, after it was on its way.
	ErrLost = errors.New("transport: the request was sent, its answer was lost")
)

const (
	answerDone byte = iota
	answerBusy
	answerLost
)

// pending are the calls to a peer that wait for an answer, guarded by link.mu.
type pending struct {
	lastID  uint64
	waiting map[uint64]*call
}

type call struct {
	at   place // of the frame that carries it
	done chan outcome
}

type outcome struct {
	answer []byte
	err    error
}

// Call hands the request to the peer's handler and returns its answer. The error
// wraps ErrNotSent or ErrLost; if ctx ended, its error too. Many calls may be
// under way at the same time; they are answered in any order.
func (t *Transport) Call(ctx context.Context, to raft.NodeID, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	l := t.link(to)
	if l == nil {
		return nil, fmt.Errorf("%w: no address of node %s is known", ErrNotSent, name(to))
	}
	id, c, err := l.startCall(request)
	if err != nil {
		return nil, fmt.Errorf("%w to node %s: %w", ErrNotSent, name(to), err)
	}
	select {
	case o := <-c.done:
		return o.answer, o.err
	case <-ctx.Done():
		l.takeCall(id)
		return nil, fmt.Errorf("%w: %w", ErrLost, ctx.Err())
	}
}

// startCall is one step under the lock, so that whoever fails calls finds either
// no call or one whose number is known.
func (l *link) startCall(request []byte) (uint64, *call, error) {
	if 8+len(request) > l.t.cfg.Limits.MaxFrame {
		return 0, nil, fmt.Errorf("a request of %d bytes is too large", len(request))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.calls.waiting) >= l.t.cfg.Limits.Calls {
		return 0, nil, fmt.Errorf("%d calls wait for an answer already", len(l.calls.waiting))
	}
	id := l.calls.lastID + 1
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], id)
	at, err := l.queue.put(laneFor(len(request)), frameCall, 0, head[:], request)
	if err != nil {
		return 0, nil, err
	}
	c := &call{at: at, done: make(chan outcome, 1)}
	l.calls.lastID = id
	l.calls.waiting[id] = c
	return id, c, nil
}

// takeCall returns the call to the one goroutine that may finish it, or nil.
func (l *link) takeCall(id uint64) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls.waiting[id]
	delete(l.calls.waiting, id)
	return c
}

// failCalls ends the calls of which a connection that broke may have carried a
// part, and, if all is set, also those that never left the queue.
func (l *link) failCalls(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, c := range l.calls.waiting {
		switch {
		case l.queue.handedOver(c.at):
			c.done <- outcome{err: fmt.Errorf("%w: the connection to node %s broke", ErrLost, name(l.id))}
		case all:
			c.done <- outcome{err: fmt.Errorf("%w to node %s: %w", ErrNotSent, name(l.id), errQueueClosed)}
		default:
			continue
		}
		delete(l.calls.waiting, id)
	}
}

func (l *link) onAnswer(payload []byte) error {
	if len(payload) < 9 {
		return violation("an answer of %d bytes", len(payload))
	}
	c := l.takeCall(binary.LittleEndian.Uint64(payload))
	if c == nil {
		return nil // its caller has given up
	}
	switch status := payload[8]; status {
	case answerDone:
		c.done <- outcome{answer: payload[9:]}
	case answerBusy:
		c.done <- outcome{err: fmt.Errorf("%w: node %s has too many calls to answer", ErrNotSent, name(l.id))}
	case answerLost:
		c.done <- outcome{err: fmt.Errorf("%w: it is too large for a frame", ErrLost)}
	default:
		c.done <- outcome{err: fmt.Errorf("%w: its status %d is unknown", ErrLost, status)}
		return violation("an answer with the unknown status %d", status)
	}
	return nil
}

// callServer answers the calls of one connection.
type callServer struct {
	link    *link
	conn    net.Conn
	answers *queue
}

// unanswered are a peer's calls that are not answered yet, and their bytes, on all of its
// connections: whoever is to answer holds on to them.
type unanswered struct{ calls, bytes atomic.Int64 }

// add takes in a call, if there is room for it.
func (u *unanswered) add(bytes int, limits *Limits) bool {
	calls, held := u.calls.Add(1), u.bytes.Add(int64(bytes))
	if calls > int64(limits.Calls) || held > int64(limits.QueueBytes) {
		u.end(bytes)
		return false
	}
	return true
}

func (u *unanswered) end(bytes int) {
	u.calls.Add(-1)
	u.bytes.Add(-int64(bytes))
}

func (s *callServer) onCall(payload []byte) error {
	if len(payload) < 8 {
		return violation("a call of %d bytes", len(payload))
	}
	id, request := payload[:8:8], payload[8:]
	if !s.link.unanswered.add(len(payload), &s.link.t.cfg.Limits) {
		_, err := s.answers.put(urgent, frameAnswer, 0, id, []byte{answerBusy})
		return err
	}
	var once atomic.Bool
	s.link.t.cfg.Handler.Call(s.link.id, request, func(answer []byte) {
		if once.CompareAndSwap(false, true) {
			s.link.unanswered.end(len(payload))
			s.answer(id, answer)
		}
	})
	return nil
}

// answer may run in any goroutine, also after the connection is gone. A peer that
// does not read its answers loses the connection: it must not wait for what we
// had to drop.
func (s *callServer) answer(id, answer []byte) {
	status := []byte{answerDone}
	if 9+len(answer) > s.link.t.cfg.Limits.MaxFrame {
		status[0], answer = answerLost, nil
	}
	if _, err := s.answers.put(laneFor(len(answer)), frameAnswer, 0, id, status, answer); err != nil {
		s.conn.Close()
	}
}
