package etcdv3

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// watcherOf is a stream of watchers, as text.
type watcherOf struct {
	*testing.T
	pb.Watch_WatchClient
}

func watchOn(t *testing.T, conn *grpc.ClientConn) watcherOf {
	t.Helper()
	stream, err := pb.NewWatchClient(conn).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return watcherOf{t, stream}
}

func (w watcherOf) create(r *pb.WatchCreateRequest) {
	w.Helper()
	w.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}})
}

func (w watcherOf) cancel(id int64) {
	w.Helper()
	w.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (w watcherOf) progress() {
	w.Helper()
	w.request(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
}

func (w watcherOf) request(r *pb.WatchRequest) {
	w.Helper()
	if err := w.Send(r); err != nil {
		w.Fatal(err)
	}
}

func (w watcherOf) receive() *pb.WatchResponse {
	w.Helper()
	r, err := w.Recv()
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w watcherOf) expect(want ...string) {
	w.Helper()
	for _, line := range want {
		if got := watchText(w.receive()); got != line {
			w.Fatalf("got  %s\nwant %s", got, line)
		}
	}
}

// watchText is a response as one line, with all that is set.
func watchText(r *pb.WatchResponse) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d at %d", r.WatchId, r.Header.GetRevision())
	for _, flag := range []struct {
		set  bool
		name string
	}{{r.Created, "created"}, {r.Canceled, "canceled"}, {r.Fragment, "fragment"}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	if r.CompactRevision != 0 {
		fmt.Fprintf(&b, " compacted %d", r.CompactRevision)
	}
	if r.CancelReason != "" {
		fmt.Fprintf(&b, " %q", r.CancelReason)
	}
	for _, e := range r.Events {
		fmt.Fprintf(&b, " %v %s=%.5s %d/%d/%d", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.CreateRevision, e.Kv.ModRevision, e.Kv.Version)
		if e.PrevKv != nil {
			fmt.Fprintf(&b, " (%.5s %d)", e.PrevKv.Value, e.PrevKv.ModRevision)
		}
	}
	return b.String()
}

func putKey(t *testing.T, conn *grpc.ClientConn, key, value string) {
	t.Helper()
	if _, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

func TestWatchSaysWhatHappens(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	putKey(t, conn, "a", "1")
	w := watchOn(t, conn)
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), PrevKv: true})
	w.expect("0 at 2 created")
	putKey(t, conn, "a", "2")
	w.expect("0 at 3 PUT a=2 2/3/2 (1 2)")
	if _, err := pb.NewKVClient(conn).DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	w.expect("0 at 4 DELETE a= 0/4/0 (2 3)")
	putKey(t, conn, "a", "3")
	w.expect("0 at 5 PUT a=3 5/5/1")
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3, Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}})
	w.expect("1 at 5 created", "1 at 5 PUT a=2 2/3/2 PUT a=3 5/5/1")
	w.cancel(0)
	w.expect("0 at 5 canceled")
	w.progress()
	w.expect("-1 at 5")
	// Who will ask for nothing more is told all the same.
	if err := w.CloseSend(); err != nil {
		t.Fatal(err)
	}
	putKey(t, conn, "a", "4")
	w.expect("1 at 6 PUT a=4 5/6/2")
}

// A right to read one key is none to watch a range that begins with it.
func TestW08ARightForAKeyIsNoneForARange(t *testing.T) {
	_, _, conn := serve(t, testLimits)
	root, u := guard(t, conn)
	if _, err := pb.NewAuthClient(conn).RoleGrantPermission(root, &pb.AuthRoleGrantPermissionRequest{Name: "r", Perm: permission("k", "")}); err != nil {
		t.Fatal(err)
	}
	stream, err := pb.NewWatchClient(conn).Watch(u)
	if err != nil {
		t.Fatal(err)
	}
	w := watcherOf{t, stream}
	for _, end := range []string{"k\x00\x00", "l", "\x00"} {
		w.create(&pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte(end)})
		if r := w.receive(); !r.Canceled || !strings.HasSuffix(r.CancelReason, "etcdserver: permission denied") {
			t.Errorf("up to %q: %v", end, r)
		}
	}
	w.create(&pb.WatchCreateRequest{Key: []byte("k")})
	if r := w.receive(); r.Canceled || !r.Created {
		t.Errorf("the key itself: %v", r)
	}
}

func TestWatchRefuses(t *testing.T) {
	n, _, conn := serve(t, testLimits)
	for i := range 4 {
		putKey(t, conn, "a", fmt.Sprint(i))
	}
	if _, err := pb.NewKVClient(conn).Compact(t.Context(), &pb.CompactionRequest{Revision: 4}); err != nil {
		t.Fatal(err)
	}
	w := watchOn(t, conn)
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1})
	w.expect(`-1 at 5 created canceled "etcdserver: mvcc: required revision has been compacted"`)
	w.create(&pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
	w.expect(`-1 at 5 created canceled "mvcc: watcher range is empty"`)
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 7, StartRevision: 3})
	w.expect("7 at 5 created", "7 at 0 canceled compacted 4")
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), WatchId: 7})
	w.expect(`-1 at 5 created canceled "mvcc: duplicate watch ID provided on the WatchStream"`)
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 4, PrevKv: true})
	w.expect("0 at 5 created", "0 at 5 PUT a=2 2/4/3 PUT a=3 2/5/4 (2 4)")

	n.set(func(n *oneNode) { n.learner = true })
	learning := watchOn(t, conn)
	if _, err := learning.Recv(); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCNotSupportedForLearner).Message() {
		t.Errorf("a learner: %v", err)
	}
}

// Only a watcher that can put them together is sent a revision in parts.
func TestWatchFragments(t *testing.T) {
	limits := testLimits
	limits.RequestBytes = 1 << 20
	_, _, conn := serve(t, limits)
	value := make([]byte, 700<<10)
	var ops []*pb.RequestOp
	for i := range 3 {
		putKey(t, conn, fmt.Sprint("k", i), string(value))
		ops = append(ops, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(fmt.Sprint("k", i)), IgnoreValue: true}}})
	}
	for _, fragment := range []bool{false, true} {
		stream, err := pb.NewWatchClient(conn).Watch(t.Context(), grpc.MaxCallRecvMsgSize(10<<20))
		if err != nil {
			t.Fatal(err)
		}
		w := watcherOf{t, stream}
		w.create(&pb.WatchCreateRequest{Key: []byte("k"), RangeEnd: []byte("l"), Fragment: fragment})
		at := w.receive().Header.Revision
		if _, err := pb.NewKVClient(conn).Txn(t.Context(), &pb.TxnRequest{Success: ops}); err != nil {
			t.Fatal(err)
		}
		var parts []string
		for seen := 0; seen < 3; {
			r := w.receive()
			seen += len(r.Events)
			parts = append(parts, fmt.Sprint(r.Header.Revision-at, len(r.Events), r.Fragment))
		}
		want := "[1 3 false]"
		if fragment {
			want = "[1 2 true 1 1 false]"
		}
		if fmt.Sprint(parts) != want {
			t.Errorf("the parts are %v, want %s", parts, want)
		}
	}
}

func TestWatchTellsProgress(t *testing.T) {
	limits := testLimits
	limits.WatchProgress = 10 * time.Millisecond
	_, _, conn := serve(t, limits)
	w := watchOn(t, conn)
	w.create(&pb.WatchCreateRequest{Key: []byte("a"), ProgressNotify: true})
	w.create(&pb.WatchCreateRequest{Key: []byte("a")})
	w.expect("0 at 1 created", "1 at 1 created", "0 at 1", "0 at 1")
	putKey(t, conn, "b", "1")
	for {
		if got := watchText(w.receive()); got == "0 at 2" {
			return
		} else if got != "0 at 1" {
			t.Fatalf("got %s", got)
		}
	}
}

// A stream that requires a leader ends when there is none for long; others go on.
func TestWatchWithoutLeader(t *testing.T) {
	limits := testLimits
	limits.Election = 5 * time.Millisecond
	n, _, conn := serve(t, limits)
	patient := watchOn(t, conn)
	patient.create(&pb.WatchCreateRequest{Key: []byte("a")})
	patient.expect("0 at 1 created")
	ctx := metadata.AppendToOutgoingContext(t.Context(), rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader)
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w := watcherOf{t, stream}
	w.create(&pb.WatchCreateRequest{Key: []byte("a")})
	w.expect("0 at 1 created")
	n.set(func(n *oneNode) { n.status.Leader = 0 })
	if _, err := w.Recv(); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCNoLeader).Message() {
		t.Errorf("the stream ended with %v", err)
	}
	putKey(t, conn, "a", "1")
	patient.expect("0 at 2 PUT a=1 2/2/1")
}

func TestWatchEnds(t *testing.T) {
	_, s, conn := serve(t, testLimits)
	ctx, cancel := context.WithCancel(t.Context())
	left, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, gone := watchOn(t, conn), watcherOf{t, left}
	for _, w := range []watcherOf{w, gone} {
		w.create(&pb.WatchCreateRequest{Key: []byte("a")})
		w.expect("0 at 1 created")
	}
	cancel()
	for s.Hub.Counts().Streams > 1 {
		time.Sleep(time.Millisecond)
	}
	closing, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if !s.Close(closing) {
		t.Error("the stream did not end")
	}
	if _, err := w.Recv(); status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCStopped).Message() {
		t.Errorf("the stream ended with %v", err)
	}
	if n := s.Hub.Counts(); n.Streams != 0 || n.Watchers != 0 {
		t.Errorf("left are %+v", n)
	}
}
