package etcdv3

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

// mostArriving is how many bytes of requests may have arrived over gRPC, on all
// connections, that no call has taken. grpc-go bounds it for a stream, and thousands of
// streams on thousands of connections may each have a request that never ends.
const mostArriving = 512 << 20

// arriving counts what clients have sent and no call has taken. When it is too much, the
// connection that holds most for longest is closed: no data can be refused that HTTP/2
// has allowed, and to read no more would hold up those that are about to end as well.
type arriving struct {
	most  int64
	bytes atomic.Int64

	mu    sync.Mutex
	conns map[*arrival]struct{} // that have ever sent data
}

// arrival is a connection.
type arrival struct {
	net.Conn
	all *arriving

	// Only for its reader.
	frames  frames
	counted bool // among all

	mu    sync.Mutex
	bytes int64     // of requests, which no call has taken
	since time.Time // since when they are not none
	over  bool      // it is closed, or will be
}

func newArriving(most int64) *arriving {
	return &arriving{most: most, conns: make(map[*arrival]struct{})}
}

func (a *arriving) watch(conn net.Conn) *arrival {
	return &arrival{Conn: conn, all: a, frames: frames{left: prefaceBytes}}
}

// Read implements net.Conn.
func (c *arrival) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if data := c.frames.data(b[:n]); data > 0 {
		c.came(int64(data))
	}
	return n, err
}

// Close implements net.Conn.
func (c *arrival) Close() error {
	c.forget()
	return c.Conn.Close()
}

// came counts data. Only the reader calls it.
func (c *arrival) came(n int64) {
	if !c.counted {
		c.counted = true
		c.all.mu.Lock()
		c.all.conns[c] = struct{}{}
		c.all.mu.Unlock()
	}
	c.mu.Lock()
	over := c.over
	if !over {
		if c.bytes == 0 {
			c.since = time.Now()
		}
		c.bytes += n
		c.all.bytes.Add(n)
	}
	c.mu.Unlock()
	if over {
		c.forget() // again: it may have been before it was counted
	} else if c.all.bytes.Load() > c.all.most {
		c.all.closeOne()
	}
}

// forget gives back what the connection holds; it counts no more.
func (c *arrival) forget() {
	c.mu.Lock()
	c.over = true
	c.all.bytes.Add(-c.bytes)
	c.bytes = 0
	c.mu.Unlock()
	c.all.mu.Lock()
	delete(c.all.conns, c)
	c.all.mu.Unlock()
}

// messageHead is what gRPC writes before each message.
const messageHead = 5

// taken says that a call has got a message. What was sent for calls that ended before
// they got theirs counts until the connection ends.
func taken(ctx context.Context, message any) {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return
	}
	who, ok := from.AuthInfo.(certified)
	if !ok {
		return // it came as JSON
	}
	c := who.from
	n := int64(messageHead + proto.Size(message.(proto.Message)))
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, c.bytes) // as it was encoded it may have been shorter
	c.bytes -= n
	c.all.bytes.Add(-n)
}

// closeOne closes the connection that holds most for longest. One that ends its requests
// holds little, or not for long.
func (a *arriving) closeOne() {
	a.mu.Lock()
	var worst *arrival
	var most float64
	for c := range a.conns {
		if w := c.weight(); worst == nil || w > most {
			worst, most = c, w
		}
	}
	a.mu.Unlock()
	if worst == nil {
		return // they are gone
	}
	worst.forget()
	_ = worst.SetReadDeadline(time.Now()) // its reader ends it; if this fails it has ended
}

// weight is in byte-seconds.
func (c *arrival) weight() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.bytes) * time.Since(c.since).Seconds()
}

// How HTTP/2 begins, and each of its frames (RFC 9113, 3.4 and 4.1).
const (
	prefaceBytes = 24
	frameHead    = 9
	frameData    = 0
)

// frames tells data from what else is in a stream of HTTP/2.
type frames struct {
	head   [frameHead]byte
	known  int  // bytes of the head
	left   int  // bytes of the frame after it
	isData bool // these are
}

// data returns how many of the bytes that come next are data.
func (f *frames) data(b []byte) (n int) {
	for len(b) > 0 {
		if f.left == 0 {
			got := copy(f.head[f.known:], b)
			f.known, b = f.known+got, b[got:]
			if f.known == frameHead {
				f.known, f.isData = 0, f.head[3] == frameData
				f.left = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
			}
			continue
		}
		got := min(f.left, len(b))
		if f.isData {
			n += got
		}
		f.left, b = f.left-got, b[got:]
	}
	return n
}
