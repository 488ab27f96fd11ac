package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/quorate-db/quorate/env"
)

type frameType uint8

const (
	frameHello frameType = iota + 1
	frameWelcome
	frameRefusal
	frameMessages
	frameCall
	frameAnswer
	framePing
	framePong
	frameOpen
	frameChunk
	frameEnd
	frameVerdict
	frameReply
	framePiece
)

const (
	headerSize = 4 + 4 + 1 + 8 + 8

	// hardMaxFrame bounds what may be configured, and so what a node of any
	// configuration takes in, in bytes of payload.
	hardMaxFrame = 64 << 20
)

// frame is one unit of what travels; its payload is its own memory, unless its reader lends
// it.
type frame struct {
	kind    frameType
	number  uint64
	clock   env.Timestamp
	payload []byte
}

// errViolation is what a well-behaved node cannot have sent, in contrast to a
// connection that merely broke.
var errViolation = errors.New("transport: protocol violation")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errViolation}, args...)...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a frame whose payload consists of the given parts.
func appendFrame(dst []byte, kind frameType, number uint64, clock env.Timestamp, parts ...[]byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	for _, p := range parts {
		dst = append(dst, p...)
	}
	sealFrame(dst[start:], kind, number, clock)
	return dst
}

// sealFrame writes the header of a frame whose payload is in its place.
func sealFrame(b []byte, kind frameType, number uint64, clock env.Timestamp) {
	header, payload := b[:headerSize], b[headerSize:]
	binary.LittleEndian.PutUint32(header, uint32(len(payload)))
	header[8] = byte(kind)
	binary.LittleEndian.PutUint64(header[9:], number)
	binary.LittleEndian.PutUint64(header[17:], uint64(clock))
	binary.LittleEndian.PutUint32(header[4:], checksum(header, payload))
}

func checksum(header, payload []byte) uint32 {
	crc := crc32.Update(0, castagnoli, header[:4])
	crc = crc32.Update(crc, castagnoli, header[8:])
	return crc32.Update(crc, castagnoli, payload)
}

func checkSum(header, payload []byte) error {
	if binary.LittleEndian.Uint32(header[4:]) != checksum(header, payload) {
		return violation("a frame whose checksum does not match")
	}
	return nil
}

// frameReader takes frames from a connection.
type frameReader struct {
	r      io.Reader
	limit  int // of a payload, in bytes
	header [headerSize]byte
	pieces []byte // of the frame that is coming in pieces
	lent   []byte // not nil: payloads share this memory, each until the next is read
}

// next returns the next frame, however it comes.
func (f *frameReader) next() (frame, error) {
	for {
		one, err := f.one()
		if err != nil || one.kind != framePiece {
			return one, err
		}
		if all, done, err := f.whole(one); done || err != nil {
			return all, err
		}
	}
}

// one returns the next frame. The length is checked before memory is taken for
// it, and then taken on trust only for a first part. An end between two frames is io.EOF, one inside io.ErrUnexpectedEOF.
func (f *frameReader) one() (frame, error) {
	if _, err := io.ReadFull(f.r, f.header[:]); err != nil {
		return frame{}, err
	}
	size := binary.LittleEndian.Uint32(f.header[:])
	kind := frameType(f.header[8])
	if kind < frameHello || kind > framePiece {
		return frame{}, violation("unknown frame type %d", kind)
	}
	if uint64(size) > uint64(f.limit) {
		return frame{}, violation("a frame of %d bytes where at most %d are allowed", size, f.limit)
	}
	payload, err := f.payload(int(size))
	if err != nil {
		return frame{}, err
	}
	if err := checkSum(f.header[:], payload); err != nil {
		return frame{}, err
	}
	return frame{
		kind:    kind,
		number:  binary.LittleEndian.Uint64(f.header[9:]),
		clock:   env.Timestamp(binary.LittleEndian.Uint64(f.header[17:])),
		payload: payload,
	}, nil
}

func (f *frameReader) payload(size int) ([]byte, error) {
	if size > len(f.lent) {
		return readPayload(f.r, size)
	}
	_, err := io.ReadFull(f.r, f.lent[:size])
	if err == io.EOF && size > 0 {
		err = io.ErrUnexpectedEOF
	}
	return f.lent[:size], err
}

// whole adds a piece of a frame to those before, and returns the frame once it is whole.
func (f *frameReader) whole(piece frame) (_ frame, done bool, err error) {
	f.pieces = append(f.pieces, piece.payload...)
	if len(f.pieces) < headerSize {
		return frame{}, false, violation("a frame whose first piece has %d bytes", len(f.pieces))
	}
	header, payload := f.pieces[:headerSize], f.pieces[headerSize:]
	kind, size := frameType(header[8]), int64(binary.LittleEndian.Uint32(header))
	switch {
	case kind == framePiece:
		return frame{}, false, violation("a piece of a piece")
	case size > int64(f.limit):
		return frame{}, false, violation("a frame of %d bytes where at most %d are allowed", size, f.limit)
	case int64(len(payload)) > size:
		return frame{}, false, violation("pieces of %d bytes for a frame of %d", len(payload), size)
	case int64(len(payload)) < size:
		return frame{}, false, nil
	}
	f.pieces = nil
	return frame{kind, piece.number, piece.clock, payload}, true, checkSum(header, payload)
}

// onTrust is the memory that a length alone is given, in bytes. Few frames are
// longer; but as many connections as are allowed may announce one and be silent.
const onTrust = 1 << 20

// readPayload reads so many bytes. What it takes more than onTrust doubles only
// when what it had is full.
func readPayload(r io.Reader, size int) ([]byte, error) {
	payload := make([]byte, min(size, onTrust))
	for read := 0; ; {
		n, err := io.ReadFull(r, payload[read:])
		read += n
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case read == size:
			return payload, nil
		}
		more := make([]byte, min(size, 2*read))
		copy(more, payload)
		payload = more
	}
}
