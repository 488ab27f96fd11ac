package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// Whoever is not one of us is told why in one sentence.
func TestM11M12StrangersAreRefused(t *testing.T) {
	b := start(t, 2, limits(Limits{Peers: 1}))
	good := hello{cluster: cluster, from: 1, to: 2, purpose: forMessages, address: "127.0.0.1:1"}
	for _, c := range []struct {
		name   string
		change func(*hello)
		code   refusalCode
		text   string
	}{
		{"another cluster", func(h *hello) { h.cluster = 7 }, refusedCluster, "belongs to cluster c1, not 7"},
		{"not me", func(h *hello) { h.to = 3 }, refusedReceiver, "this is node 2, not 3"},
		{"nobody", func(h *hello) { h.from = 0 }, refusedHello, "cannot be node 0"},
		{"myself", func(h *hello) { h.from = 2 }, refusedHello, "cannot be node 2"},
		{"no address", func(h *hello) { h.address = "" }, refusedHello, "address"},
		{"no purpose", func(h *hello) { h.purpose = 9 }, refusedHello, "purpose"},
	} {
		h := good
		c.change(&h)
		conn := stranger(t, b)
		var no *refusal
		if _, err := introduce(conn, h, 1); !errors.As(err, &no) || no.code != c.code || !strings.Contains(no.text, c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		closedByPeer(t, conn)
	}
	if got := b.log.with("refused a connection"); got != 6 {
		t.Errorf("%d lines for six refusals", got)
	}
	if got := b.Stats().Refused; got != 6 {
		t.Errorf("%d refusals counted", got)
	}
	if n := len(b.Stats().Peers); n != 0 {
		t.Errorf("%d strangers became peers", n)
	}
	introduced(t, b, 1, forMessages)
	other := good
	other.from = 5
	if _, err := introduce(stranger(t, b), other, 1); err == nil || !strings.Contains(err.Error(), "known already") {
		t.Errorf("a second peer where one is allowed: %v", err)
	}
}

// unwilling remembers nobody, and says so at length.
type unwilling struct{ Memory }

func (unwilling) Meet(raft.NodeID, Origin) error {
	return errors.New(strings.Repeat("no room in /d; ", 99))
}

// A refusal that says much is one all the same.
func TestALongRefusalIsUnderstood(t *testing.T) {
	b := start(t, 2, func(cfg *Config) { cfg.Memory = unwilling{} })
	var no *refusal
	_, err := introduce(stranger(t, b), hello{cluster: cluster, from: 1, to: 2, purpose: forMessages, address: "127.0.0.1:1"}, 1)
	if !errors.As(err, &no) || no.code != refusedBusy || !strings.Contains(no.text, "try again later (no room in /d") {
		t.Errorf("it says %v", err)
	}
}

// The dialling side says what it was told, and goes on trying.
func TestWrongClusterIsReportedToTheDialler(t *testing.T) {
	a, b := start(t, 1), start(t, 2, func(c *Config) { c.Cluster = 7 })
	a.SetPeer(b.id, b.Addr().String())
	until(t, "the reason is known", func() bool { return strings.Contains(a.peer(b.id).LastError, "belongs to cluster 7") })
	until(t, "it tries again", func() bool { return b.Stats().Refused > 1 })
	if a.log.with("belongs to cluster 7") != 1 {
		t.Error("the same reason is logged again and again")
	}
}

func TestVersionsAreToldApart(t *testing.T) {
	b := start(t, 2)
	conn := stranger(t, b)
	if _, err := conn.Write(append([]byte(magic), version+1)); err != nil {
		t.Fatal(err)
	}
	if got := closedByPeer(t, conn); !bytes.Contains(got, []byte("this node speaks version 3 of the protocol, not 4")) {
		t.Errorf("got %q", got)
	}
}

// Bytes that are no handshake are one line in the log and a closed connection.
func TestGarbageInsteadOfAHandshake(t *testing.T) {
	first := func(kind frameType, payload []byte) []byte {
		return appendFrame(appendPreamble(nil), kind, 0, 0, payload)
	}
	for name, says := range map[string][]byte{
		"http":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"no hello":        first(framePing, make([]byte, 40)),
		"a short hello":   first(frameHello, make([]byte, 10)),
		"an endless one":  first(frameHello, make([]byte, maxHandshake+1)),
		"unknown type":    first(99, nil),
		"a damaged hello": damaged(first(frameHello, make([]byte, 40))),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 2)
			conn := stranger(t, b)
			if _, err := conn.Write(says); err != nil {
				t.Fatal(err)
			}
			if got := closedByPeer(t, conn); len(got) != 0 {
				t.Errorf("answered with %q", got)
			}
			until(t, "one line says so", func() bool { return b.log.with("level=WARN") == 1 })
			if s := b.Stats(); s.Refused != 1 || s.Violations != 1 {
				t.Errorf("counted as %+v", s)
			}
		})
	}
}

// A handshake has one deadline for the whole of it: a byte now and then does not
// prolong it, and silence ends it too.
func TestSlowHandshakes(t *testing.T) {
	b := start(t, 2, limits(Limits{Timeout: 50 * time.Millisecond}))
	silent, dripping := stranger(t, b), stranger(t, b)
	go func() {
		hello := appendFrame(appendPreamble(nil), frameHello, 0, 0, make([]byte, maxHandshake))
		for range time.Tick(5 * time.Millisecond) { // the whole of it would take seconds
			if _, err := dripping.Write(hello[:1]); err != nil {
				return
			}
			hello = hello[1:]
		}
	}()
	closedByPeer(t, silent)
	closedByPeer(t, dripping)
	until(t, "both are counted", func() bool { return b.Stats().Refused == 2 })
}

func TestConnectionsAreBounded(t *testing.T) {
	b := start(t, 2, limits(Limits{Connections: 2}))
	introduced(t, b, 1, forMessages)
	introduced(t, b, 3, forMessages)
	closedByPeer(t, stranger(t, b))
	until(t, "one line says so", func() bool { return b.log.with("too many connections") == 1 })
}

// message is the payload of a frame with one message.
func message(e codec.Envelope) []byte {
	b := codec.AppendMessage(nil, &e)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// After the handshake too: what no node of ours would send closes the connection
// and reaches no handler.
func TestBadFramesCloseTheConnection(t *testing.T) {
	one, two, three := &node{id: 1}, &node{id: 2}, &node{id: 3}
	honest := message(beat(one, two, 1))
	oversize := appendFrame(nil, frameMessages, 1, 0)
	binary.LittleEndian.PutUint32(oversize, 1<<31)
	for name, says := range map[string][]byte{
		"oversize":             oversize,
		"unknown type":         appendFrame(nil, 99, 1, 0),
		"another purpose":      appendFrame(nil, frameChunk, 1, 0, honest),
		"bad checksum":         damaged(appendFrame(nil, frameMessages, 1, 0, honest)),
		"cut message":          appendFrame(nil, frameMessages, 1, 0, honest[:len(honest)-1]),
		"cut length":           appendFrame(nil, frameMessages, 1, 0, honest, []byte{1, 0}),
		"tiny messages":        appendFrame(nil, frameMessages, 1, 0, make([]byte, 4000)),
		"malformed message":    appendFrame(nil, frameMessages, 1, 0, binary.LittleEndian.AppendUint32(nil, 40), make([]byte, 40)),
		"another sender":       appendFrame(nil, frameMessages, 1, 0, message(beat(three, two, 1))),
		"another receiver":     appendFrame(nil, frameMessages, 1, 0, message(beat(one, three, 1))),
		"a call without an id": appendFrame(nil, frameCall, 1, 0, []byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, 2)
			conn := introduced(t, b, 1, forMessages)
			if _, err := conn.Write(says); err != nil {
				t.Fatal(err)
			}
			closedByPeer(t, conn)
			until(t, "the violation is counted", func() bool { return b.Stats().Violations == 1 })
			if b.count() != 0 {
				t.Errorf("the handler got %+v", b.received)
			}
			until(t, "one line says so", func() bool { return b.log.with("not well") == 1 })
		})
	}
}

// A frame that is cut short is a connection that broke, nobody's fault.
func TestTruncatedFrameIsNoViolation(t *testing.T) {
	b := start(t, 2)
	conn := introduced(t, b, 1, forMessages)
	f := appendFrame(nil, frameMessages, 1, 0, message(beat(&node{id: 1}, b, 1)))
	if _, err := conn.Write(f[:len(f)-1]); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	until(t, "the connection is gone", func() bool { return b.counters.accepted.Load() == 0 })
	if b.Stats().Violations != 0 || b.count() != 0 {
		t.Errorf("counted as %+v", b.Stats())
	}
}

// A frame that comes twice is taken once, also over a new connection of the same
// process; what is missing is counted; a new process counts anew.
func TestNumbersTellGapsAndRepetitions(t *testing.T) {
	b := start(t, 2)
	one := &node{id: 1}
	send := func(conn io.Writer, number uint64) {
		t.Helper()
		if _, err := conn.Write(appendFrame(nil, frameMessages, number, 0, message(beat(one, b, number)))); err != nil {
			t.Fatal(err)
		}
	}
	conn := introduced(t, b, 1, forMessages)
	for _, number := range []uint64{5, 6, 6, 9} {
		send(conn, number)
	}
	until(t, "three frames are taken", func() bool { return b.count() == 3 })
	again := introduced(t, b, 1, forMessages) // takes the place of the first
	closedByPeer(t, conn)
	send(again, 9)
	send(again, 12)
	until(t, "a fourth is taken", func() bool { return b.count() == 4 })
	if p := b.peer(1); p.Missed != 2+2 || p.Repeated != 2 {
		t.Errorf("missed %d, repeated %d; want 4 and 2", p.Missed, p.Repeated)
	}
	fresh := stranger(t, b)
	h := hello{cluster: cluster, from: 1, to: 2, origin: Origin{Life: 2}, purpose: forMessages, address: "127.0.0.1:1"}
	if _, err := introduce(fresh, h, 1); err != nil {
		t.Fatal(err)
	}
	send(fresh, 1)
	until(t, "a new process is heard", func() bool { return b.count() == 5 })
	if p := b.peer(1); p.Missed != 4 || p.Repeated != 2 {
		t.Errorf("missed %d, repeated %d; want 4 and 2 still", p.Missed, p.Repeated)
	}
}

// Clocks follow each other, but not one that is far ahead.
func TestFramesCarryTheClock(t *testing.T) {
	b := start(t, 2)
	conn := introduced(t, b, 1, forMessages)
	ahead := b.hlc.Now() + env.Timestamp(30_000)<<16
	if _, err := conn.Write(appendFrame(nil, frameMessages, 1, ahead)); err != nil {
		t.Fatal(err)
	}
	until(t, "the clock follows", func() bool { return b.hlc.Now() > ahead })
	if _, err := conn.Write(appendFrame(nil, frameMessages, 2, ahead*2)); err != nil {
		t.Fatal(err)
	}
	until(t, "a wild clock is reported", func() bool { return b.log.with("clock of a peer") == 1 })
	if b.hlc.Now() >= ahead*2 {
		t.Error("the wild clock was believed")
	}
}

// Strangers cannot fill the log.
func TestComplaintsAreLimited(t *testing.T) {
	b := start(t, 2)
	c := &complaints{clock: &stopped{b.cfg.Env, time.Unix(1, 0)}, logger: b.cfg.Logger}
	for range 100 {
		c.warn("knock")
	}
	if got := b.log.with("knock"); got != linesPerSecond {
		t.Errorf("%d lines in a second", got)
	}
	c.clock = &stopped{b.cfg.Env, time.Unix(2, 0)}
	c.warn("knock")
	if b.log.with(`"left out"=90`) != 1 {
		t.Error("what was left out is not said")
	}
}

// stopped is a clock that stands.
type stopped struct {
	env.Clock
	now time.Time
}

func (s *stopped) Now() time.Time { return s.now }

// A peer that accepts and then says nothing is given up as well, and one that is
// no node of ours is called what it is.
func TestHandshakesThatTheAcceptorSpoils(t *testing.T) {
	for says, want := range map[string]string{
		"":                           "timeout",
		"HTTP/1.1 400 Bad Request":   "not a quorate node",
		magic + "\x01":               "version 1",
		magic + "\x03" + "xxxxxxxxx": "timeout",
		magic + "\x03" + string(appendFrame(nil, framePong, 0, 0)): "in answer to a hello",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write([]byte(says))
			}
		}()
		a := start(t, 1, limits(Limits{Timeout: 50 * time.Millisecond}))
		a.SetPeer(9, l.Addr().String())
		until(t, want, func() bool { return strings.Contains(a.peer(9).LastError, want) })
		l.Close()
	}
}
