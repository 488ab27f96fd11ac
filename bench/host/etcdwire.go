package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// etcdLink is one end of the connection between two nodes. A frame is its length,
// a group, and messages with their lengths; integers have four bytes.
type etcdLink struct {
	conn net.Conn
	mu   sync.Mutex
}

// write sends a frame. It fails only when the cluster closes, when nobody waits for
// what is in it. Readers never wait for anything, so a write does not wait for long.
func (l *etcdLink) write(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.conn.Write(frame)
}

// read hands on what arrives until the connection is closed.
func (l *etcdLink) read(receive func(group uint32, in etcdInput)) {
	in := bufio.NewReaderSize(l.conn, 1<<18)
	var header [4]byte
	var body []byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return
		}
		size := int(binary.LittleEndian.Uint32(header[:]))
		if cap(body) < size {
			body = make([]byte, size)
		}
		body = body[:size]
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		messages, err := etcdMessages(body[4:])
		if err != nil {
			panic(fmt.Sprintf("etcd: what this process has sent cannot be read: %v", err))
		}
		receive(binary.LittleEndian.Uint32(body), etcdInput{messages: messages})
	}
}

// etcdMessages decodes the messages of a frame; they do not alias it.
func etcdMessages(body []byte) (all []*raftpb.Message, err error) {
	for len(body) > 0 {
		size := binary.LittleEndian.Uint32(body)
		m := new(raftpb.Message)
		if err := proto.Unmarshal(body[4:4+size], m); err != nil {
			return nil, err
		}
		all, body = append(all, m), body[4+size:]
	}
	return all, nil
}

// etcdFrame begins a frame of a group.
func etcdFrame(buf []byte, group uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(buf[:0], 0, 0, 0, 0), group)
}

// etcdClose writes the length of a frame into its beginning.
func etcdClose(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// appendSized appends a message with its length before it.
func appendSized(buf []byte, m proto.Message) ([]byte, error) {
	start := len(buf)
	buf, err := proto.MarshalOptions{}.MarshalAppend(append(buf, 0, 0, 0, 0), m)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(buf[start:], uint32(len(buf)-start-4))
	return buf, nil
}
