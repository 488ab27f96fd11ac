package transport

import (
	"errors"
	"sync"

	"github.com/quorate-db/quorate/env"
)

// queue holds the encoded frames that wait for one connection's writer. While the
// writer is busy with one batch the next one gathers, so that a slow connection
// gets large writes; on an idle one whoever sends writes by himself. It is bounded in bytes,
// those that are being written included.
//
// What is urgent goes first, however much else waits: a follower that is busy with a huge
// entry must hear that its leader lives.
type queue struct {
	hlc         *env.HLC
	maxBytes    int
	maxMessages int
	ready       chan struct{} // holds a token while there may be something to take

	mu       sync.Mutex
	closed   bool // nobody is going to write: everything is refused
	lanes    [2]lane
	spare    []byte // memory of a batch that was written
	writing  int    // bytes of the batch that is being written
	messages int    // in lanes
	number   uint64 // of the newest frame that a writer was given
	dropped  uint64 // messages
}

// urgent and bulk are the lanes of a queue. Within one, frames keep their order.
const (
	urgent = iota
	bulk
)

// place is where a frame was put.
type place struct {
	lane  int
	count uint64 // of frames put into it, this one included
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

// put appends a frame that holds so many messages to a lane. An error means that the
// frame will not be sent.
func (q *queue) put(in int, kind frameType, messages int, parts ...[]byte) (place, error) {
	at, err := q.add(in, kind, messages, parts...)
	if err == nil {
		q.signal()
	}
	return at, err
}

// add is put for who sees to it that the frame is written.
func (q *queue) add(in int, kind frameType, messages int, parts ...[]byte) (place, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.room(in, messages, parts); err != nil {
		q.dropped += uint64(messages)
		return place{}, err
	}
	q.messages += messages
	q.lanes[in].append(kind, messages, parts)
	return place{in, q.lanes[in].put}, nil
}

// room refuses what is too much. What is not urgent leaves an eighth for what is.
func (q *queue) room(in, messages int, parts [][]byte) error {
	if q.closed {
		return errQueueClosed
	}
	size, limit := headerSize, q.maxBytes
	for _, p := range parts {
		size += len(p)
	}
	if in == bulk && !q.lanes[bulk].empty() {
		limit -= limit / 8
	}
	if q.lanes[urgent].size()+q.lanes[bulk].size()+q.writing+size > limit || q.messages+messages > q.maxMessages {
		return errQueueFull
	}
	return nil
}

// waiting is how many bytes nobody has taken yet.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[urgent].size() + q.lanes[bulk].size()
}

// idle reports whether all of a lane was taken.
func (q *queue) idle(lane int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[lane].empty()
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default: // a token is there already
	}
}

// take returns all that is urgent and some of the rest. The writer calls written when
// it is done with it.
func (q *queue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, first, rest := q.hlc.Now(), &q.lanes[urgent], &q.lanes[bulk]
	if first.empty() && rest.size() <= stride && rest.gone+rest.begun == 0 {
		first = rest // without a copy
	}
	batch := first.frames
	first.frames, q.spare = q.spare[:0], nil
	q.seal(first, batch, now)
	if n := rest.whole(stride); n > 0 {
		at := len(batch)
		batch = append(batch, rest.next(n)...)
		q.seal(rest, batch[at:], now)
	} else if !rest.empty() {
		batch = q.piece(batch, now)
	}
	rest.tidy()
	if !rest.empty() {
		q.signal()
	}
	q.writing = len(batch)
	return batch
}

// seal gives frames their numbers.
func (q *queue) seal(from *lane, frames []byte, now env.Timestamp) {
	for len(frames) > 0 {
		f := frames[:frameSize(frames)]
		q.messages -= from.handOver(f)
		q.number++
		sealFrame(f, frameType(f[8]), q.number, now)
		frames = frames[len(f):]
	}
}

// piece appends a piece of a frame that is too large to be sent at once. The last one
// brings the frame's number.
func (q *queue) piece(batch []byte, now env.Timestamp) []byte {
	from := &q.lanes[bulk]
	if from.begun == 0 {
		f := from.waiting()
		f = f[:frameSize(f)]
		q.messages -= from.handOver(f)
		sealFrame(f, frameType(f[8]), 0, now)
		from.begun = len(f)
	}
	n := min(from.begun, pieceSize)
	number := uint64(0)
	if from.begun -= n; from.begun == 0 {
		q.number++
		number = q.number
	}
	return appendFrame(batch, framePiece, number, now, from.next(n))
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
	q.messages = 0
	for i := range q.lanes {
		q.lanes[i].clear()
	}
}

// reopen accepts frames again. What was put and not taken before a connection
// broke is still there and goes first, hence the signal; but for the rest of a frame
// that was begun, which means nothing on another connection.
func (q *queue) reopen() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
	b := &q.lanes[bulk]
	b.next(b.begun)
	b.begun = 0
	q.signal()
}

// handedOver reports whether a part of a frame may have been sent.
func (q *queue) handedOver(p place) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return p.count <= q.lanes[p.lane].taken
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
