package quoratetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/transport"
)

// host is what the network calls.
type host struct {
	stream      func(io.Reader) error
	reply       string // to the header of a stream
	call        func(request []byte, answer func([]byte))
	unreachable chan quorate.NodeID
}

func (h *host) Receive(quorate.NodeID, []codec.Envelope) {}
func (h *host) Unreachable(peer quorate.NodeID, refused bool) {
	if refused {
		h.unreachable <- peer
	}
}
func (h *host) Call(_ quorate.NodeID, request []byte, answer func([]byte)) { h.call(request, answer) }
func (h *host) Stream(_ quorate.NodeID, _ []byte, body transport.Incoming) error {
	if h.reply != "" {
		if err := body.Reply([]byte(h.reply)); err != nil {
			return err
		}
	}
	return h.stream(body)
}

// pair connects a node 1 with a node 2 that does as the host says.
func pair(t *testing.T, h *host) (*network, quorate.Transport) {
	t.Helper()
	net := newNetwork()
	var ends []quorate.Transport
	for id, handler := range map[quorate.NodeID]*host{1: {unreachable: make(chan quorate.NodeID, 1)}, 2: h} {
		end, err := net.Listen(transport.Config{Node: id, Listen: []string{"", "one", "two"}[id], Handler: handler})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = end.Close() }) // never fails
		ends = append(ends, end)
	}
	if ends[0].Addr() != "one" {
		ends[0], ends[1] = ends[1], ends[0]
	}
	ends[0].SetPeer(2, "two")
	ends[1].SetPeer(1, "one")
	return net, ends[0]
}

// transfer streams a text and returns what becomes of it.
func transfer(t *testing.T, end quorate.Transport, text string, halfway func()) error {
	t.Helper()
	s, err := end.OpenStream(t.Context(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
		if i == 1 {
			halfway()
		}
		if _, err := io.WriteString(s, part); err != nil {
			return err
		}
	}
	return s.CloseAndWait()
}

func TestAStreamEndsInOneOfFourWays(t *testing.T) {
	refusal := errors.New("no room")
	everything := func(r io.Reader) error { _, err := io.ReadAll(r); return err }
	for name, story := range map[string]struct {
		receive func(io.Reader) error
		cut     bool
		want    func(error) bool
	}{
		"accepted":       {everything, false, func(err error) bool { return err == nil }},
		"has enough":     {func(io.Reader) error { return nil }, false, func(err error) bool { return err == nil }},
		"refused":        {func(io.Reader) error { return refusal }, false, func(err error) bool { return errors.Is(err, transport.ErrStreamRefused) }},
		"cut on the way": {everything, true, func(err error) bool { return errors.Is(err, errBroken) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var received error
				h := &host{stream: func(r io.Reader) error { received = story.receive(r); return received }}
				net, end := pair(t, h)
				err := transfer(t, end, "some text", func() {
					if story.cut {
						net.cut([]int{2})
					}
				})
				synctest.Wait()
				if !story.want(err) {
					t.Errorf("the sender is told %v", err)
				}
				if story.cut && !errors.Is(received, errBroken) {
					t.Errorf("the receiver of half a stream is told %v", received)
				}
			})
		})
	}
}

func TestAStreamsHeaderIsRepliedTo(t *testing.T) {
	for reply, verdict := range map[string]error{"so far": nil, "and no further": errors.New("no room"), "": nil} {
		synctest.Test(t, func(t *testing.T) {
			_, end := pair(t, &host{reply: reply, stream: func(io.Reader) error { return verdict }})
			s, err := end.OpenStream(t.Context(), 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Reply()
			if string(got) != reply || (got == nil) != (reply == "") || err != nil {
				t.Errorf("%q and then %v: replied %q, %v", reply, verdict, got, err)
			}
			if err := s.CloseAndWait(); !errors.Is(err, verdict) {
				t.Errorf("%q: the sender is told %v and not %v", reply, err, verdict)
			}
		})
	}
}

func TestAStreamBreaksWithEitherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{stream: func(r io.Reader) error { _, err := io.ReadAll(r); return err }}
		net, end := pair(t, h)
		if err := transfer(t, end, "some text", func() { net.unplug("two") }); !errors.Is(err, errBroken) {
			t.Errorf("the sender is told %v", err)
		}
		if _, err := end.OpenStream(t.Context(), 2, nil); err == nil {
			t.Error("a stream to nobody was opened")
		}
	})
}

func TestACallIsAnsweredLostOrNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{call: func(request []byte, answer func([]byte)) {
			answer([]byte(strings.ToUpper(string(request))))
			answer([]byte("once more"))
		}}
		net, end := pair(t, h)
		if a, err := end.Call(t.Context(), 2, []byte("hello")); string(a) != "HELLO" || err != nil {
			t.Errorf("answered %q, %v", a, err)
		}
		net.cut([]int{1})
		start := time.Now()
		if _, err := end.Call(t.Context(), 2, nil); !errors.Is(err, transport.ErrLost) || time.Since(start) != hangs {
			t.Errorf("across a cut, after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := end.Call(ctx, 2, nil); !errors.Is(err, transport.ErrLost) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller has given up: %v", err)
		}
		net.heal()
		h.call = func([]byte, func([]byte)) { go net.unplug("two") }
		if _, err := end.Call(t.Context(), 2, nil); !errors.Is(err, transport.ErrLost) {
			t.Errorf("the other process died: %v", err)
		}
		if _, err := end.Call(t.Context(), 2, nil); !errors.Is(err, transport.ErrNotSent) {
			t.Errorf("nobody listens: %v", err)
		}
	})
}

func TestTheOthersAreToldThatAProcessHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{unreachable: make(chan quorate.NodeID, 1)}
		net, end := pair(t, h)
		_ = end.Close() // never fails
		if gone := <-h.unreachable; gone != 1 {
			t.Errorf("node %d is said to be gone", gone)
		}
		if _, err := net.Listen(transport.Config{Node: 2, Listen: "two"}); err == nil {
			t.Error("an address was given to two processes")
		}
		if _, err := net.Listen(transport.Config{Node: 1, Listen: "one"}); err != nil {
			t.Errorf("the address of a process that has ended: %v", err)
		}
	})
}
