package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

// reader takes values from the front of rest. After the first failure rest is
// empty and every value zero, so that only close needs to look.
type reader struct {
	src    []byte
	rest   []byte
	reason string // why it failed; empty while it has not
	at     int    // where, in bytes from the start of src
	format bool   // it failed at the format byte
}

// open returns a reader of what follows the format byte.
func open(src []byte, format byte) reader {
	r := reader{src: src, rest: src}
	if got := r.byte(); got != format && r.reason == "" {
		r.format = true
		r.fail("unknown format")
	}
	return r
}

// close returns the first failure. Bytes left over are one.
func (r *reader) close(what string) error {
	if len(r.rest) > 0 {
		r.fail("bytes after the end")
	}
	switch {
	case r.reason == "":
		return nil
	case r.format:
		return fmt.Errorf("%w: a %s with the format byte %#02x", ErrFormat, what, r.src[0])
	default:
		return fmt.Errorf("%w: a %s of %d bytes has, before byte %d, %s", ErrMalformed, what, len(r.src), r.at, r.reason)
	}
}

func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason, r.at = reason, len(r.src)-len(r.rest)
	}
	r.rest = nil
}

func (r *reader) byte() byte {
	if len(r.rest) < 1 {
		r.fail("too few bytes")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) flags(known byte) byte {
	flags := r.byte()
	if flags&^known != 0 {
		r.fail("an unknown flag")
		return 0
	}
	return flags
}

func (r *reader) uvarint() uint64 {
	if len(r.rest) > 0 && r.rest[0] < 0x80 { // most numbers are small
		v := uint64(r.rest[0])
		r.rest = r.rest[1:]
		return v
	}
	v, n := binary.Uvarint(r.rest)
	switch {
	case n == 0:
		r.fail("too few bytes")
		return 0
	case n < 0:
		r.fail("a number above 64 bits")
		return 0
	case r.rest[n-1] == 0:
		r.fail("a number that is longer than it need be")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) node() raft.NodeID {
	if len(r.rest) < 8 {
		r.fail("too few bytes")
		return 0
	}
	id := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return raft.NodeID(id)
}

// count takes a number of things that need at least size bytes each, so that a
// lie about it cannot make us take memory that the source does not justify.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.fail("a count or length beyond the end")
		return 0
	}
	return int(n)
}

// bytes returns a part of the source, nil if it is empty. Its capacity ends with
// it, so that whoever appends to it copies.
func (r *reader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}
