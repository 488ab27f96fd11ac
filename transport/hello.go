package transport

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

const (
	magic   = "quorate"
	version = 3

	helloFixed    = 3*8 + originBytes + 1
	maxHandshake  = helloFixed + membership.MaxAddress // payload of a hello, in bytes
	maxRefusal    = 512                                // payload of a refusal, in bytes
	preambleBytes = len(magic) + 1

	// A connection in TLS begins with these two bytes.
	tlsHandshake, tlsMajor = 22, 3
)

type purpose uint8

const (
	forMessages purpose = iota + 1
	forStream
)

// hello is how a connection introduces itself.
type hello struct {
	cluster  uint64
	from, to raft.NodeID
	origin   Origin // of the sender
	purpose  purpose
	address  string // at which the sender can be dialled
}

// refusal is the acceptor's no, as the dialer's error.
type refusal struct {
	code refusalCode
	text string
}

type refusalCode uint8

const (
	refusedVersion refusalCode = iota + 1
	refusedCluster
	refusedReceiver
	refusedHello
	refusedBusy
	refusedPlain // by a node that demands TLS
	refusedTLS   // by one that does not speak it
	refusedForgotten
	refusedName // by its certificate
)

func (r *refusal) Error() string { return "transport: the peer refused the connection: " + r.text }

func appendPreamble(dst []byte) []byte { return append(append(dst, magic...), version) }

func (h *hello) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.cluster)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.from))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.to))
	return append(append(h.origin.append(dst), byte(h.purpose)), h.address...)
}

func decodeHello(b []byte) (hello, error) {
	if len(b) < helloFixed {
		return hello{}, violation("a hello of %d bytes", len(b))
	}
	return hello{
		cluster: binary.LittleEndian.Uint64(b),
		from:    raft.NodeID(binary.LittleEndian.Uint64(b[8:])),
		to:      raft.NodeID(binary.LittleEndian.Uint64(b[16:])),
		origin:  decodeOrigin(b[24:]),
		purpose: purpose(b[helloFixed-1]),
		address: string(b[helloFixed:]),
	}, nil
}

// introduce sends our hello and waits for the welcome, which says where the acceptor
// comes from. The connection has a deadline; frames that follow stay unread in conn.
func introduce(conn net.Conn, h hello, now env.Timestamp) (Origin, error) {
	out := appendFrame(appendPreamble(nil), frameHello, 0, now, h.append(nil))
	if _, err := conn.Write(out); err != nil {
		return Origin{}, err
	}
	if theirs, err := readPreamble(conn); err != nil {
		return Origin{}, err
	} else if theirs != version {
		return Origin{}, fmt.Errorf("transport: the peer speaks version %d of the protocol, we speak %d", theirs, version)
	}
	answer, err := (&frameReader{r: conn, limit: maxRefusal}).next()
	switch {
	case err != nil:
		return Origin{}, err
	case answer.kind == frameWelcome && len(answer.payload) == originBytes:
		return decodeOrigin(answer.payload), nil
	case answer.kind == frameRefusal && len(answer.payload) > 0:
		return Origin{}, &refusal{refusalCode(answer.payload[0]), string(answer.payload[1:])}
	default:
		return Origin{}, violation("frame type %d in answer to a hello", answer.kind)
	}
}

func readPreamble(r io.Reader) (byte, error) {
	var b [preambleBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	if b[0] == tlsHandshake && b[1] == tlsMajor {
		return 0, &refusal{refusedTLS, "this node speaks to its peers in plain TCP, not in TLS; give it a certificate, its key and the CA too"}
	}
	if string(b[:len(magic)]) != magic {
		return 0, violation("not a quorate node: it begins with %q", b[:])
	}
	return b[len(magic)], nil
}

// readHello is the acceptor's half up to its answer. A *refusal as the error is
// to be sent, any other means that there is nobody to answer.
func readHello(conn io.Reader) (hello, error) {
	theirs, err := readPreamble(conn)
	if err != nil {
		return hello{}, err
	}
	if theirs != version {
		return hello{}, &refusal{refusedVersion,
			fmt.Sprintf("this node speaks version %d of the protocol, not %d; upgrade the older one", version, theirs)}
	}
	f, err := (&frameReader{r: conn, limit: maxHandshake}).next()
	if err != nil {
		return hello{}, err
	}
	if f.kind != frameHello {
		return hello{}, violation("frame type %d instead of a hello", f.kind)
	}
	return decodeHello(f.payload)
}

func answerHello(conn io.Writer, no *refusal, mine Origin, now env.Timestamp) error {
	out := appendPreamble(nil)
	if no == nil {
		out = appendFrame(out, frameWelcome, 0, now, mine.append(nil))
	} else {
		// It may name files or certificates, of any length: longer than the peer takes, it
		// would be a violation, and what it says lost.
		text := no.text[:min(len(no.text), maxRefusal-1)]
		out = appendFrame(out, frameRefusal, 0, now, []byte{byte(no.code)}, []byte(text))
	}
	_, err := conn.Write(out)
	return err
}
