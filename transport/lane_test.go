package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// Whatever is put, taken and lost: within a lane frames come in their order, each whole,
// and none is missing but those that a connection broke in, or that found no room.
func TestLanesKeepTheirOrder(t *testing.T) {
	n := start(t, 1)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := Limits{MaxFrame: 4 << 20, QueueBytes: 8 << 20}.withDefaults()
		q := newQueue(n.hlc, &l)
		var wire, next = &bytes.Buffer{}, [2]uint64{}
		var last [2]uint64 // that came
		lost, number := 0, uint64(0)
		read := func() {
			t.Helper()
			r := &frameReader{r: bytes.NewReader(wire.Bytes()), limit: l.MaxFrame}
			for {
				f, err := r.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				in, count := f.payload[0], binary.LittleEndian.Uint64(f.payload[1:])
				if f.number != number+1 || count <= last[in] {
					t.Fatalf("seed %d: frame %d after %d: in lane %d %d after %d", seed, f.number, number, in, count, last[in])
				}
				lost += int(count - last[in] - 1)
				last[in], number = count, f.number
			}
			wire.Reset()
		}
		refused, cut := 0, 0
		for range 300 {
			switch what := rng.IntN(10); {
			case what < 4:
				in := rng.IntN(2)
				size := rng.IntN(2000)
				if in == bulk && rng.IntN(3) == 0 {
					size = rng.IntN(1 << 20)
				}
				next[in]++
				body := binary.LittleEndian.AppendUint64([]byte{byte(in)}, next[in])
				p, err := q.put(in, frameMessages, 1, body, make([]byte, size))
				if err != nil {
					refused++
				} else if q.handedOver(p) {
					t.Fatal("what waits was handed over")
				}
			case what < 9:
				batch := q.take()
				wire.Write(batch)
				q.written(batch)
			default:
				if q.lanes[bulk].begun > 0 {
					cut++
				}
				read()
				q.reopen()
			}
		}
		for i := 0; !q.idle(urgent) || !q.idle(bulk); i++ {
			wire.Write(q.take())
		}
		read()
		for in := range last {
			lost += int(next[in] - last[in])
		}
		if lost != refused+cut {
			t.Errorf("seed %d: %d frames were lost, not the %d refused and the %d of which a piece was sent", seed, lost, refused, cut)
		}
		if q.messages != 0 || q.lanes[bulk].put != q.lanes[bulk].taken {
			t.Errorf("seed %d: %d messages and %+v are left of nothing", seed, q.messages, q.lanes[bulk])
		}
	}
}

// A peer that sends pieces of something else, or without end, is sent away.
func TestPiecesOfNoFrame(t *testing.T) {
	whole := appendFrame(nil, frameMessages, 0, 0, make([]byte, 100))
	damaged := bytes.Clone(whole)
	damaged[50] ^= 1
	for what, pieces := range map[string][][]byte{
		"a frame within a frame": {appendFrame(nil, framePiece, 0, 0, make([]byte, 100))},
		"too little to begin":    {whole[:headerSize-1]},
		"more than there is":     {whole[:90], whole[80:]},
		"more than is allowed":   {appendFrame(nil, frameMessages, 0, 0, make([]byte, 1001))[:60]},
		"another checksum":       {damaged[:60], damaged[60:]},
	} {
		var wire []byte
		for _, p := range pieces {
			wire = appendFrame(wire, framePiece, 1, 1, p)
		}
		r := &frameReader{r: bytes.NewReader(wire), limit: 1000}
		if f, err := r.next(); !errors.Is(err, errViolation) {
			t.Errorf("%s: %+v, %v", what, f, err)
		}
	}
}

// gate lets through so many bytes of what a node says.
type gate struct {
	mu   sync.Mutex
	more sync.Cond
	open int
}

func newGate(open int) *gate {
	g := &gate{open: open}
	g.more.L = &g.mu
	return g
}

func (g *gate) let(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open += bytes
	g.more.Broadcast()
}

func (g *gate) shut() (left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left, g.open = g.open, 0
	return left
}

func (g *gate) Accepted(conn net.Conn) (net.Conn, error) { return conn, nil }

func (g *gate) Dialled(conn net.Conn, _ string) (net.Conn, error) { return &gated{conn, g}, nil }

type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) NetConn() net.Conn { return c.Conn }

func (c *gated) Write(b []byte) (done int, err error) {
	for done < len(b) && err == nil {
		c.gate.mu.Lock()
		for c.gate.open == 0 {
			c.gate.more.Wait()
		}
		n := min(c.gate.open, len(b)-done)
		c.gate.open -= n
		c.gate.mu.Unlock()
		n, err = c.Conn.Write(b[done : done+n])
		done += n
	}
	return done, err
}

// While a follower is being sent a huge entry over a slow connection, it hears that its
// leader lives.
func TestHeartbeatsOvertakeAHugeEntry(t *testing.T) {
	const plenty, some = 1 << 40, 200 << 10
	g := newGate(plenty)
	a, b := start(t, 1, limits(Limits{Timeout: time.Minute}), func(c *Config) { c.Credentials = g }), start(t, 2, limits(Limits{Timeout: time.Minute}))
	a.SetPeer(b.id, b.Addr().String())
	a.connected(t, b)
	defer g.let(plenty)
	g.shut()

	huge := beat(a, b, 1)
	huge.Message.Kind = raft.AppendEntries
	huge.Message.Span.Entries = []raft.Entry{{EntryID: raft.EntryID{Term: 1, Index: 1}, Kind: raft.Command, Data: make([]byte, 4<<20)}}
	a.Send([]codec.Envelope{huge})
	until(t, "the huge one is on its way", func() bool { g.let(1); return a.peer(b.id).Sent > 0 || !a.link(b.id).queue.idle(bulk) })
	for round := uint64(2); round < 10; round++ {
		a.Send([]codec.Envelope{beat(a, b, round)})
		g.let(some)
		until(t, "a heartbeat comes", func() bool { return b.count() == int(round)-1 })
	}
	g.let(plenty)
	until(t, "the huge one has come", func() bool { return b.count() == 9 })
	if rounds := b.rounds(a.id); rounds[8] != 1 {
		t.Errorf("they came as %v", rounds)
	}
}
