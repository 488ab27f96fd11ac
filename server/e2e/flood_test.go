//go:build unix

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Bodies of 128 MiB are refused before they have been read, on each of both APIs, of
// known length and of none.
func TestFloodOfLargeBodies(t *testing.T) {
	n := startWeighed(t)
	before := n.weigh()
	const size, atOnce = 128 * mib, 8
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() {
			method, path := http.MethodPost, "/v3/kv/put"
			body := io.MultiReader(strings.NewReader(`{"key":"YQ==","value":"`), io.LimitReader(letters{}, size))
			if i%4 == 0 {
				method, path = http.MethodPut, "/v1/kv/a"
			}
			read, status, err := sendLarge(n, method, path, body, size*int64(i%2))
			if err != nil {
				t.Error(err)
			}
			if status != http.StatusTooManyRequests && status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s: status %d", method, path, status)
			}
			if read > size/2 {
				t.Errorf("%s %s: %d bytes were taken", method, path, read)
			}
		})
	}
	all.Wait()
	n.recovers(before, "large_bodies")
}

// letters is base64 without an end.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'A'
	}
	return len(b), nil
}

// sendLarge sends a request until it is answered, and says how much of it was taken.
// Zero is no known length.
func sendLarge(n *node, method, path string, body io.Reader, length int64) (sent int64, status int, err error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.client, "http://"))
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, 0, err
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: node\r\n", method, path)
	var to io.Writer = conn
	if length > 0 {
		head += fmt.Sprintf("Content-Length: %d\r\n\r\n", length)
	} else {
		head += "Transfer-Encoding: chunked\r\n\r\n"
		to = chunks{conn}
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return 0, 0, err
	}
	done := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(to, body) // ends with the connection
		done <- n
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		status = resp.StatusCode
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if isClosed(err) {
		err = nil // it did not want to hear more
	}
	return <-done, status, err
}

// chunks writes a body in parts that say how long they are.
type chunks struct{ io.Writer }

func (c chunks) Write(b []byte) (int, error) {
	if _, err := fmt.Fprintf(c.Writer, "%x\r\n%s\r\n", len(b), b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// frames speaks HTTP/2 without caring for what it is answered.
type frames struct{ *bufio.Writer }

const (
	frameData = iota
	frameHeaders
	_
	frameReset
	frameSettings
)

const (
	endStream  = 1
	endHeaders = 4
)

func dialFrames(t *testing.T, n *node) (frames, *net.TCPConn) {
	t.Helper()
	conn := dialTCP(t, n.client)
	f := frames{bufio.NewWriter(conn)}
	if _, err := f.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	f.frame(t, frameSettings, 0, 0, nil)
	return f, conn
}

func (f frames) frame(t *testing.T, kind, flags byte, stream uint32, payload []byte) {
	t.Helper()
	head := append(number(uint32(len(payload))<<8|uint32(kind)), flags)
	head = append(head, number(stream)...)
	if _, err := f.Write(append(head, payload...)); err != nil {
		t.Fatal(err)
	}
}

// number is four bytes, big endian.
func number(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// call begins a call of a method: its headers as RFC 7541 writes what needs no table.
func (f frames) call(t *testing.T, stream uint32, method string) {
	t.Helper()
	block := []byte{0x83, 0x86} // :method POST, :scheme http
	for _, h := range [][2]string{{":path", method}, {":authority", "node"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		block = append(block, 0, byte(len(h[0])))
		block = append(append(block, h[0]...), byte(len(h[1])))
		block = append(block, h[1]...)
	}
	f.frame(t, frameHeaders, endHeaders, stream, block)
}

// Calls that are begun and reset at once, 20,000 of them (the "rapid reset" of 2023),
// occupy the node with no more than its connection may have open.
func TestFloodOfStreamResets(t *testing.T) {
	n := startWeighed(t)
	before := n.weigh()
	const resets, connections = 20_000, 4
	ask := append([]byte{0, 0, 0, 0, 3}, 0x0a, 1, 'a') // a message: a range of the key a
	for range connections {
		f, conn := dialFrames(t, n)
		heard := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, conn)
			heard <- err
		}()
		for i := range uint32(resets / connections) {
			stream := 2*i + 1
			f.call(t, stream, []string{pb.KV_Range_FullMethodName, pb.Watch_Watch_FullMethodName, pb.Lease_LeaseKeepAlive_FullMethodName}[i%3])
			f.frame(t, frameData, byte(i%2)*endStream, stream, ask)
			f.frame(t, frameReset, 0, stream, number(8))
		}
		if err := f.Flush(); err != nil && !isClosed(err) {
			t.Fatal(err)
		}
		put(t, n.api, "meanwhile", 1, valueSize)
		if err := conn.CloseWrite(); err != nil && !isClosed(err) {
			t.Error(err)
		}
		if err := <-heard; err != nil && !isClosed(err) {
			t.Errorf("the connection is not closed: %v", err)
		}
	}
	n.recovers(before, "stream_resets")
}

// Requests that never end, 840 of them with 1000 KiB each on 70 connections, hold no more
// than is allowed to all together; who sends whole ones is served.
func TestFloodOfHalfRequests(t *testing.T) {
	long(t)
	n := startWeighed(t)
	before := n.weigh()
	const connections, streams, chunk, chunks, allowed = 70, 12, 16_000, 64, 512 * mib
	honest := pb.NewKVClient(dialEtcd(t, n))
	var conns []*net.TCPConn
	for i := range connections {
		f, conn := dialFrames(t, n)
		for stream := uint32(1); stream < 2*streams; stream += 2 {
			f.call(t, stream, []string{pb.KV_Put_FullMethodName, pb.Watch_Watch_FullMethodName}[i%2])
			f.frame(t, frameData, 0, stream, append([]byte{0}, number(3*mib/2)...)) // a message, to be so long
			for range chunks {
				f.frame(t, frameData, 0, stream, make([]byte, chunk))
			}
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		if _, err := honest.Put(t.Context(), &pb.PutRequest{Key: []byte("meanwhile"), Value: make([]byte, valueSize)}); err != nil {
			t.Fatalf("a whole request after %d connections with halves: %v", i+1, err)
		}
	}
	if held := n.weigh().heap - before.heap; held < allowed/2 || held > allowed+64*mib {
		t.Errorf("%.0f MiB are held", held/mib)
	}
	for _, conn := range conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	n.recovers(before, "half_requests")
}

// Connections that say nothing, or not enough, are closed; those that speak HTTP/2
// and ask nothing go when their clients do.
func TestFloodOfSilentConnections(t *testing.T) {
	long(t)
	n := startWeighed(t)
	before := n.weigh()
	const each = 500
	for _, begun := range []string{"", "P", "GET / HTTP/1.1\r\nHost: ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
		var conns []*net.TCPConn
		for range each {
			conn := dialTCP(t, n.client)
			if _, err := io.WriteString(conn, begun); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		put(t, n.api, "meanwhile", 1, valueSize)
		for _, conn := range conns {
			if _, err := io.Copy(io.Discard, conn); err != nil && !isClosed(err) {
				t.Fatalf("a connection that says %q is not closed: %v", begun, err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	var idle []*net.TCPConn
	for range each {
		f, conn := dialFrames(t, n)
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	put(t, n.api, "meanwhile", 1, valueSize)
	for _, conn := range idle {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	n.recovers(before, "silent_connections")
}

// dialEtcd is a connection of an etcd client.
func dialEtcd(t *testing.T, n *node) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(n.client, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(65_535), grpc.WithInitialConnWindowSize(65_535), grpc.WithStaticStreamWindowSize(65_535), grpc.WithStaticConnWindowSize(65_535))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // most are closed already
	return conn
}

// Streams are opened by the thousand, each with something to do, and abandoned: their
// calls are cancelled, or their connections cut.
func TestFloodOfAbandonedStreams(t *testing.T) {
	n := startWeighed(t)
	const streams = 6000
	var conns []*grpc.ClientConn
	for i := range int64(10) {
		conns = append(conns, dialEtcd(t, n))
		if _, err := pb.NewLeaseClient(conns[i]).LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: i + 1, TTL: 3600}); err != nil {
			t.Fatal(err)
		}
	}
	before := n.weigh() // with connections, but without a call
	for i, conn := range conns {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range streams / len(conns) / 2 {
			if err := errors.Join(openWatch(ctx, conn), openKeepAlive(ctx, conn, 1)); err != nil {
				t.Fatal(err)
			}
		}
		put(t, n.api, "meanwhile", 1, valueSize)
		if i%2 == 0 {
			cancel()
		} else if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	n.recovers(before, "abandoned_streams")
}

// openWatch watches everything, and returns when it does.
func openWatch(ctx context.Context, conn *grpc.ClientConn) error {
	w, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	create := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}}
	if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return err
	}
	_, err = w.Recv()
	return err
}

func openKeepAlive(ctx context.Context, conn *grpc.ClientConn, id int64) error {
	k, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return err
	}
	if err := k.Send(&pb.LeaseKeepAliveRequest{ID: id}); err != nil {
		return err
	}
	_, err = k.Recv()
	return err
}
