package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

// Origin is what a node says of where it comes from. A node that has lost what it
// had promised would break its promises; by this its peers notice.
type Origin struct {
	// Incarnation was drawn when the node's data directory was made. Another one
	// under the same ID is another node, which remembers nothing.
	Incarnation uint64

	Life uint64 // drawn when its process started

	// Start is the mark of its log at that moment. A mark rises with everything that
	// becomes durable: with less than what was once told, a directory is an old copy.
	Start uint64
}

const originBytes = 3 * 8

// Memory is what a node knows of its peers' origins.
type Memory interface {
	// Mark is how far our own log has come.
	Mark() uint64

	// Meet is told whom a connection leads to, in either direction, before anything is
	// taken from there. It may wait for a disk. What wraps ErrForgotten turns the peer
	// away until it is another one; any other error, for now.
	Meet(peer raft.NodeID, is Origin) error

	// Learn is told, now and then, how far the log of a peer that was met has come. It
	// must not wait.
	Learn(peer raft.NodeID, mark uint64)

	// Refused is told that a peer has turned us away because of our origin, and why. It
	// may be told so again.
	Refused(by raft.NodeID, why string)
}

// ErrForgotten says that a node does not remember what it has promised.
var ErrForgotten = errors.New("it has forgotten what it promised")

// mark is how far our log has come; zero if nobody says so.
func (t *Transport) mark() uint64 {
	if t.cfg.Memory == nil {
		return 0
	}
	return t.cfg.Memory.Mark()
}

// recall returns why a peer is turned away, nil if it is not.
func (t *Transport) recall(peer raft.NodeID, is Origin) *refusal {
	if t.cfg.Memory == nil {
		return nil
	}
	switch err := t.cfg.Memory.Meet(peer, is); {
	case err == nil:
		return nil
	case errors.Is(err, ErrForgotten):
		return &refusal{refusedForgotten, err.Error()}
	default:
		return &refusal{refusedBusy, fmt.Sprintf("this node cannot take note of whom it meets; try again later (%v)", err)}
	}
}

// learn takes a ping of a peer, which says how far its log has come.
func (l *link) learn(ping []byte) error {
	if len(ping) != pingBytes {
		return violation("a ping of %d bytes", len(ping))
	}
	if m := l.t.cfg.Memory; m != nil {
		m.Learn(l.id, binary.LittleEndian.Uint64(ping[16:]))
	}
	return nil
}

func (o Origin) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, o.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, o.Life)
	return binary.LittleEndian.AppendUint64(dst, o.Start)
}

func decodeOrigin(b []byte) Origin {
	return Origin{
		Incarnation: binary.LittleEndian.Uint64(b),
		Life:        binary.LittleEndian.Uint64(b[8:]),
		Start:       binary.LittleEndian.Uint64(b[16:]),
	}
}
