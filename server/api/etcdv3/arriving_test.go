package etcdv3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/peer"
)

func frame(kind byte, payload int) []byte {
	b := []byte{byte(payload >> 16), byte(payload >> 8), byte(payload), kind, 0, 0, 0, 0, 1}
	return append(b, make([]byte, payload)...)
}

// However what a client sends is cut, the data in it are counted.
func TestDataIsToldFromOtherFrames(t *testing.T) {
	sent := make([]byte, prefaceBytes)
	for _, f := range [][2]int{{4, 0}, {1, 70}, {0, 300}, {0, 0}, {8, 4}, {0, 70_000}, {6, 8}, {0, 1}} {
		sent = append(sent, frame(byte(f[0]), f[1])...)
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		f, total := frames{left: prefaceBytes}, 0
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(1+rng.IntN(20_000)))
			total += f.data(rest[:n])
			rest = rest[n:]
		}
		if total != 70_301 {
			t.Errorf("seed %d: %d bytes of data", seed, total)
		}
	}
}

// sender is a client's end of a connection that is counted and read.
type sender struct {
	net.Conn
	counted *arrival
	read    chan error // how reading ended
}

func sendTo(t *testing.T, all *arriving) sender {
	t.Helper()
	client, server := net.Pipe()
	s := sender{client, all.watch(server), make(chan error, 1)}
	go func() {
		_, err := io.Copy(io.Discard, s.counted)
		s.read <- err
	}()
	t.Cleanup(func() { client.Close() })
	s.send(t, make([]byte, prefaceBytes))
	return s
}

func (s sender) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := s.Write(b); err != nil {
		t.Fatal(err)
	}
}

// Of many connections that send too much together one is closed that lets it lie, and
// none that sends more and has it taken.
func TestTheConnectionThatLetsRequestsLieIsClosed(t *testing.T) {
	all := newArriving(10_000)
	idle, busy := sendTo(t, all), sendTo(t, all)
	message := &pb.PutRequest{Value: make([]byte, 5000)}
	data := frame(frameData, 5000+3+messageHead) // a field's number, and its length in two bytes
	ctx := peer.NewContext(context.Background(), &peer.Peer{AuthInfo: certified{from: busy.counted}})
	idle.send(t, frame(frameData, 6000))
	idle.send(t, nil) // what was sent before has been read and counted
	for range 10 {
		time.Sleep(time.Millisecond) // what lies grows older
		busy.send(t, data)
		busy.send(t, nil)
		taken(ctx, message)
	}
	if err := <-idle.read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who lets a request lie is not closed: %v", err)
	}
	select {
	case err := <-busy.read:
		t.Errorf("who sends whole requests is closed: %v", err)
	default:
	}
	if n := all.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are said to be arriving", n)
	}
	for _, s := range []sender{idle, busy} {
		if err := s.counted.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(all.conns) > 0 {
		t.Error("connections are remembered that are gone")
	}
}

// Whatever calls take is not counted any more, nor what was sent on a connection that
// is gone.
func TestNothingIsArrivingAfterCalls(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	putKey(t, conn, "a", string(bytes.Repeat([]byte("v"), 900)))
	if _, err := pb.NewKVClient(conn).Range(t.Context(), &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("b"), Limit: 3}); err != nil {
		t.Fatal(err)
	}
	w := watchOn(t, conn)
	for range 3 {
		w.create(&pb.WatchCreateRequest{Key: []byte("a"), Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE, pb.WatchCreateRequest_NOPUT}})
		w.receive()
	}
	if n := s.arriving.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are said to be arriving", n)
	}
	putTooMuch := &pb.PutRequest{Key: []byte("a"), Value: make([]byte, testLimits.RequestBytes+overheadBytes)}
	if _, err := pb.NewKVClient(conn).Put(t.Context(), putTooMuch); err == nil {
		t.Fatal("a request that is too large is taken")
	}
	conn.Close()
	for s.arriving.bytes.Load() != 0 {
		time.Sleep(time.Millisecond)
	}
}
