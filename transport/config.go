package transport

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Config is who a node is to its peers.
type Config struct {
	Cluster     uint64      // nodes of different clusters refuse each other
	Node        raft.NodeID // never zero
	Listen      string      // host:port; port 0 for any
	Advertise   string      // host:port that peers dial; the listener's own if empty, unless that is all addresses
	Handler     Handler
	Origin      Origin // of this node, but for its Life, which Listen draws
	Memory      Memory // of its peers' origins; every peer is taken for what it says if nil
	Limits      Limits
	Credentials Credentials  // plain TCP if nil
	Env         env.Env      // the real world if nil
	Logger      *slog.Logger // discarded if nil
}

// Handler receives what comes from peers. Receive and Call are called by the
// goroutine that reads the connection: while they take their time, that peer's
// messages, and no others, wait; after Limits.Timeout the peer takes us for dead.
type Handler interface {
	// Receive is given the messages of one frame, in order. They are the
	// handler's to keep; the data of their entries share the frame's memory.
	// Each is from the given node and to this one; nothing else is checked.
	Receive(from raft.NodeID, messages []codec.Envelope)

	// Call is given a request, its own memory. It must see to it that answer is
	// called, once, from any goroutine, now or later; further calls do nothing.
	Call(from raft.NodeID, request []byte, answer func([]byte))

	// Stream is given an incoming stream and returns what becomes of it: the
	// sender waits for nil, or is told the error's text. It runs in a goroutine
	// of its own. Reading ends with io.EOF only if the sender ended the stream;
	// if the connection breaks it ends with another error.
	Stream(from raft.NodeID, header []byte, body Incoming) error

	// Unreachable says that a connection to the peer broke or could not be made. It
	// is called again for every failed attempt. Refused means that its process is gone:
	// nobody listens at its address, or, where a connection stood that broke just now,
	// who answers there is not the peer.
	Unreachable(peer raft.NodeID, refused bool)
}

// Incoming is a stream as its receiver sees it.
type Incoming interface {
	io.Reader

	// Reply tells the sender something about the header, at most MaxReply bytes;
	// once, and from the goroutine that reads.
	Reply(reply []byte) error

	// Close breaks the stream off: reading ends with an error. It may be called from
	// any goroutine.
	Close()
}

// Limits bound what peers can cost. Zero fields have the default given.
type Limits struct {
	MaxFrame      int // payload of a frame, and so a message, a request, an answer, in bytes; 18 MiB, at most 64 MiB
	QueueBytes    int // waiting for one peer, and in its calls without an answer, in bytes; 32 MiB, at least a frame
	QueueMessages int // waiting for one peer; 65,536
	Calls         int // unanswered, per peer and direction; 8,192
	Streams       int // incoming at the same time; 4
	Connections   int // incoming at the same time; 512
	Peers         int // known by SetPeer or because they called; 1,024

	// Timeout is how long a peer may stand still: while it is dialled, within
	// the handshake, within a write, until it answers a ping. 5 s.
	Timeout time.Duration
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.MaxFrame, 18<<20)
	orDefault(&l.QueueBytes, 32<<20)
	orDefault(&l.QueueMessages, 1<<16)
	orDefault(&l.Calls, 1<<13)
	orDefault(&l.Streams, 4)
	orDefault(&l.Connections, 512)
	orDefault(&l.Peers, 1024)
	orDefault(&l.Timeout, 5*time.Second)
	l.QueueBytes = max(l.QueueBytes, l.MaxFrame+headerSize)
	return l
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c *Config) check() error {
	switch {
	case c.Node == 0:
		return errors.New("transport: the node ID is zero; draw one at random")
	case c.Handler == nil:
		return errors.New("transport: a handler is needed to receive messages")
	case c.Limits.MaxFrame > hardMaxFrame:
		return fmt.Errorf("transport: a frame of %d bytes is more than the protocol's %d", c.Limits.MaxFrame, hardMaxFrame)
	case len(c.Advertise) > membership.MaxAddress:
		return fmt.Errorf("transport: the advertised address has more than %d bytes", membership.MaxAddress)
	}
	return nil
}

// patience of a reader: pings arrive several times within it.
func (l *Limits) silence() time.Duration { return 2 * l.Timeout }

// streamPatience is longer: both ends of a stream wait for disks.
func (l *Limits) streamPatience() time.Duration { return 6 * l.Timeout }

// replyPatience is how long a receiver may think about a header: it may first read
// what it has of a snapshot, and says nothing meanwhile.
func (l *Limits) replyPatience() time.Duration { return 10 * l.streamPatience() }

func (l *Limits) pingEvery() time.Duration { return l.Timeout / 5 }
