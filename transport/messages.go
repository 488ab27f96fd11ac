package transport

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// AppendMessages appends the frame in which the messages, all from one node to
// one other, travel, for whoever carries frames in other ways than over TCP.
func AppendMessages(dst []byte, number uint64, clock env.Timestamp, messages []codec.Envelope) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	for i := range messages {
		dst = appendMessage(dst, &messages[i])
	}
	sealFrame(dst[start:], frameMessages, number, clock)
	return dst
}

// ReadMessages returns the messages of one whole frame, which must be from and to
// the given nodes. Their entries' data may share the frame's memory.
func ReadMessages(data []byte, from, to raft.NodeID) ([]codec.Envelope, error) {
	if len(data) < headerSize || int(binary.LittleEndian.Uint32(data)) != len(data)-headerSize {
		return nil, violation("%d bytes that are no whole frame", len(data))
	}
	header, payload := data[:headerSize], data[headerSize:]
	if err := checkSum(header, payload); err != nil {
		return nil, err
	}
	if kind := frameType(header[8]); kind != frameMessages {
		return nil, violation("frame type %d instead of messages", kind)
	}
	return decodeMessages(from, to, payload)
}

// appendMessage appends a message with its length before it.
func appendMessage(dst []byte, e *codec.Envelope) []byte {
	before := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = codec.AppendMessage(dst, e)
	binary.LittleEndian.PutUint32(dst[before:], uint32(len(dst)-before-4))
	return dst
}

// decodeMessages returns a frame's messages. They are counted first, so that
// memory is taken once and for no more than there are.
func decodeMessages(from, to raft.NodeID, payload []byte) ([]codec.Envelope, error) {
	count := 0
	for rest := payload; len(rest) > 0; count++ {
		if len(rest) < 4 {
			return nil, violation("a frame of messages that ends within one")
		}
		size := binary.LittleEndian.Uint32(rest)
		if size < codec.MinMessage || uint64(size) > uint64(len(rest)-4) {
			return nil, violation("a message of %d bytes in a frame with %d left", size, len(rest)-4)
		}
		rest = rest[4+size:]
	}
	messages, frame := make([]codec.Envelope, count), payload
	for i := range messages {
		size := 4 + binary.LittleEndian.Uint32(payload)
		e, err := codec.DecodeMessage(payload[4:size])
		if err != nil {
			return nil, violation("%w", err)
		}
		if e.Message.From != from || e.Message.To != to {
			return nil, violation("a message from node %x to %x on a connection from %x to %x",
				e.Message.From, e.Message.To, from, to)
		}
		messages[i], payload = e, payload[size:]
	}
	letGo(frame, messages)
	return messages, nil
}

// letGo copies what commands say, if that is less than half of the frame that they came
// in: logs hold on to them for long, and would to all that other groups said at the same time.
func letGo(frame []byte, messages []codec.Envelope) {
	bytes := 0
	for i := range messages {
		for k := range messages[i].Message.Span.Entries {
			bytes += len(messages[i].Message.Span.Entries[k].Data)
		}
	}
	if bytes == 0 || bytes > len(frame)/2 {
		return
	}
	own := make([]byte, 0, bytes)
	for i := range messages {
		for k := range messages[i].Message.Span.Entries {
			e, at := &messages[i].Message.Span.Entries[k], len(own)
			own = append(own, e.Data...)
			e.Data = own[at:len(own):len(own)]
		}
	}
}
