package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/quorate-db/quorate/raft"
)

// pair is two nodes that are connected both ways.
func pair(t *testing.T, options ...func(*Config)) (a, b *node) {
	t.Helper()
	a, b = start(t, 1, options...), start(t, 2, options...)
	mesh(a, b)
	a.connected(t, b)
	b.connected(t, a)
	return a, b
}

func TestManyCallsAtOnce(t *testing.T) {
	a, b := pair(t)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			request := fmt.Sprintf("request %d", i)
			got, err := a.Call(t.Context(), b.id, []byte(request))
			if err != nil || string(got) != "re: "+request {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

// Calls are answered in any order, and only once.
func TestAnswersInAnyOrder(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	var held func([]byte)
	b.onCall = func(_ raft.NodeID, request []byte, answer func([]byte)) {
		if string(request) == "first" {
			held = answer
			return
		}
		answer([]byte("second's"))
		answer([]byte("twice"))
		held([]byte("first's"))
	}
	mesh(a, b)
	a.connected(t, b)
	first := make(chan string)
	go func() {
		got, err := a.Call(context.Background(), b.id, []byte("first"))
		first <- fmt.Sprintf("%s %v", got, err)
	}()
	until(t, "the first call waits", func() bool { return a.waitingCalls(b.id) == 1 })
	got, err := a.Call(t.Context(), b.id, []byte("second"))
	if err != nil || string(got) != "second's" {
		t.Errorf("second: %q, %v", got, err)
	}
	if got := <-first; got != "first's <nil>" {
		t.Errorf("first: %s", got)
	}
	if got := a.waitingCalls(b.id); got != 0 {
		t.Errorf("%d calls still wait", got)
	}
}

func (n *node) waitingCalls(to raft.NodeID) int {
	l := n.link(to)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls.waiting)
}

// What has certainly not been delivered says so.
func TestCallsThatAreNotSent(t *testing.T) {
	a := start(t, 1, limits(Limits{MaxFrame: 1 << 10}))
	nobody := start(t, 3)
	nobody.Close()
	a.SetPeer(3, nobody.Addr().String())
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	call := func(ctx context.Context, to raft.NodeID, size int) error {
		_, err := a.Call(ctx, to, make([]byte, size))
		return err
	}
	for _, c := range []struct {
		name string
		err  error
		text string
	}{
		{"unknown node", call(t.Context(), 7, 1), "no address"},
		{"nobody listens", call(t.Context(), 3, 1), "cannot be reached"},
		{"too large", call(t.Context(), 3, 1<<10), "too large"},
		{"given up before", call(gone, 3, 1), "canceled"},
	} {
		if !errors.Is(c.err, ErrNotSent) || errors.Is(c.err, ErrLost) || !strings.Contains(c.err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
}

// What may have been delivered says so: the connection breaks, or the caller
// gives up, while the request is with its handler.
func TestCallsThatAreLost(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	arrived := make(chan struct{}, 2)
	b.onCall = func(raft.NodeID, []byte, func([]byte)) { arrived <- struct{}{} }
	mesh(a, b)
	a.connected(t, b)

	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 2)
	go func() { _, err := a.Call(ctx, b.id, []byte("x")); result <- err }()
	<-arrived
	cancel()
	if err := <-result; !errors.Is(err, ErrLost) || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}

	go func() { _, err := a.Call(context.Background(), b.id, []byte("x")); result <- err }()
	<-arrived
	b.Close()
	if err := <-result; !errors.Is(err, ErrLost) || errors.Is(err, ErrNotSent) {
		t.Errorf("broken: %v", err)
	}
}

// Neither side lets the other pile up calls.
func TestPendingCallsAreBounded(t *testing.T) {
	a, b := start(t, 1, limits(Limits{Calls: 3})), start(t, 2, limits(Limits{Calls: 2}))
	arrived := make(chan func([]byte), 3)
	b.onCall = func(_ raft.NodeID, _ []byte, answer func([]byte)) { arrived <- answer }
	mesh(a, b)
	a.connected(t, b)
	result := make(chan error, 3)
	call := func() { _, err := a.Call(context.Background(), b.id, nil); result <- err }
	go call()
	go call()
	answers := []func([]byte){<-arrived, <-arrived}

	if _, err := a.Call(t.Context(), b.id, nil); !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "too many calls") {
		t.Errorf("a third at a peer that takes two: %v", err)
	}
	a.link(b.id).t.cfg.Limits.Calls = 2
	if _, err := a.Call(t.Context(), b.id, nil); !errors.Is(err, ErrNotSent) || !strings.Contains(err.Error(), "wait for an answer already") {
		t.Errorf("a third from a node that keeps two: %v", err)
	}
	for _, answer := range answers {
		answer(nil)
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// An answer that fits into no frame must not leave its caller waiting.
// What is not answered is held, and so it is bounded by bytes, too.
func TestPendingCallsAreBoundedByBytes(t *testing.T) {
	a := start(t, 1)
	b := start(t, 2, limits(Limits{MaxFrame: 64 << 10, QueueBytes: 128 << 10}))
	open := make(chan func([]byte), 2)
	b.onCall = func(_ raft.NodeID, _ []byte, answer func([]byte)) { open <- answer }
	mesh(a, b)
	a.connected(t, b)
	large, outcomes := make([]byte, 60<<10), make(chan error)
	call := func() {
		_, err := a.Call(t.Context(), b.id, large)
		outcomes <- err
	}
	for range 2 {
		go call()
	}
	first, second := <-open, <-open
	for range 2 {
		if _, err := a.Call(t.Context(), b.id, large); !errors.Is(err, ErrNotSent) {
			t.Fatalf("one more: %v", err)
		}
	}
	first(nil)
	go call()
	third := <-open
	second(nil)
	third(nil)
	for range 3 {
		if err := <-outcomes; err != nil {
			t.Error(err)
		}
	}
}

func TestAnswerTooLargeIsLost(t *testing.T) {
	a, b := start(t, 1), start(t, 2, limits(Limits{MaxFrame: 1 << 10}))
	b.onCall = func(_ raft.NodeID, _ []byte, answer func([]byte)) { answer(make([]byte, 1<<10)) }
	mesh(a, b)
	a.connected(t, b)
	if _, err := a.Call(t.Context(), b.id, nil); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
}

// A caller that does not read its answers loses the connection, not our memory.
func TestCallerThatDoesNotReadAnswers(t *testing.T) {
	b := start(t, 2, limits(Limits{MaxFrame: 64 << 10, QueueBytes: 128 << 10}))
	b.onCall = func(_ raft.NodeID, _ []byte, answer func([]byte)) { answer(make([]byte, 60<<10)) }
	conn := introduced(t, b, 1, forMessages)
	var err error
	for number := uint64(1); err == nil && number < 1<<16; number++ {
		id := binary.LittleEndian.AppendUint64(nil, number)
		_, err = conn.Write(appendFrame(nil, frameCall, number, 0, id))
	}
	if err == nil {
		t.Error("4 GiB of answers went nowhere and the connection still stands")
	}
}

// Close ends calls that wait.
func TestCloseEndsCalls(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	arrived := make(chan struct{})
	b.onCall = func(raft.NodeID, []byte, func([]byte)) { close(arrived) }
	mesh(a, b)
	a.connected(t, b)
	result := make(chan error)
	go func() { _, err := a.Call(context.Background(), b.id, nil); result <- err }()
	<-arrived
	a.Close()
	if err := <-result; !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
	if _, err := a.Call(t.Context(), b.id, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("after Close: %v", err)
	}
}

// Nonsense in place of an answer costs the connection.
func TestBadAnswersCloseTheConnection(t *testing.T) {
	for name, frames := range map[string][]byte{
		"short answer": appendFrame(nil, frameAnswer, 1, 0, []byte{1}),
		"short pong":   appendFrame(nil, framePong, 1, 0, []byte{1}),
		"messages":     appendFrame(nil, frameMessages, 1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, 1)
			a.SetPeer(9, impostor(t, frames))
			until(t, "the violation is counted", func() bool { return a.Stats().Violations > 0 })
		})
	}
}

// Whatever the answer says, its caller does not wait for ever.
func TestAnswerWithUnknownStatus(t *testing.T) {
	a := start(t, 1)
	l, c := newLink(a.Transport, 9), &call{done: make(chan outcome, 1)}
	l.calls.waiting[3] = c
	if err := l.onAnswer([]byte{3, 0, 0, 0, 0, 0, 0, 0, 7}); !errors.Is(err, errViolation) {
		t.Errorf("the connection goes on: %v", err)
	}
	if o := <-c.done; !errors.Is(o.err, ErrLost) {
		t.Errorf("the caller got %+v", o)
	}
}

// impostor greets each caller and then says what it was told to.
func impostor(t *testing.T, says []byte) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := readHello(conn); err == nil && answerHello(conn, nil, Origin{}, 1) == nil {
				conn.Write(says)
			}
		}
	}()
	return l.Addr().String()
}
