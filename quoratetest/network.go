package quoratetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/transport"
)

// network carries what hosts send each other. It implements [quorate.Network].
type network struct {
	mu   sync.Mutex
	ends map[string]*endpoint   // by address: who listens, or did
	side map[quorate.NodeID]int // nodes on different sides do not reach each other
	cuts int
}

// How frames travel.
const (
	latency  = time.Millisecond // from one node to another
	hangs    = 2 * time.Second  // a connection stands still before it counts as broken
	underWay = 1 << 12          // frames to one node; what comes on top is lost
)

func newNetwork() *network {
	return &network{ends: map[string]*endpoint{}, side: map[quorate.NodeID]int{}}
}

// Listen implements [quorate.Network].
func (n *network) Listen(cfg transport.Config) (quorate.Transport, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.ends[cfg.Listen]; old != nil && !old.over() {
		return nil, fmt.Errorf("quoratetest: %s is in use", cfg.Listen)
	}
	e := &endpoint{net: n, cfg: cfg, links: map[quorate.NodeID]*link{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	n.ends[cfg.Listen] = e
	return e, nil
}

func (n *network) cut(numbers []int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts++
	for _, number := range numbers {
		n.side[quorate.NodeID(number)] = n.cuts
	}
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.side)
}

func (n *network) reaches(from, to quorate.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.side[from] == n.side[to]
}

// find returns who listens at an address and is the node that is meant.
func (n *network) find(address string, id quorate.NodeID) *endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.ends[address]; e != nil && !e.over() && e.cfg.Node == id {
		return e
	}
	return nil
}

// unplug ends the connections of a node without its doing.
func (n *network) unplug(address string) {
	n.mu.Lock()
	e := n.ends[address]
	n.mu.Unlock()
	_ = e.Close() // never fails
}

// endpoint is one life of a node on the network. It implements [quorate.Transport].
type endpoint struct {
	net    *network
	cfg    transport.Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // whatever calls the handler

	// Guarded by net.mu.
	links  map[quorate.NodeID]*link
	number uint64 // of the last frame
}

// link is the way to another node.
type link struct {
	to      quorate.NodeID
	address string // guarded by net.mu
	frames  chan frame
	cancel  context.CancelFunc
}

// frame is on its way until a time.
type frame struct {
	bytes   []byte
	arrives time.Time
}

func (e *endpoint) over() bool { return e.ctx.Err() != nil }

// enter announces a call of the handler, unless Close waits for the last.
func (e *endpoint) enter() bool {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.over() {
		return false
	}
	e.tasks.Add(1)
	return true
}

// Addr implements [quorate.Transport].
func (e *endpoint) Addr() string { return e.cfg.Listen }

// Stats implements [quorate.Transport]: nothing is counted.
func (e *endpoint) Stats() transport.Stats { return transport.Stats{} }

// SetPeer implements [quorate.Transport].
func (e *endpoint) SetPeer(id quorate.NodeID, address string) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.over() || id == e.cfg.Node || address == "" {
		return
	}
	if l := e.links[id]; l != nil {
		l.address = address
		return
	}
	l := &link{to: id, address: address, frames: make(chan frame, underWay)}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(e.ctx)
	e.links[id] = l
	e.tasks.Go(func() { e.carry(ctx, l) })
}

// RemovePeer implements [quorate.Transport].
func (e *endpoint) RemovePeer(id quorate.NodeID) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if l := e.links[id]; l != nil {
		l.cancel()
		delete(e.links, id)
	}
}

// Close implements [quorate.Transport]. The machine still answers, and tells the
// others that nobody listens there any more.
func (e *endpoint) Close() error {
	e.net.mu.Lock()
	again := e.over()
	e.cancel()
	var others []*endpoint
	for _, other := range e.net.ends {
		if l := other.links[e.cfg.Node]; !again && l != nil && !other.over() && e.net.side[e.cfg.Node] == e.net.side[other.cfg.Node] {
			others = append(others, other)
		}
	}
	e.net.mu.Unlock()
	for _, other := range others {
		other.later(func() { other.cfg.Handler.Unreachable(e.cfg.Node, true) })
	}
	e.tasks.Wait()
	return nil
}

// later calls the handler once something has had the time to arrive.
func (e *endpoint) later(call func()) {
	time.AfterFunc(latency, func() {
		if e.enter() {
			defer e.tasks.Done()
			call()
		}
	})
}

// peer returns who is to be found behind a link now, nil if nobody listens there.
func (e *endpoint) peer(id quorate.NodeID) *endpoint {
	e.net.mu.Lock()
	l := e.links[id]
	address := ""
	if l != nil {
		address = l.address
	}
	e.net.mu.Unlock()
	return e.net.find(address, id)
}

// Send implements [quorate.Transport]: one frame for each receiver, in the bytes
// that would travel over a wire, so that nodes share no memory.
func (e *endpoint) Send(messages []codec.Envelope) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	for len(messages) > 0 {
		to := messages[0].Message.To
		n := 1
		for n < len(messages) && messages[n].Message.To == to {
			n++
		}
		if l := e.links[to]; l != nil && !e.over() {
			e.number++
			select {
			case l.frames <- frame{transport.AppendMessages(nil, e.number, 0, messages[:n]), time.Now().Add(latency)}:
			default: // Raft will say it again
			}
		}
		messages = messages[n:]
	}
}

// carry delivers the frames of a link, in their order.
func (e *endpoint) carry(ctx context.Context, l *link) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-l.frames:
			if f.await(ctx) {
				e.deliver(l.to, f.bytes)
			}
		}
	}
}

// await waits until the frame arrives, and reports whether it does.
func (f *frame) await(ctx context.Context) bool {
	left := time.Until(f.arrives)
	if left <= 0 {
		// In a bubble of testing/synctest a timer that is due already fires in the
		// goroutine that makes it, and two at a time bring down Go's race detector.
		return ctx.Err() == nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (e *endpoint) deliver(id quorate.NodeID, bytes []byte) {
	to := e.peer(id)
	if to == nil || !e.net.reaches(e.cfg.Node, id) || !to.enter() {
		return
	}
	defer to.tasks.Done()
	messages, err := transport.ReadMessages(bytes, e.cfg.Node, id)
	if err != nil {
		panic(fmt.Errorf("quoratetest: a frame that was written a moment ago cannot be read: %w", err))
	}
	to.cfg.Handler.Receive(e.cfg.Node, messages)
}

// Call implements [quorate.Transport]. Across a cut neither the request nor the
// answer arrives, and the caller learns of it when the connection breaks.
func (e *endpoint) Call(ctx context.Context, id quorate.NodeID, request []byte) ([]byte, error) {
	to := e.peer(id)
	if to == nil || e.over() || ctx.Err() != nil {
		return nil, fmt.Errorf("%w: nobody listens", transport.ErrNotSent)
	}
	answers := make(chan []byte, 1)
	var once sync.Once
	answer := func(a []byte) {
		once.Do(func() {
			a = bytes.Clone(a)
			e.later(func() {
				if e.net.reaches(id, e.cfg.Node) {
					answers <- a
				}
			})
		})
	}
	request = bytes.Clone(request)
	to.later(func() {
		if e.net.reaches(e.cfg.Node, id) {
			to.cfg.Handler.Call(e.cfg.Node, request, answer)
		}
	})
	broken := time.NewTimer(hangs)
	defer broken.Stop()
	select {
	case a := <-answers:
		return a, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", transport.ErrLost, ctx.Err())
	case <-to.ctx.Done():
	case <-e.ctx.Done():
	case <-broken.C:
	}
	return nil, fmt.Errorf("%w: the connection to node %d broke", transport.ErrLost, id)
}
