package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// canned is a connection on which everything has been said already.
type canned struct {
	net.Conn
	said io.Reader
}

func (c *canned) Read(b []byte) (int, error)  { return c.said.Read(b) }
func (c *canned) Write(b []byte) (int, error) { return len(b), nil }
func (c *canned) Close() error                { return nil }
func (c *canned) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// framed turns arbitrary bytes into frames whose checksums are right, because a
// peer that means harm, or a bug in one, gets as far as that: each is a type, a
// step of the number, a length in two bytes, and as much payload as there is.
func framed(src []byte) (out []byte) {
	for number := uint64(0); len(src) >= 4; {
		kind := frameType(src[0])%frameReply + 1
		number += uint64(src[1])
		size := min(int(binary.LittleEndian.Uint16(src[2:])), len(src)-4)
		out = appendFrame(out, kind, number, env.Timestamp(number), src[4:4+size])
		src = src[4+size:]
	}
	return out
}

// piece is the inverse of framed, for seeds.
func piece(kind frameType, payload []byte) []byte {
	head := []byte{byte(kind - 1), 1, 0, 0}
	binary.LittleEndian.PutUint16(head[2:], uint16(len(payload)))
	return append(head, payload...)
}

// tiny are limits that inputs of a fuzzer can reach.
var tiny = Limits{MaxFrame: 1 << 12, QueueBytes: 1 << 13, QueueMessages: 16, Calls: 4}

// ended fails the test unless a connection ended as connections may.
func ended(t *testing.T, err error) {
	t.Helper()
	if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, errViolation) && !errors.Is(err, errQueueFull) {
		t.Fatalf("it ended with %v", err)
	}
}

// FuzzIncoming is what a peer can say on the connection on which it talks to us:
// it takes no more memory than the limits allow, whatever the handler answers.
func FuzzIncoming(f *testing.F) {
	one, two := &node{id: 1}, &node{id: 2}
	f.Add(append(piece(frameMessages, message(beat(one, two, 1))), piece(framePing, make([]byte, 16))...))
	f.Add(bytes.Repeat(piece(frameCall, []byte("12345678request")), 6))
	f.Add(bytes.Repeat(piece(framePing, make([]byte, 3000)), 6))
	n := start(f, 2, limits(tiny))
	n.onCall = func(_ raft.NodeID, request []byte, answer func([]byte)) {
		for range len(request) % 3 { // never, once, or more often than it should
			answer(request)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		l := newLink(n.Transport, 1)
		defer l.leave()
		answers := newQueue(n.hlc, &n.cfg.Limits)
		err := l.readMessages(&canned{said: bytes.NewReader(framed(src))}, answers)
		ended(t, err)
		if waiting := len(answers.take()); waiting > n.cfg.Limits.QueueBytes {
			t.Fatalf("%d bytes of answers wait, %d are allowed", waiting, n.cfg.Limits.QueueBytes)
		}
	})
}

// FuzzAnswers is what a peer can say on our connection to it, while two calls wait.
func FuzzAnswers(f *testing.F) {
	answer := func(id uint64, status byte) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, id), status, 'x')
	}
	f.Add(append(piece(frameAnswer, answer(1, answerDone)), piece(frameAnswer, answer(1, answerBusy))...))
	f.Add(append(piece(framePong, make([]byte, 16)), piece(frameAnswer, answer(2, 9))...))
	n := start(f, 2, limits(tiny))
	f.Fuzz(func(t *testing.T, src []byte) {
		l := newLink(n.Transport, 1)
		defer l.leave()
		var calls []*call
		for range 2 {
			_, c, err := l.startCall([]byte("question"))
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, c)
		}
		beat := &pulse{clock: n.cfg.Env, trips: new(roundTrips)}
		ended(t, l.readAnswers(&canned{said: bytes.NewReader(framed(src))}, beat))
		l.failCalls(true)
		for i, c := range calls {
			if got := len(c.done); got != 1 {
				t.Fatalf("call %d has ended %d times", i, got)
			}
		}
	})
}

// FuzzStream is what can come in as a stream: the handler sees the bytes of the
// chunks and an end that is the sender's, or an error.
func FuzzStream(f *testing.F) {
	whole := append(piece(frameOpen, []byte("header")), piece(frameChunk, []byte("data"))...)
	f.Add(append(whole, piece(frameEnd, nil)...))
	f.Add(whole)
	n := start(f, 2, limits(tiny))
	f.Fuzz(func(t *testing.T, src []byte) {
		var got int
		var end error
		n.onStream = func(_ raft.NodeID, header []byte, body Incoming) error {
			if err := body.Reply(header[:min(len(header), MaxReply)]); err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(body)
			got, end = len(data), err
			return err
		}
		if err := n.serveStream(&canned{said: bytes.NewReader(framed(src))}, 1); err != nil {
			ended(t, err)
		}
		if got > len(src) || end != nil && end != io.ErrUnexpectedEOF && !errors.Is(end, errViolation) {
			t.Fatalf("%d bytes of %d, then %v", got, len(src), end)
		}
	})
}

// FuzzReplies is what can come back on a stream that we send: at most one reply, of
// bounded length, and then a verdict, or the stream is broken.
func FuzzReplies(f *testing.F) {
	f.Add(append(piece(frameReply, []byte("so far")), piece(frameVerdict, []byte{verdictAccepted})...))
	f.Add(piece(frameVerdict, append([]byte{verdictRefused}, "no room"...)))
	f.Add(bytes.Repeat(piece(frameReply, make([]byte, 40)), 2))
	f.Add(piece(frameReply, make([]byte, MaxReply+1)))
	n := start(f, 2, limits(tiny))
	f.Fuzz(func(t *testing.T, src []byte) {
		if !n.begin() {
			t.Fatal("closed")
		}
		s := &Stream{
			t: n.Transport, ctx: t.Context(), conn: &canned{said: bytes.NewReader(framed(src))}, stop: func() bool { return true },
			replied: make(chan struct{}), judged: make(chan struct{}),
		}
		s.awaitVerdict()
		reply, err := s.Reply()
		if len(reply) > MaxReply || reply != nil && err != nil {
			t.Fatalf("a reply of %d bytes, %v", len(reply), err)
		}
		if s.verdict != nil && !errors.Is(s.verdict, ErrStreamRefused) && s.spoken {
			t.Fatalf("the receiver has said %v", s.verdict)
		}
		if s.verdict == nil && !s.spoken {
			t.Fatal("accepted without a word")
		}
	})
}
