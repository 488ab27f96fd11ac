package session

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
)

// ID names a session: the log index of the command that opened it.
type ID = raft.Index

// Window is how many commands of a session may be under way at once.
const Window = 64

// kind is what a command does.
type kind byte

const (
	plain kind = iota
	open
	closing
	call
)

// command is one in the log.
type command struct {
	kind    kind
	session ID
	number  uint64
	first   uint64 // the lowest number whose answer the client may still ask for
	data    []byte
}

// Plain is a command that belongs to no session, for the Propose of a group whose
// machine is a [Machine].
func Plain(data []byte) []byte { return command{kind: plain, data: data}.encode() }

func (c command) encode() []byte {
	b := append(make([]byte, 0, 1+3*binary.MaxVarintLen64+len(c.data)), byte(c.kind))
	if c.kind == closing || c.kind == call {
		b = binary.AppendUvarint(b, uint64(c.session))
	}
	if c.kind == call {
		b = binary.AppendUvarint(b, c.number)
		b = binary.AppendUvarint(b, c.first)
	}
	return append(b, c.data...)
}

// decode reports false for bytes that encode cannot have made.
func decode(b []byte) (c command, ok bool) {
	if len(b) == 0 {
		return c, false
	}
	c.kind, c.data = kind(b[0]), b[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(c.data)
		if n <= 0 {
			c.kind = call + 1
			return 0
		}
		c.data = c.data[n:]
		return v
	}
	if c.kind == closing || c.kind == call {
		c.session = ID(number())
	}
	if c.kind == call {
		c.number, c.first = number(), number()
	}
	switch c.kind {
	case plain:
		return c, true
	case open, closing:
		return c, len(c.data) == 0
	case call:
		return c, c.first > 0 && c.first <= c.number && c.number-c.first < Window
	}
	return c, false
}
