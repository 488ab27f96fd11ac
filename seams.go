package quorate

import (
	"context"
	"io"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// Network connects hosts. A simulator has one of its own.
type Network interface {
	// Listen makes a node part of the network; the handler in its configuration
	// is given what comes for it.
	Listen(transport.Config) (Transport, error)
}

// Transport is one node's connections to the others; package transport says what
// each method does. Its methods may be called from any goroutine.
type Transport interface {
	SetPeer(id NodeID, address string)
	RemovePeer(id NodeID)
	Send([]codec.Envelope)
	Call(ctx context.Context, to NodeID, request []byte) ([]byte, error)
	OpenStream(ctx context.Context, to NodeID, header []byte) (Stream, error)
	Addr() string // host:port
	Stats() transport.Stats
	Close() error
}

// Stream is bulk data on their way to another node.
type Stream interface {
	io.Writer               // to write nothing sends what was written, and is a sign of life
	Reply() ([]byte, error) // waits for what the receiver says about the header; nil: it needs nothing
	CloseAndWait() error    // ends it, and returns the receiver's verdict
	Close()                 // breaks it off, unless it has ended
}

// tcp is the network that there is.
type tcp struct{}

func (tcp) Listen(cfg transport.Config) (Transport, error) {
	t, err := transport.Listen(cfg)
	if err != nil {
		return nil, err
	}
	return overTCP{t}, nil
}

type overTCP struct{ *transport.Transport }

func (t overTCP) Addr() string { return t.Transport.Addr().String() }

func (t overTCP) OpenStream(ctx context.Context, to NodeID, header []byte) (Stream, error) {
	s, err := t.Transport.OpenStream(ctx, to, header)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Observer is told what goes on in a host, by the goroutines that do it: each
// method must be quick, change nothing, and keep nothing that it is given.
type Observer interface {
	// Recovered is told what the disk held of a group when it was started, and up
	// to where the state machine had come.
	Recovered(group GroupID, saved *raft.Saved, applied raft.Index)

	// Decided is told what inputs have made of a core, before anything of it is
	// done. Calls for one group come in order.
	Decided(group GroupID, core *raft.Raft, effects *raft.Effects)

	// Durable is told what is on the disk from now on, before anything that
	// waited for it leaves the node.
	Durable(records []codec.Record)

	// Applied is told what the state machine has carried out, before anybody who
	// waits for it.
	Applied(group GroupID, entries []raft.Entry)

	// Restored is told that a leader's snapshot has taken the state machine to
	// where it was after the given entry.
	Restored(group GroupID, at raft.EntryID)
}

func (h *Host) observe(tell func(Observer)) {
	if o := h.cfg.Observer; o != nil {
		tell(o)
	}
}
