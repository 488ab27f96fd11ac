package gateway

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// leases renews leases up to 100; others are refused.
type leases struct{ pb.UnimplementedLeaseServer }

func (leases) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.ID > 100 {
			return rpctypes.ErrGRPCLeaseNotFound
		}
		if err := s.Send(&pb.LeaseKeepAliveResponse{ID: r.ID, TTL: 5}); err != nil {
			return err
		}
	}
}

// watches answers each creation, and goes on when no more requests come, as long as
// its client is there. What it was sent in the end it tells.
type watches struct {
	pb.UnimplementedWatchServer
	ended chan error
}

func (w watches) Watch(s pb.Watch_WatchServer) error {
	received := make(chan error)
	requests := make(chan *pb.WatchRequest)
	go func() {
		for {
			r, err := s.Recv()
			if err != nil {
				received <- err
				return
			}
			requests <- r
		}
	}()
	for {
		select {
		case r := <-requests:
			if err := s.Send(&pb.WatchResponse{Created: true, WatchId: r.GetCreateRequest().WatchId}); err != nil {
				return err
			}
		case err := <-received:
			if !errors.Is(err, io.EOF) {
				return err
			}
		case <-s.Context().Done():
			w.ended <- s.Context().Err()
			return nil
		}
	}
}

// maintenance sends a snapshot in two parts, the second encoded already.
type maintenance struct {
	pb.UnimplementedMaintenanceServer
}

func (maintenance) Snapshot(_ *pb.SnapshotRequest, s pb.Maintenance_SnapshotServer) error {
	encoded, err := proto.Marshal(&pb.SnapshotResponse{Blob: []byte("b")})
	second := &pb.SnapshotResponse{}
	second.ProtoReflect().SetUnknown(encoded)
	return errors.Join(err, s.Send(&pb.SnapshotResponse{Blob: []byte("<a>")}), s.Send(second))
}

func streams(t *testing.T) (url string, ended chan error) {
	ended = make(chan error)
	return serve(t, func(s grpc.ServiceRegistrar) {
		pb.RegisterLeaseServer(s, leases{})
		pb.RegisterWatchServer(s, watches{ended: ended})
		pb.RegisterMaintenanceServer(s, maintenance{})
	}), ended
}

func TestStreamsThatEnd(t *testing.T) {
	url, _ := streams(t)
	large := `{"ID":"` + strings.Repeat("5", 3*messageBytes) + `"}`
	const missing = `"code":5,"message":"etcdserver: requested lease not found"`
	cases := []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v3/lease/keepalive", ``, 200, ``},
		{"/v3/lease/keepalive", `{"ID":5}`, 200, `{"result":{"ID":"5","TTL":"5"}}` + "\n"},
		{"/v3/lease/keepalive", `{"ID":5} {"ID":"6"}`, 200, `{"result":{"ID":"5","TTL":"5"}}` + "\n" + `{"result":{"ID":"6","TTL":"5"}}` + "\n"},
		{"/v3/lease/keepalive", `{"ID":500}`, 404, `{"error":{` + missing + `}}` + "\n"},
		{"/v3/lease/keepalive", `{"ID":5}{"ID":500}`, 200, `{"result":{"ID":"5","TTL":"5"}}` + "\n" + `{"error":{` + missing + `}}` + "\n"},
		{"/v3/lease/keepalive", `{`, 400, `{"error":{"code":3,"message":"Failed to decode request: unexpected EOF"}}` + "\n"},
		{"/v3/lease/keepalive", large, 429, `{"code":8,"message":"quorate: received body larger than max (2000 bytes)"}`},
		{"/v3/watch", `{`, 400, `{"error":{"code":3,"message":"Failed to decode request: unexpected EOF"}}` + "\n"},
		{"/v3/maintenance/snapshot", ``, 200, `{"result":{"blob":"PGE+"}}` + "\n" + `{"result":{"blob":"Yg=="}}` + "\n"},
		{"/v3/maintenance/snapshot", `{`, 400, `{"code":3,"message":"unexpected EOF"}`},
	}
	for _, c := range cases {
		if status, body := ask(t, "POST", url+c.path, strings.NewReader(c.body)); status != c.status || body != c.want {
			t.Errorf("%s %.50s: %d %s, want %d %s", c.path, c.body, status, body, c.status, c.want)
		}
	}
	// Of a body of unknown length each message may have so much.
	many := strings.Repeat(`{"ID":5}`, 1000)
	if status, body := ask(t, "POST", url+"/v3/lease/keepalive", io.MultiReader(strings.NewReader(many))); status != 200 || strings.Count(body, "\n") != 1000 {
		t.Errorf("%d, %d lines", status, strings.Count(body, "\n"))
	}
	want := `{"error":{"code":8,"message":"quorate: received a message larger than max"}}` + "\n"
	if status, body := ask(t, "POST", url+"/v3/lease/keepalive", io.MultiReader(strings.NewReader(large))); status != 429 || body != want {
		t.Errorf("%d %s, want %s", status, body, want)
	}
}

// A watch answers at once, goes on after the end of the body, and ends when its
// client has gone.
func TestWatchGoesOn(t *testing.T) {
	url, ended := streams(t)
	resp, err := http.Post(url+"/v3/watch", "", strings.NewReader(`{"create_request":{"watch_id":7}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if want := `{"result":{"watch_id":"7","created":true}}` + "\n"; err != nil || line != want {
		t.Errorf("%q, %v, want %q", line, err, want)
	}
	select {
	case <-ended:
		t.Error("the watch ended by itself")
	case <-time.After(20 * time.Millisecond): // longer changes nothing that is right
	}
	resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("the watch has no reason to end")
	}
}

// Requests may follow after answers.
func TestRequestsAfterAnswers(t *testing.T) {
	url, _ := streams(t)
	body, requests := io.Pipe()
	go requests.Write([]byte(`{"ID":1}`))
	resp, err := http.Post(url+"/v3/lease/keepalive", "", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for _, id := range []string{"1", "2"} {
		if !lines.Scan() || lines.Text() != `{"result":{"ID":"`+id+`","TTL":"5"}}` {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		if id == "1" {
			if _, err := requests.Write([]byte(`{"ID":2}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	requests.Close()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("and then %q, %v", lines.Text(), lines.Err())
	}
}
