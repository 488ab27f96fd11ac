package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

func TestStreamArrivesWholeAndIsJudged(t *testing.T) {
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 5<<20 + 3} {
		a, b := start(t, 1), start(t, 2)
		var got []byte
		var head string
		b.onStream = func(from raft.NodeID, header []byte, body Incoming) (err error) {
			head = string(header)
			got, err = io.ReadAll(body)
			return err
		}
		a.SetPeer(b.id, b.Addr().String())
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{1}).Read(data)
		s, err := a.OpenStream(t.Context(), b.id, []byte("what"))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(s, inPieces(data)); n != int64(size) || err != nil {
			t.Fatalf("%d bytes written, %v", n, err)
		}
		if err := s.CloseAndWait(); err != nil {
			t.Fatal(err)
		}
		if head != "what" || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: got %d, header %q", size, len(got), head)
		}
	}
}

// inPieces is a reader whose pieces do not fit chunks.
func inPieces(data []byte) io.Reader { return &pieces{data, 1} }

type pieces struct {
	rest []byte
	next int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.next)], p.rest)
	p.rest, p.next = p.rest[n:], p.next*3%100_003
	return n, nil
}

// The receiver's reason reaches the sender, also while it still sends.
func TestStreamRefused(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	b.onStream = func(raft.NodeID, []byte, Incoming) error { return errors.New("the disk is full") }
	a.SetPeer(b.id, b.Addr().String())

	s, err := a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CloseAndWait(); !errors.Is(err, ErrStreamRefused) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("at the end: %v", err)
	}

	s, err = a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for err == nil {
		_, err = s.Write(make([]byte, chunkSize))
	}
	if !errors.Is(err, ErrStreamRefused) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("while sending: %v", err)
	}
}

// A receiver that has enough is not an error.
func TestStreamAcceptedEarly(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	b.onStream = func(raft.NodeID, []byte, Incoming) error { return nil }
	a.SetPeer(b.id, b.Addr().String())
	s, err := a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-s.judged
	if _, err := s.Write(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	if err := s.CloseAndWait(); err != nil {
		t.Error(err)
	}
}

// What the receiver says of the header is there before anything is sent; and one that
// says nothing does not keep the sender waiting once its verdict is known.
func TestAStreamsHeaderIsRepliedTo(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	var got []byte
	b.onStream = func(_ raft.NodeID, header []byte, body Incoming) (err error) {
		if string(header) == "enough" {
			return nil
		}
		if string(header) == "refused" {
			return errors.New("not that")
		}
		if err := body.Reply(make([]byte, MaxReply+1)); err == nil {
			t.Error("a reply of any length is sent")
		}
		if err := body.Reply(append([]byte("re: "), header...)); err != nil {
			return err
		}
		if err := body.Reply(nil); err == nil {
			t.Error("there are two replies")
		}
		got, err = io.ReadAll(body)
		return err
	}
	a.SetPeer(b.id, b.Addr().String())
	open := func(header string) (*Stream, []byte, error) {
		s, err := a.OpenStream(t.Context(), b.id, []byte(header))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := s.Reply()
		return s, reply, err
	}
	s, reply, err := open("what")
	if string(reply) != "re: what" || err != nil {
		t.Fatalf("got %q, %v", reply, err)
	}
	for _, part := range []string{"", "some", "", "thing"} {
		if _, err := io.WriteString(s, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseAndWait(); err != nil || string(got) != "something" {
		t.Errorf("arrived %q, %v", got, err)
	}
	s, reply, err = open("enough")
	if reply != nil || err != nil {
		t.Errorf("a receiver that needs nothing: %q, %v", reply, err)
	}
	s.Close()
	s, reply, err = open("refused")
	if reply != nil || !errors.Is(err, ErrStreamRefused) {
		t.Errorf("a receiver that refuses: %q, %v", reply, err)
	}
	s.Close()
}

// A stream that breaks does not look like one that ended, to neither side.
func TestStreamThatBreaks(t *testing.T) {
	for name, breaks := range map[string]func(a, b *node, s *Stream, cancel func()){
		"the sender gives up":     func(_, _ *node, s *Stream, _ func()) { s.Close() },
		"its context ends":        func(_, _ *node, _ *Stream, cancel func()) { cancel() },
		"the sender closes":       func(a, _ *node, _ *Stream, _ func()) { a.Close() },
		"the connection is lost":  func(_, _ *node, s *Stream, _ func()) { s.conn.Close() },
		"the receiver has had it": func(_, b *node, _ *Stream, _ func()) { b.body.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, 1), start(t, 2)
			first, received := make(chan struct{}), make(chan error, 1)
			b.onStream = func(_ raft.NodeID, _ []byte, body Incoming) error {
				if _, err := body.Read(make([]byte, 1)); err != nil {
					t.Errorf("the first byte: %v", err)
				}
				b.body = body
				close(first)
				_, err := io.Copy(io.Discard, body)
				received <- err
				return err
			}
			a.SetPeer(b.id, b.Addr().String())
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			s, err := a.OpenStream(ctx, b.id, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(make([]byte, chunkSize)); err != nil {
				t.Fatal(err)
			}
			<-first
			breaks(a, b, s, cancel)
			if err := <-received; err == nil {
				t.Error("the receiver believes that it has everything")
			}
			if err := s.CloseAndWait(); err == nil || errors.Is(err, ErrStreamRefused) {
				t.Errorf("the sender got %v", err)
			}
		})
	}
}

// The receiver goes away while it reads: the sender's wait ends, with no verdict.
func TestStreamWhoseReceiverCloses(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	open := make(chan struct{})
	b.onStream = func(_ raft.NodeID, _ []byte, body Incoming) error {
		close(open)
		_, err := io.Copy(io.Discard, body)
		return err
	}
	a.SetPeer(b.id, b.Addr().String())
	s, err := a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-open
	b.Close()
	for err == nil {
		_, err = s.Write(make([]byte, chunkSize))
	}
	if errors.Is(err, ErrStreamRefused) {
		t.Errorf("got %v", err)
	}
	s.Close()
}

// The receiver has everything and says nothing, although its connection stands: the
// sender's wait ends, with no verdict.
func TestStreamWhoseReceiverDoesNotJudge(t *testing.T) {
	a, b := start(t, 1, limits(Limits{Timeout: 20 * time.Millisecond})), start(t, 2)
	release := make(chan struct{})
	defer close(release)
	b.onStream = func(_ raft.NodeID, _ []byte, body Incoming) error {
		_, err := io.Copy(io.Discard, body)
		<-release
		return err
	}
	a.SetPeer(b.id, b.Addr().String())
	var s *Stream
	until(t, "a stream is open", func() (open bool) { // a slow machine may miss the short time limit
		var err error
		s, err = a.OpenStream(t.Context(), b.id, nil)
		return err == nil
	})
	judged := make(chan error, 1)
	go func() { judged <- s.CloseAndWait() }()
	select {
	case err := <-judged:
		if err == nil || errors.Is(err, ErrStreamRefused) {
			t.Errorf("the sender got %v", err)
		}
	case <-time.After(patienceOfTests):
		t.Error("the sender still waits")
		s.Close()
	}
}

// Streams are counted, and do not stand in the way of messages.
func TestStreamsAreBounded(t *testing.T) {
	a, b := start(t, 1), start(t, 2, limits(Limits{Streams: 1}))
	release := make(chan struct{})
	b.onStream = func(raft.NodeID, []byte, Incoming) error { <-release; return nil }
	a.SetPeer(b.id, b.Addr().String())
	a.connected(t, b)
	s, err := a.OpenStream(t.Context(), b.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.OpenStream(t.Context(), b.id, nil); err == nil || !strings.Contains(err.Error(), "try again later") {
		t.Errorf("a second one: %v", err)
	}
	a.Send([]codec.Envelope{beat(a, b, 1)})
	until(t, "a message passes by", func() bool { return b.count() == 1 })
	close(release)
	if err := s.CloseAndWait(); err != nil {
		t.Error(err)
	}
	until(t, "there is room again", func() bool {
		s, err := a.OpenStream(t.Context(), b.id, nil)
		return err == nil && s.CloseAndWait() == nil
	})
}

func TestOpenStreamRefusals(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	a.SetPeer(b.id, b.Addr().String())
	if _, err := a.OpenStream(t.Context(), 9, nil); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("unknown node: %v", err)
	}
	if _, err := a.OpenStream(t.Context(), b.id, make([]byte, chunkSize+1)); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("large header: %v", err)
	}
	b.Close()
	if _, err := a.OpenStream(t.Context(), b.id, nil); err == nil {
		t.Error("nobody listens")
	}
	a.Close()
	if _, err := a.OpenStream(t.Context(), b.id, nil); err == nil {
		t.Error("a closed transport opened a stream")
	}
}

// A sender that does not keep to the protocol is not believed.
func TestBadStreams(t *testing.T) {
	open := appendFrame(nil, frameOpen, 1, 0)
	for name, says := range map[string][]byte{
		"no open":     appendFrame(nil, frameChunk, 1, 0),
		"a gap":       appendFrame(open[:len(open):len(open)], frameChunk, 3, 0, []byte("x")),
		"a messenger": appendFrame(open[:len(open):len(open)], frameMessages, 2, 0),
		"damage":      append(open[:len(open):len(open)], damaged(appendFrame(nil, frameChunk, 2, 0, []byte("x")))...),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 2)
			conn := introduced(t, b, 1, forStream)
			if _, err := conn.Write(says); err != nil {
				t.Fatal(err)
			}
			if got := closedByPeer(t, conn); len(got) != 0 {
				t.Errorf("the sender got an answer: %q", got)
			}
			until(t, "the violation is counted", func() bool { return b.Stats().Violations == 1 })
		})
	}
}

// damaged has its last bit changed.
func damaged(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}
