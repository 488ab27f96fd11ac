package transport

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// Transport is one node's connections to its peers. Its methods may be called
// from any goroutine.
type Transport struct {
	cfg      Config
	origin   Origin
	hlc      *env.HLC
	listener net.Listener
	log      complaints
	counters counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // every goroutine

	mu     sync.Mutex
	closed bool
	links  map[raft.NodeID]*link
	conns  map[net.Conn]struct{} // all that are open, to be closed by Close

	sendMu sync.Mutex
	drafts []*link // links whose draft is not empty, within Send
}

type counters struct {
	refused, violations, unaddressed atomic.Uint64
	insecure                         atomic.Uint64 // handshakes of credentials that failed
	accepted                         atomic.Int64  // incoming connections at the moment
	streams                          atomic.Int64  // incoming streams at the moment
}

// Listen starts to listen to peers. An occupied port or an address that is not
// this machine's is an error.
func Listen(cfg Config) (*Transport, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Env == nil {
		cfg.Env = env.Real()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive(&cfg.Limits)}
	listener, err := lc.Listen(context.Background(), "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("transport: cannot listen to peers at %s: %w", cfg.Listen, err)
	}
	if cfg.Advertise == "" {
		cfg.Advertise = listener.Addr().String()
		if addr := listener.Addr().(*net.TCPAddr); addr.IP.IsUnspecified() {
			listener.Close()
			return nil, fmt.Errorf("transport: listening at %s, an address to advertise must be given: peers cannot dial all of them", addr)
		}
	}
	t := &Transport{
		cfg:      cfg,
		origin:   cfg.Origin,
		hlc:      env.NewHLC(cfg.Env),
		listener: listener,
		log:      complaints{clock: cfg.Env, logger: cfg.Logger},
		links:    map[raft.NodeID]*link{},
		conns:    map[net.Conn]struct{}{},
	}
	t.origin.Life = cfg.Env.Uint64()
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.tasks.Go(t.accept)
	return t, nil
}

func keepAlive(l *Limits) net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: max(l.Timeout, time.Second), Interval: max(l.Timeout, time.Second), Count: 3}
}

// Addr is where the transport listens.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// Close closes all connections and returns when nothing runs any more: the
// handler is not called after it. Calls that wait end.
func (t *Transport) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.mu.Lock()
	again := t.closed
	t.closed = true
	for conn := range t.conns {
		conn.Close()
	}
	t.mu.Unlock()
	t.tasks.Wait()
	if again {
		return nil
	}
	return err
}

// track makes Close close the connection. It reports false, and closes it, if
// that has happened.
func (t *Transport) track(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		conn.Close()
		return false
	}
	t.conns[conn] = struct{}{}
	return true
}

func (t *Transport) release(conn net.Conn) {
	conn.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, bare(conn))
}

// SetPeer says where a peer is to be found, and connects to it for as long as it
// is known. A connection to another address is given up.
func (t *Transport) SetPeer(id raft.NodeID, address string) {
	if id == 0 || id == t.cfg.Node || address == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if l := t.links[id]; l != nil {
		l.setAddress(address, true)
	} else {
		t.addLink(id, address, true)
	}
}

// RemovePeer forgets a peer and closes the connections with it.
func (t *Transport) RemovePeer(id raft.NodeID) {
	t.mu.Lock()
	l := t.links[id]
	delete(t.links, id)
	t.mu.Unlock()
	if l != nil {
		l.leave()
	}
}

// addLink is called with t.mu held.
func (t *Transport) addLink(id raft.NodeID, address string, fixed bool) *link {
	l := newLink(t, id)
	l.address, l.fixed = address, fixed
	t.links[id] = l
	t.tasks.Go(l.run)
	return l
}

func (t *Transport) link(id raft.NodeID) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.links[id]
}

// Send passes on messages to their receivers, those of all groups for one
// receiver in one frame. It never blocks: what finds no room, no address or no
// connection is dropped and counted, because Raft will say it again.
func (t *Transport) Send(messages []codec.Envelope) {
	t.sendMu.Lock()
	defer t.sendMu.Unlock()
	var l *link
	for i := range messages {
		e := &messages[i]
		if l == nil || l.id != e.Message.To {
			l = t.link(e.Message.To)
		}
		if l == nil {
			t.counters.unaddressed.Add(1)
			continue
		}
		if l.drafts[urgent].messages+l.drafts[bulk].messages == 0 {
			t.drafts = append(t.drafts, l)
		}
		t.write(l, e)
	}
	for i, l := range t.drafts {
		l.flush()
		l.push()
		t.drafts[i] = nil
	}
	t.drafts = t.drafts[:0]
}

// write adds a message to one of the link's drafts. If that makes it longer than a frame
// should be, what was there before goes first.
func (t *Transport) write(l *link, e *codec.Envelope) {
	in := urgent
	if e.Message.Kind == raft.AppendEntries { // an empty one, too, asks what has come of those before it
		in = bulk
	}
	d := &l.drafts[in]
	before := len(d.bytes)
	d.bytes = appendMessage(d.bytes, e)
	size, limit := len(d.bytes)-before, t.cfg.Limits.MaxFrame
	d.messages++
	if len(d.bytes) <= min(limit, stride) || before == 0 && size <= limit {
		return
	}
	if size > limit {
		d.bytes, d.messages = d.bytes[:before], d.messages-1
		l.queue.drop(1)
		t.log.warn("a message is larger than a frame may be; it was dropped",
			"peer", name(l.id), "kind", e.Message.Kind.String(), "bytes", size, "limit", limit)
		return
	}
	l.queue.add(in, frameMessages, d.messages-1, d.bytes[:before])
	d.bytes = append(d.bytes[:0], d.bytes[before:]...)
	d.messages = 1
}

// draft is a frame of messages that Send writes for one receiver.
type draft struct {
	bytes    []byte
	messages int
}

// flush puts the drafts into the queue; into one frame, if that is short and no AppendEntries
// could overtake another.
func (l *link) flush() {
	first, rest := &l.drafts[urgent], &l.drafts[bulk]
	if n := first.messages + rest.messages; n > 0 && len(first.bytes)+len(rest.bytes) <= pieceSize && l.queue.idle(bulk) {
		l.queue.add(urgent, frameMessages, n, first.bytes, rest.bytes)
		first.messages, rest.messages = 0, 0
	}
	for in := range l.drafts {
		d := &l.drafts[in]
		if d.messages > 0 {
			l.queue.add(in, frameMessages, d.messages, d.bytes)
		}
		d.bytes, d.messages = d.bytes[:0], 0
		if cap(d.bytes) > keepSpare {
			d.bytes = nil
		}
	}
}

// name is how logs and errors call a node: with all 16 digits, as the list of
// members has it, so that one can be searched for in the other.
func name(id raft.NodeID) string { return fmt.Sprintf("%016x", uint64(id)) }
