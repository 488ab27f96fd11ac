package transport

import (
	"errors"
	"sync"

	"github.com/quorate-db/quorate/env"
)

// queue holds the encoded frames that wait for one connection's writer. While the
// writer is busy with one batch the next one gathers, so that a slow connection
// gets large writes and an idle one gets none delayed. It is bounded in bytes,
// those that are being written included.
type queue struct {
	hlc         *env.HLC
	maxBytes    int
	maxMessages int
	ready       chan struct{} // holds a token while there may be something to take

	mu       sync.Mutex
	closed   bool // nobody is going to write: everything is refused
	frames   []byte
	spare    []byte // memory of a batch that was written
	writing  int    // bytes of the batch that is being written
	messages int    // in frames
	last     uint64 // number of the newest frame
	taken    uint64 // number of the newest frame that a writer was given
	dropped  uint64 // messages
}

var (
	errQueueFull   = errors.New("the queue to the peer is full")
	errQueueClosed = errors.New("the peer cannot be reached at the moment")
)

// keepSpare is the largest buffer that is kept for the next batch, in bytes.
const keepSpare = 1 << 20

func newQueue(hlc *env.HLC, limits *Limits) *queue {
	return &queue{
		hlc:         hlc,
		maxBytes:    limits.QueueBytes,
		maxMessages: limits.QueueMessages,
		ready:       make(chan struct{}, 1),
	}
}

// put appends a frame that holds so many messages and returns its number. An
// error means that the frame will not be sent.
func (q *queue) put(kind frameType, messages int, parts ...[]byte) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(messages, parts); err != nil {
		q.dropped += uint64(messages)
		return 0, err
	}
	q.last++
	q.messages += messages
	q.frames = appendFrame(q.frames, kind, q.last, q.hlc.Now(), parts...)
	q.signal()
	return q.last, nil
}

func (q *queue) room(messages int, parts [][]byte) error {
	if q.closed {
		return errQueueClosed
	}
	size := headerSize
	for _, p := range parts {
		size += len(p)
	}
	if len(q.frames)+q.writing+size > q.maxBytes || q.messages+messages > q.maxMessages {
		return errQueueFull
	}
	return nil
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default: // a token is there already
	}
}

// take returns everything that waits. The writer calls written when it is done
// with it.
func (q *queue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.frames
	q.frames, q.spare = q.spare[:0], nil
	q.writing, q.messages, q.taken = len(batch), 0, q.last
	return batch
}

func (q *queue) written(batch []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = 0
	if cap(batch) <= keepSpare {
		q.spare = batch[:0]
	}
}

// close drops what waits and refuses what comes.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.dropped += uint64(q.messages)
	q.frames, q.messages = nil, 0
}

// reopen accepts frames again. What was put and not taken before a connection
// broke is still there and goes first, hence the signal.
func (q *queue) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
	q.signal()
}

// handedOver reports the newest frame of which a part may have been sent.
func (q *queue) handedOver() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}

// drop counts messages that were not even put.
func (q *queue) drop(messages int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(messages)
}

func (q *queue) droppedMessages() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
