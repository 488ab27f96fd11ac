package transport

import (
	"bytes"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

func upTo(n uint64) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i) + 1
	}
	return all
}

// Three nodes talk to each other; on each link the order is kept.
func TestThreeNodesKeepTheOrderOfEachLink(t *testing.T) {
	a, b, c := start(t, 1), start(t, 2), start(t, 3)
	nodes := []*node{a, b, c}
	mesh(nodes...)
	for _, from := range nodes {
		for _, to := range nodes {
			if from != to {
				from.connected(t, to)
			}
		}
	}
	const rounds = 200
	for r := uint64(1); r <= rounds; r++ {
		for _, from := range nodes {
			var batch []codec.Envelope
			for _, to := range nodes {
				if from != to {
					batch = append(batch, beat(from, to, r))
				}
			}
			from.Send(batch)
		}
	}
	for _, to := range nodes {
		until(t, "everything arrives", func() bool { return to.count() == 2*rounds })
		for _, from := range nodes {
			if got := to.rounds(from.id); from != to && !slices.Equal(got, upTo(rounds)) {
				t.Errorf("%d to %d: %v", from.id, to.id, got)
			}
		}
	}
}

// Everything in a message arrives; messages of many groups share one frame.
func TestOneFrameForManyGroups(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	mesh(a, b)
	a.connected(t, b)
	until(t, "the log calls the peer by all its digits", func() bool { return a.log.with("peer=0000000000000002") >= 1 })
	config := membership.New(membership.Member{ID: 1, Role: membership.Voter, Address: "x:1"})
	var batch []codec.Envelope
	for g := range 50 {
		e := beat(a, b, uint64(g))
		e.Group = raft.GroupID(g)
		e.Message.Kind = raft.AppendEntries
		e.Message.Span = raft.Span{Entries: []raft.Entry{
			{EntryID: raft.EntryID{Term: 1, Index: 1}, Kind: raft.Command, Data: bytes.Repeat([]byte{byte(g)}, 100)},
			{EntryID: raft.EntryID{Term: 1, Index: 2}, Kind: raft.Membership, Config: &config},
		}}
		batch = append(batch, e)
	}
	a.Send(batch)
	until(t, "the batch arrives", func() bool { return b.count() == len(batch) })
	if b.frames != 1 {
		t.Errorf("50 messages came in %d frames", b.frames)
	}
	if !reflect.DeepEqual(b.received, batch) {
		t.Errorf("got %+v", b.received)
	}
}

// A batch that is larger than a frame may be is cut; a message that is, dropped.
func TestLargeBatchesAreCutAndTooLargeMessagesDropped(t *testing.T) {
	a, b := start(t, 1, limits(Limits{MaxFrame: 1000})), start(t, 2, limits(Limits{MaxFrame: 1000}))
	mesh(a, b)
	a.connected(t, b)
	var batch []codec.Envelope
	for r := range uint64(100) {
		batch = append(batch, beat(a, b, r+1))
	}
	large := beat(a, b, 1000)
	large.Message.Span.Entries = []raft.Entry{{Kind: raft.Command, Data: make([]byte, 1000)}}
	batch = slices.Insert(batch, 50, large)
	a.Send(batch)
	until(t, "the rest arrives", func() bool { return b.count() == 100 })
	if got := b.rounds(a.id); !slices.Equal(got, upTo(100)) {
		t.Errorf("got %v", got)
	}
	if b.frames < 2 {
		t.Error("frames of 1000 bytes held 100 messages")
	}
	if got := a.peer(b.id).Dropped; got != 1 {
		t.Errorf("%d messages dropped, want the large one", got)
	}
	if a.log.with("larger than a frame") != 1 {
		t.Error("the log does not say so")
	}
}

// A new member knows nobody, and yet answers the leader that called it.
func TestAnswerToSomebodyUnknown(t *testing.T) {
	leader, fresh := start(t, 1), start(t, 2)
	leader.SetPeer(fresh.id, fresh.Addr().String())
	leader.connected(t, fresh)
	fresh.connected(t, leader)
	fresh.Send([]codec.Envelope{beat(fresh, leader, 7)})
	until(t, "the answer arrives", func() bool { return leader.count() == 1 })
	if p := fresh.peer(leader.id); !p.Learned || p.Address != leader.Addr().String() {
		t.Errorf("the leader is known as %+v", p)
	}
	// When it goes it is forgotten, because nobody asked for it.
	leader.Close()
	until(t, "the leader is forgotten", func() bool { return len(fresh.Stats().Peers) == 0 })
	fresh.Send([]codec.Envelope{beat(fresh, leader, 8)})
	if got := fresh.Stats().Unaddressed; got != 1 {
		t.Errorf("%d messages without an address, want 1", got)
	}
}

// What a peer says about itself does not outweigh what SetPeer said.
func TestLearnedAddressDoesNotOverrideSetPeer(t *testing.T) {
	a := start(t, 1)
	b := start(t, 2, func(c *Config) { c.Advertise = "127.0.0.1:1" })
	a.SetPeer(b.id, b.Addr().String())
	a.connected(t, b)
	b.SetPeer(a.id, a.Addr().String())
	b.connected(t, a)
	if p := a.peer(b.id); p.Address != b.Addr().String() || p.Learned {
		t.Errorf("b is known as %+v", p)
	}
}

// A peer that restarts, at its old address or at another, is found again; while
// it is away its process is known to be gone.
func TestReconnectAfterRestart(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	mesh(a, b)
	a.connected(t, b)
	address := b.Addr().String()
	b.Close()
	until(t, "the connection is refused", func() bool {
		refused := 0
		a.note(func(k *book) { refused = k.refused })
		return refused > 0
	})
	until(t, "messages to nobody are dropped", func() bool {
		a.Send([]codec.Envelope{beat(a, b, 1)})
		return a.peer(b.id).Dropped > 0
	})
	if a.peer(b.id).LastError == "" {
		t.Error("the last error is not known")
	}

	again := start(t, 2, func(c *Config) { c.Listen = address })
	until(t, "messages arrive at the old address", func() bool {
		a.Send([]codec.Envelope{beat(a, again, 2)})
		return again.count() > 0
	})
	again.Close()
	moved := start(t, 2)
	a.SetPeer(2, moved.Addr().String())
	until(t, "messages arrive at the new address", func() bool {
		a.Send([]codec.Envelope{beat(a, moved, 3)})
		return moved.count() > 0
	})
}

// A connection to an address that is no longer the peer's is given up.
func TestSetPeerMovesALivingConnection(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	elsewhere := start(t, 2)
	a.SetPeer(2, b.Addr().String())
	a.connected(t, b)
	a.SetPeer(2, elsewhere.Addr().String())
	until(t, "messages arrive elsewhere", func() bool {
		a.Send([]codec.Envelope{beat(a, elsewhere, 1)})
		return elsewhere.count() > 0
	})
}

func TestRemovePeer(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	a.SetPeer(b.id, b.Addr().String())
	a.connected(t, b)
	a.RemovePeer(b.id)
	a.RemovePeer(b.id)
	// b learned a's address and may call once more; a's own link is gone.
	until(t, "the link is gone", func() bool { return a.peer(b.id).ID == 0 || a.peer(b.id).Learned })
	a.SetPeer(a.id, "127.0.0.1:1")
	if a.peer(a.id).ID != 0 {
		t.Error("a node became its own peer")
	}
}

// A peer that does not read costs a bounded amount of memory and nobody else any
// time; what finds no room is dropped and counted.
func TestPeerThatDoesNotRead(t *testing.T) {
	small := Limits{MaxFrame: 64 << 10, QueueBytes: 256 << 10, Timeout: time.Minute}
	a, b := start(t, 1, limits(small)), start(t, 2)
	deaf := deafPeer(t)
	a.SetPeer(9, deaf)
	a.SetPeer(b.id, b.Addr().String())
	until(t, "a connects to the deaf one", func() bool { return a.peer(9).State == Connected })
	a.connected(t, b)

	big := beat(a, &node{id: 9}, 1)
	big.Message.Span.Entries = []raft.Entry{{Kind: raft.Command, Data: make([]byte, 32<<10)}}
	until(t, "the queue is full", func() bool {
		a.Send([]codec.Envelope{big})
		return a.peer(9).Dropped >= 100
	})
	q := a.link(9).queue
	q.mu.Lock()
	held := q.lanes[urgent].size() + q.lanes[bulk].size() + q.writing
	q.mu.Unlock()
	if held > small.QueueBytes {
		t.Errorf("%d bytes wait, at most %d may", held, small.QueueBytes)
	}
	a.Send([]codec.Envelope{beat(a, b, 1)})
	until(t, "the other one is served", func() bool { return b.count() == 1 })
}

// deafPeer greets and then never reads.
func deafPeer(t *testing.T) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			if _, err := readHello(conn); err == nil {
				answerHello(conn, nil, Origin{}, 1)
			}
		}
	}()
	return l.Addr().String()
}

// A peer that keeps its connection but answers no ping is given up.
func TestSilentPeerIsGivenUp(t *testing.T) {
	a := start(t, 1, limits(Limits{Timeout: 50 * time.Millisecond}))
	a.SetPeer(9, deafPeer(t))
	until(t, "the silence is noticed", func() bool { return strings.Contains(a.peer(9).LastError, "ping") })
}

func TestRoundTripIsMeasured(t *testing.T) {
	a, b := start(t, 1, limits(Limits{Timeout: 500 * time.Millisecond})), start(t, 2)
	a.SetPeer(b.id, b.Addr().String())
	until(t, "a round trip is known", func() bool { return a.peer(b.id).RoundTrip > 0 })
	if p := a.peer(b.id); p.Sent == 0 || p.Received == 0 {
		t.Errorf("no bytes counted: %+v", p)
	}
	var trips uint64
	for _, n := range a.peer(b.id).RoundTrips.Counts {
		trips += n
	}
	if trips == 0 {
		t.Error("a round trip is not counted")
	}
}

func TestQueueRefusesWhatFindsNoRoom(t *testing.T) {
	l := Limits{MaxFrame: 100, QueueBytes: 300, QueueMessages: 3}.withDefaults()
	q := start(t, 1, limits(l)).emptyQueue()
	put := func(messages, size int) bool {
		_, err := q.put(urgent, frameMessages, messages, make([]byte, size))
		return err == nil
	}
	for i, want := range []bool{true, true, false} {
		if put(1, 100) != want {
			t.Errorf("frame %d of 125 bytes in 300: %v", i+1, !want)
		}
	}
	batch := q.take()
	if put(1, 100) {
		t.Error("what is being written does not count")
	}
	q.written(batch)
	if !put(3, 10) || put(1, 10) {
		t.Error("three messages fit, four do not")
	}
	q.close()
	if put(0, 0) {
		t.Error("a closed queue takes frames")
	}
	if q.droppedMessages() != 1+1+1+3 {
		t.Errorf("%d messages dropped, want 6", q.droppedMessages())
	}
}

func (n *node) emptyQueue() *queue { return newQueue(n.hlc, &n.cfg.Limits) }

func TestBackoffGrowsToItsCapAndStartsAnew(t *testing.T) {
	b := backoff{random: rand.New(rand.NewPCG(1, 2))}
	for _, want := range []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000} {
		want *= time.Millisecond
		b.failed()
		if got := b.next(); got < want/2 || got > want {
			t.Errorf("%v is not between %v and %v", got, want/2, want)
		}
	}
	b.held(lastDelay)
	if got := b.next(); got != 0 {
		t.Errorf("after a connection that held: %v", got)
	}
	b.held(0)
	if got := b.next(); got == 0 {
		t.Error("a connection that broke at once is dialled at once: that spins")
	}
}

// Close ends everything that the transport started, whatever it is doing.
func TestCloseEndsEverything(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	mesh(a, b)
	a.connected(t, b)
	b.connected(t, a)
	a.SetPeer(9, "127.0.0.1:1") // nobody there: the link waits to try again
	for _, n := range []*node{a, b} {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("again: %v", err)
		}
		if len(n.conns) != 0 {
			t.Errorf("%d connections are left", len(n.conns))
		}
	}
	until(t, "no goroutine is left", func() bool { return running("quorate/transport.(*") == 0 })
	a.Send([]codec.Envelope{beat(a, b, 1)})
	a.SetPeer(7, "127.0.0.1:1")
	if b.count() != 0 || a.peer(7).ID != 0 {
		t.Error("a closed transport works on")
	}
}

// running is how many goroutines have a part of their stack in such a function.
func running(function string) (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, function) {
			n++
		}
	}
	return n
}

func TestListenRefusesBadConfigurations(t *testing.T) {
	a := start(t, 1)
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Handler: ears{a}}, "node ID is zero"},
		{Config{Node: 1}, "handler"},
		{Config{Node: 1, Handler: ears{a}, Limits: Limits{MaxFrame: 1 << 30}}, "more than the protocol's"},
		{Config{Node: 1, Handler: ears{a}, Advertise: strings.Repeat("x", 2000)}, "advertised address"},
		{Config{Node: 1, Handler: ears{a}, Listen: ":0"}, "address to advertise"},
		{Config{Node: 1, Handler: ears{a}, Listen: a.Addr().String()}, "cannot listen to peers"},
	} {
		if _, err := Listen(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error about %q", err, c.want)
		}
	}
}
