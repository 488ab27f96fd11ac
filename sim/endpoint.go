package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/transport"
)

// endpoint is one life of a node on the network.
type endpoint struct {
	node  *node
	life  uint64
	cfg   transport.Config
	peers map[raft.NodeID]string // addresses
	doors map[*endpoint]*door    // to those who have called, or were called
	over  bool                   // closed

	number uint64    // of the last frame
	calls  []*call   // that wait for an answer
	tasks  env.Tasks // streams that come in, and handshakes
}

func (e *endpoint) up() bool { return !e.over && e.node.alive && e.node.life == e.life }

func (e *endpoint) SetPeer(id raft.NodeID, address string) {
	if e.up() && id != e.cfg.Node && address != "" && e.peers[id] != address {
		e.peers[id] = address
		e.greet(id, address)
	}
}

func (e *endpoint) RemovePeer(id raft.NodeID) { delete(e.peers, id) }
func (e *endpoint) Addr() string              { return e.cfg.Listen }
func (e *endpoint) Stats() transport.Stats    { return transport.Stats{} }

// Close ends calls and streams, too, and waits for those who take in streams, as it
// does over TCP.
func (e *endpoint) Close() error {
	if e.over || !e.up() {
		return nil
	}
	for _, s := range e.node.sim.net.streams {
		if s.from == e {
			s.judge(errBroken, false)
		}
		if s.to == e {
			s.body.end(errBroken)
		}
	}
	e.over = true
	for _, c := range e.calls {
		c.finish(nil, fmt.Errorf("%w: this node closes", transport.ErrLost))
	}
	e.tasks.Wait(&e.node.process)
	return nil
}

// Send implements quorate.Transport: one frame for each receiver, as over TCP.
func (e *endpoint) Send(messages []codec.Envelope) {
	if !e.up() {
		return
	}
	for i := range messages {
		if messages[i].Group >= group { // what nodes say to each other for themselves promises nothing
			e.node.sim.judgeOf(messages[i].Group).sent(e.node, &messages[i])
		}
	}
	e.node.sim.passed(messages, false)
	for len(messages) > 0 {
		to := messages[0].Message.To
		n := 1
		for n < len(messages) && messages[n].Message.To == to {
			n++
		}
		e.ship(to, messages[:n])
		messages = messages[n:]
	}
}

// ship sends a frame.
func (e *endpoint) ship(to raft.NodeID, messages []codec.Envelope) {
	address, known := e.peers[to]
	net := e.node.sim.net
	target := net.find(address, to)
	if !known || target == nil {
		return
	}
	w, l := net.world, net.link(e.node.number, target.node.number)
	e.number++
	net.draft = transport.AppendMessages(net.draft[:0], e.number, env.Timestamp(w.now), messages)
	frame := bytes.Clone(net.draft)
	w.mix(uint64(w.now), uint64(e.cfg.Node)<<32|uint64(to), uint64(len(frame)))
	e.reach(target, func() { e.throw(l, target, frame) })
}

// throw lets the network do with a frame what it likes.
func (e *endpoint) throw(l *link, target *endpoint, frame []byte) {
	net := e.node.sim.net
	w := net.world
	if chance(w.rng, net.weather.Drop) {
		return
	}
	if chance(w.rng, net.weather.Garble) {
		frame[w.rng.IntN(len(frame))] ^= 1 << w.rng.IntN(8)
	}
	copies := 1
	if chance(w.rng, net.weather.Double) {
		copies = 2
	}
	order := &l.last
	if chance(w.rng, net.weather.Reorder) {
		order = nil
	}
	for ; copies > 0; copies-- {
		if d, ok := net.transit(l, order); ok {
			own := frame // its own memory: the receiver keeps it
			if copies > 1 {
				own = bytes.Clone(frame)
			}
			w.after(d, &target.node.process, func() {
				target.pass(e, func() { target.receive(e.cfg.Node, own) })
			})
		}
	}
}

// receive is the other side. A frame that is damaged is thrown away, and in the
// real world the connection with it.
func (e *endpoint) receive(from raft.NodeID, frame []byte) {
	messages, err := transport.ReadMessages(frame, from, e.cfg.Node)
	if err != nil {
		e.node.sim.note(e.node, "a frame was refused: %v", err)
		return
	}
	e.node.sim.passed(messages, true)
	e.cfg.Handler.Receive(from, messages)
}

// call is a question that waits for its answer.
type call struct {
	done   chan struct{}
	answer []byte
	err    error
}

func (c *call) finish(answer []byte, err error) {
	if !c.over() {
		c.answer, c.err = answer, err
		close(c.done)
	}
}

func (c *call) over() bool { return c.err != nil || c.answer != nil }

// hangs is how long a connection stands still before it counts as broken.
const hangs = 2 * time.Second

// Call implements quorate.Transport. The request arrives once or not at all; if
// the answer is lost, the connection breaks after a while.
func (e *endpoint) Call(ctx context.Context, to raft.NodeID, request []byte) ([]byte, error) {
	net := e.node.sim.net
	target := net.find(e.peers[to], to)
	if !e.up() || target == nil {
		return nil, fmt.Errorf("%w: nobody listens", transport.ErrNotSent)
	}
	w := net.world
	c := &call{done: make(chan struct{})}
	e.calls = append(slices.DeleteFunc(e.calls, (*call).over), c)
	lost := func() { c.finish(nil, fmt.Errorf("%w: the connection broke", transport.ErrLost)) }
	there, back := net.link(e.node.number, target.node.number), net.link(target.node.number, e.node.number)
	request = bytes.Clone(request)
	answered := func(answer []byte) {
		answer = append([]byte{}, answer...)
		if d, ok := net.transit(back, nil); ok && !chance(w.rng, net.weather.Drop) {
			w.after(d, &e.node.process, func() { c.finish(answer, nil) })
		}
	}
	if d, ok := net.transit(there, nil); ok && !chance(w.rng, net.weather.Drop) {
		e.reach(target, func() {
			w.after(d, &target.node.process, func() {
				target.pass(e, func() { target.cfg.Handler.Call(e.cfg.Node, request, answered) })
			})
		})
	}
	w.after(hangs, &e.node.process, lost)
	if e.cfg.Env.Wait(nil, c.done, ctx.Done(), nil) == 2 {
		return nil, fmt.Errorf("%w: %w", transport.ErrLost, ctx.Err())
	}
	return c.answer, c.err
}

var errBroken = errors.New("sim: the stream broke")
