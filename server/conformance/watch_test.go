package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// told reads n events from a watch, as text.
func told(t *testing.T, events clientv3.WatchChan, n int) (all []string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for len(all) < n {
		select {
		case r, open := <-events:
			if !open || r.Err() != nil {
				t.Fatalf("the watch ended after %v: %v", all, r.Err())
			}
			for _, e := range r.Events {
				all = append(all, eventText(e))
			}
		case <-limit:
			t.Fatalf("only %v came", all)
		}
	}
	return all
}

func eventText(e *clientv3.Event) string {
	text := fmt.Sprintf("%v %s=%.4s@%d", e.Type, e.Kv.Key, e.Kv.Value, e.Kv.ModRevision)
	if e.PrevKv != nil {
		text += fmt.Sprintf("(%s)", e.PrevKv.Value)
	}
	return text
}

// etcd's client is told what it would be told by etcd.
func TestClientWatches(t *testing.T) {
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			addresses, _ := startQuorate(t, size)
			watches(t, connect(t, addresses...))
		})
	}
}

func watches(t *testing.T, c *clientv3.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx = clientv3.WithRequireLeader(ctx)
	cases := []struct {
		key  string
		opts []clientv3.OpOption
		want string
	}{
		{"a", []clientv3.OpOption{clientv3.WithRev(2)}, "PUT a=1@2, PUT a=2@3, DELETE a=@5"},
		{"a", []clientv3.OpOption{clientv3.WithRev(3), clientv3.WithPrevKV()}, "PUT a=2@3(1), DELETE a=@5(2)"},
		{"", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(1)}, "PUT a=1@2, PUT a=2@3, PUT ab=1@4, PUT b=1@4, DELETE a=@5, DELETE ab=@5"},
		{"a", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithFilterDelete()}, "PUT a=1@2, PUT a=2@3, PUT ab=1@4"},
		{"a", []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithFilterPut()}, "DELETE a=@5, DELETE ab=@5"},
		{"ab", []clientv3.OpOption{clientv3.WithFromKey(), clientv3.WithRev(4), clientv3.WithFragment()}, "PUT ab=1@4, PUT b=1@4, DELETE ab=@5"},
		{"a", []clientv3.OpOption{clientv3.WithRange("b"), clientv3.WithRev(5)}, "DELETE a=@5, DELETE ab=@5"},
	}
	var before []clientv3.WatchChan
	for _, w := range cases {
		before = append(before, c.Watch(ctx, w.key, w.opts...))
	}
	write := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write(c.Put(ctx, "a", "1"))
	write(c.Put(ctx, "a", "2"))
	write(c.Txn(ctx).Then(clientv3.OpPut("ab", "1"), clientv3.OpPut("b", "1")).Commit())
	write(c.Delete(ctx, "a", clientv3.WithPrefix()))
	for i, w := range cases {
		want := strings.Split(w.want, ", ")
		if got := told(t, before[i], len(want)); !slices.Equal(got, want) {
			t.Errorf("%d, begun before: %v, want %v", i, got, want)
		}
		if got := told(t, c.Watch(ctx, w.key, w.opts...), len(want)); !slices.Equal(got, want) {
			t.Errorf("%d, begun after: %v, want %v", i, got, want)
		}
	}
}

// A program sees that what it wants to watch is compacted, and goes on from there.
func TestClientWatchesTheCompacted(t *testing.T) {
	addresses, _ := startQuorate(t, 1)
	c := connect(t, addresses...)
	for i := range 5 {
		if _, err := c.Put(t.Context(), "a", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Compact(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	r := <-c.Watch(t.Context(), "a", clientv3.WithRev(2))
	if !errors.Is(r.Err(), rpctypes.ErrCompacted) || r.CompactRevision != 4 || !r.Canceled {
		t.Fatalf("from 2: %+v, %v", r, r.Err())
	}
	got := told(t, c.Watch(t.Context(), "a", clientv3.WithRev(r.CompactRevision), clientv3.WithPrevKV()), 3)
	if want := []string{"PUT a=2@4", "PUT a=3@5(2)", "PUT a=4@6(3)"}; !slices.Equal(got, want) {
		t.Errorf("from %d: %v, want %v", r.CompactRevision, got, want)
	}
}

// Who asks how far things have come is told only what it has been told the events of.
func TestClientRequestsProgress(t *testing.T) {
	addresses, _ := startQuorate(t, 3)
	c := connect(t, addresses...)
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(t.Context()), time.Minute)
	defer cancel()
	events := c.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		t.Fatalf("first came %+v", r)
	}
	var last, informed int64
	for i := range 50 {
		r, err := c.Put(ctx, "a", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if last == 0 {
			last = r.Header.Revision - 1
		}
		for informed < r.Header.Revision {
			if err := c.RequestProgress(ctx); err != nil {
				t.Fatal(err)
			}
			got, open := <-events
			if !open || got.Err() != nil {
				t.Fatalf("the watch ended: %v", got.Err())
			}
			for _, e := range got.Events {
				if e.Kv.ModRevision != last+1 || e.Kv.ModRevision <= informed {
					t.Fatalf("after %d, and progress %d, came %s", last, informed, eventText(e))
				}
				last++
			}
			if got.IsProgressNotify() {
				if informed = got.Header.Revision; informed > last {
					t.Fatalf("told of progress to %d, of events to %d", informed, last)
				}
			}
		}
	}
}

// watchScript are requests on one stream, each with how many responses without
// events and how many events it leads to; and writes in between.
var watchScript = []struct {
	request  *pb.WatchCreateRequest
	cancel   int64
	put      string
	answers  int
	expected int
}{
	{request: &pb.WatchCreateRequest{Key: []byte("a")}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), WatchId: 5, PrevKv: true}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), WatchId: 5}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("b")}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -3}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 2}, answers: 2}, // compacted
	{request: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 3}, answers: 1, expected: 2},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 5}, answers: 1},
	{request: &pb.WatchCreateRequest{}, answers: 1},
	{request: &pb.WatchCreateRequest{RangeEnd: []byte{0}, StartRevision: 4}, answers: 1, expected: 1},
	{put: "a", expected: 5},
	{put: "b", expected: 1},
	{cancel: 5, answers: 1},
	{cancel: 1, answers: 1}, // the one that was compacted
	{put: "a", expected: 4},
	{request: &pb.WatchCreateRequest{Key: []byte("a"), WatchId: 5}, answers: 1},
	{request: &pb.WatchCreateRequest{Key: []byte("a")}, answers: 1},
	{put: "a", expected: 6},
}

// A real etcd answers the same requests with the same responses, in all that they
// say but for who says it.
func TestSameWatchResponses(t *testing.T) {
	var transcripts [][]string
	addresses, _ := startQuorate(t, 1)
	for _, address := range []string{startEtcd(t), addresses[0]} {
		transcripts = append(transcripts, playWatches(t, address))
	}
	for i := range transcripts[0] {
		if transcripts[0][i] != transcripts[1][i] {
			t.Errorf("step %d\netcd    %s\nquorate %s", i, transcripts[0][i], transcripts[1][i])
		}
	}
}

func playWatches(t *testing.T, address string) (steps []string) {
	conn := dial(t, address)
	kv := pb.NewKVClient(conn)
	put := func(key string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		put("a")
	}
	if _, err := kv.Compact(t.Context(), &pb.CompactionRequest{Revision: 3}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range watchScript {
		switch {
		case s.request != nil:
			err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: s.request}})
		case s.put != "":
			put(s.put)
		default:
			err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: s.cancel}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for answers, events := 0, 0; answers < s.answers || events < s.expected; {
			r, err := stream.Recv()
			if err != nil {
				t.Fatalf("step %d, after %v: %v", i, said, err)
			}
			if events += len(r.Events); len(r.Events) == 0 {
				answers++
			}
			r.Header.ClusterId, r.Header.MemberId, r.Header.RaftTerm = 0, 0, 0
			said = append(said, strings.Join(strings.Fields(r.String()), " "))
		}
		// The order among watchers is not promised.
		slices.Sort(said)
		steps = append(steps, strings.Join(said, "\n        "))
	}
	return steps
}
