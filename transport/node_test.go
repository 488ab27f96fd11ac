package transport

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

const cluster = 0xc1

// patienceOfTests is how long a condition may take before a test gives up. No
// test passes or fails by how fast something is.
const patienceOfTests = 30 * time.Second

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patienceOfTests); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("never happened: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// node is a transport with a handler that remembers.
type node struct {
	*Transport
	id raft.NodeID
	book
	log lines

	onCall   func(from raft.NodeID, request []byte, answer func([]byte))
	onStream func(from raft.NodeID, header []byte, body Incoming) error
	body     Incoming // of a stream, for whoever breaks it off
}

type book struct {
	mu          sync.Mutex
	received    []codec.Envelope
	frames      int
	unreachable int
	refused     int
}

func (b *book) note(f func(*book)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

// rounds are the Round numbers of the messages from one node, in their order.
func (b *book) rounds(from raft.NodeID) (rounds []uint64) {
	b.note(func(b *book) {
		for _, e := range b.received {
			if e.Message.From == from {
				rounds = append(rounds, e.Message.Round)
			}
		}
	})
	return rounds
}

func (b *book) count() (n int) {
	b.note(func(b *book) { n = len(b.received) })
	return n
}

// ears are the node as its transport's handler.
type ears struct{ *node }

func (n ears) Receive(_ raft.NodeID, messages []codec.Envelope) {
	n.note(func(b *book) {
		b.frames++
		b.received = append(b.received, messages...)
	})
}

func (n ears) Unreachable(_ raft.NodeID, refused bool) {
	n.note(func(b *book) {
		b.unreachable++
		if refused {
			b.refused++
		}
	})
}

func (n ears) Call(from raft.NodeID, request []byte, answer func([]byte)) {
	n.onCall(from, request, answer)
}

func (n ears) Stream(from raft.NodeID, header []byte, body Incoming) error {
	return n.onStream(from, header, body)
}

// lines is what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) with(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// start runs a node until the test ends. The options change its configuration.
func start(t testing.TB, id raft.NodeID, options ...func(*Config)) *node {
	t.Helper()
	n := &node{id: id}
	n.onCall = func(_ raft.NodeID, request []byte, answer func([]byte)) { answer(append([]byte("re: "), request...)) }
	n.onStream = func(_ raft.NodeID, _ []byte, body Incoming) error { _, err := io.Copy(io.Discard, body); return err }
	cfg := Config{Cluster: cluster, Node: id, Listen: "127.0.0.1:0", Handler: ears{n}, Logger: slog.New(slog.NewTextHandler(&n.log, nil))}
	for _, o := range options {
		o(&cfg)
	}
	tr, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Transport = tr
	t.Cleanup(func() { tr.Close() })
	return n
}

func limits(l Limits) func(*Config) { return func(c *Config) { c.Limits = l } }

// mesh makes every node known to every other.
func mesh(nodes ...*node) {
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				a.SetPeer(b.id, b.Addr().String())
			}
		}
	}
}

func (n *node) peer(id raft.NodeID) PeerStats {
	for _, p := range n.Stats().Peers {
		if p.ID == id {
			return p
		}
	}
	return PeerStats{}
}

func (n *node) connected(t *testing.T, to *node) {
	t.Helper()
	until(t, fmt.Sprintf("%d connects to %d", n.id, to.id), func() bool { return n.peer(to.id).State == Connected })
}

// beat is a message that a round number tells from others.
func beat(from, to *node, round uint64) codec.Envelope {
	return codec.Envelope{Group: 1, Message: raft.Message{Kind: raft.Heartbeat, From: from.id, To: to.id, Term: 1, Round: round}}
}

// stranger dials a node and says what it likes.
func stranger(t *testing.T, n *node) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// closedByPeer waits until the other end has closed the connection, and returns
// what came before.
func closedByPeer(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patienceOfTests)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("the connection stayed open")
	}
	return got
}

// introduced is a connection of an impostor that knows how to greet.
func introduced(t *testing.T, n *node, as raft.NodeID, why purpose) net.Conn {
	t.Helper()
	conn := stranger(t, n)
	h := hello{cluster: cluster, from: as, to: n.id, origin: Origin{Life: 1}, purpose: why, address: "127.0.0.1:1"}
	if _, err := introduce(conn, h, 1); err != nil {
		t.Fatal(err)
	}
	return conn
}
