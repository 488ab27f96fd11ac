package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// counted are etcd's metrics that count what is done to keys and leases.
var counted = []string{
	"etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_range_total", "etcd_mvcc_txn_total", "etcd_debugging_mvcc_total_put_size_in_bytes",
	"etcd_debugging_mvcc_events_total", "etcd_debugging_mvcc_pending_events_total", "etcd_debugging_auth_revision",
	"etcd_debugging_lease_granted_total", "etcd_debugging_lease_revoked_total", "etcd_debugging_lease_ttl_total",
}

// onOneMember counts where the leader is.
var onOneMember = []string{"etcd_debugging_lease_renewed_total", "etcd_debugging_server_lease_expired_total"}

// TestSameCounts sends the same calls to a member of each of two clusters of three, and
// compares what that one has counted, what another one has, and what all together have.
func TestSameCounts(t *testing.T) {
	etcd := startEtcds(t, 3)
	quorate, _ := startQuorate(t, 3, allNames[0])
	there, here := dial(t, etcd[0]), dial(t, quorate[0])
	for _, step := range []struct {
		about string
		do    func(*testing.T, calls)
	}{
		{"put", func(_ *testing.T, c calls) { c.do(putting("a", "1")) }},
		{"put, and before", func(_ *testing.T, c calls) { c.do(&pb.PutRequest{Key: []byte("a"), Value: []byte("22"), PrevKv: true}) }},
		{"put, same value", func(_ *testing.T, c calls) { c.do(&pb.PutRequest{Key: []byte("a"), IgnoreValue: true}) }},
		{"put, none to keep", func(_ *testing.T, c calls) { c.do(&pb.PutRequest{Key: []byte("none"), IgnoreLease: true}) }},
		{"put, no lease", func(_ *testing.T, c calls) { c.do(&pb.PutRequest{Key: []byte("a"), Lease: 99}) }},
		{"get", func(_ *testing.T, c calls) { c.do(&pb.RangeRequest{Key: []byte("a")}) }},
		{"get, of old", func(_ *testing.T, c calls) { c.do(&pb.RangeRequest{Key: []byte("a"), Serializable: true}) }},
		{"get, of tomorrow", func(_ *testing.T, c calls) { c.do(&pb.RangeRequest{Key: []byte("a"), Revision: 9999}) }},
		{"count", func(_ *testing.T, c calls) {
			c.do(&pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), CountOnly: true})
		}},
		{"delete", func(_ *testing.T, c calls) { c.do(&pb.DeleteRangeRequest{Key: []byte("none")}) }},
		{"delete, and before", func(_ *testing.T, c calls) {
			c.do(&pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte("z"), PrevKv: true})
		}},
		{"txn, nothing", func(_ *testing.T, c calls) { c.do(&pb.TxnRequest{}) }},
		{"txn, compares", func(_ *testing.T, c calls) { c.do(&pb.TxnRequest{Compare: compares(2, 3)}) }},
		{"txn, reads", func(_ *testing.T, c calls) {
			c.do(&pb.TxnRequest{Compare: compares(1), Success: ops(getting("a"))})
			c.do(&pb.TxnRequest{Success: ops(getting("a"), getting("b"))})
			c.do(&pb.TxnRequest{Success: ops(getting("a"))})
		}},
		{"txn, writes", func(_ *testing.T, c calls) {
			c.do(&pb.TxnRequest{Compare: compares(1, 1), Success: ops(putting("a", "1"))})
			c.do(&pb.TxnRequest{Compare: compares(1, 2, 1), Failure: ops(putting("a", "1"), putting("b", "2"))})
			c.do(&pb.TxnRequest{Compare: compares(1), Success: ops(&pb.PutRequest{Key: []byte("a"), PrevKv: true}, &pb.DeleteRangeRequest{Key: []byte("b"), PrevKv: true})})
			c.do(&pb.TxnRequest{Compare: compares(1), Success: ops(&pb.PutRequest{Key: []byte("none"), IgnoreLease: true})})
		}},
		{"txn, both", func(_ *testing.T, c calls) {
			c.do(&pb.TxnRequest{Success: ops(putting("a", "1"), getting("a"))})
			c.do(&pb.TxnRequest{Success: ops(putting("a", "1"), putting("b", "2"), getting("a"), getting("b"))})
		}},
		{"txn, nested", func(_ *testing.T, c calls) {
			c.do(&pb.TxnRequest{Compare: compares(1), Success: ops(&pb.TxnRequest{Compare: compares(1, 2), Failure: ops(putting("n", "1"), getting("n"))}, getting("a"))})
		}},
		{"compaction", func(_ *testing.T, c calls) {
			c.do(&pb.CompactionRequest{Revision: 2})
			c.do(&pb.CompactionRequest{Revision: 2})
		}},
		{"leases", leases},
		{"watches", watched},
	} {
		want, got := grown(t, etcd, there, step.do), grown(t, quorate, here, step.do)
		for i, where := range []string{"where the calls went", "elsewhere", "in all"} {
			if !maps.Equal(want[i], got[i]) {
				t.Errorf("%s, %s\netcd    %v\nquorate %v", step.about, where, want[i], got[i])
			}
		}
	}
}

// grown is by how much counts have grown because of some calls: those of the member that
// was called, of another one, and those that only the leader has.
func grown(t *testing.T, members []string, conn *grpc.ClientConn, do func(*testing.T, calls)) (by [3]map[string]float64) {
	t.Helper()
	was := settled(t, members)
	do(t, calls{t, conn})
	is := settled(t, members)
	for i := range by {
		by[i] = map[string]float64{}
		for name, n := range is[i] {
			if n != was[i][name] {
				by[i][name] = n - was[i][name]
			}
		}
	}
	return by
}

// settled are the counts once all members have applied the same, and nothing changes.
func settled(t *testing.T, members []string) (now [3]map[string]float64) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	var was string
	for same := 0; same < 3; {
		var applied []float64
		now[2] = map[string]float64{}
		for i, address := range members {
			page := scrape(t, address)
			counts := map[string]float64{}
			for _, name := range counted {
				counts[name] = count(t, page, name)
			}
			for _, name := range onOneMember {
				now[2][name] += count(t, page, name)
			}
			if i < 2 {
				now[i] = counts
			}
			applied = append(applied, count(t, page, "etcd_server_proposals_applied_total"))
		}
		if is := fmt.Sprint(now, applied); slices.Min(applied) == slices.Max(applied) && is == was {
			same++
		} else {
			same, was = 0, is
		}
		if time.Now().After(deadline) {
			t.Fatal("the counts go on changing")
		}
		time.Sleep(50 * time.Millisecond)
	}
	return now
}

// count is the value of a metric that has one; a histogram is made one number.
func count(t *testing.T, page map[string]*dto.MetricFamily, name string) float64 {
	t.Helper()
	family := page[name]
	if family == nil {
		t.Fatalf("%s is not shown", name)
	}
	m := family.GetMetric()[0]
	if h := m.GetHistogram(); h != nil {
		sum := h.GetSampleSum()
		for i, b := range h.GetBucket() {
			sum += float64(b.GetCumulativeCount()) * float64(i*1e6)
		}
		return sum
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// calls are those to one member.
type calls struct {
	*testing.T
	conn *grpc.ClientConn
}

func (c calls) do(r proto.Message) answer { return ask(c.T, pb.NewKVClient(c.conn), r) }

func putting(key, value string) *pb.PutRequest {
	return &pb.PutRequest{Key: []byte(key), Value: []byte(value)}
}

func getting(key string) *pb.RangeRequest { return &pb.RangeRequest{Key: []byte(key)} }

// ops are operations of a transaction.
func ops(requests ...proto.Message) (all []*pb.RequestOp) {
	for _, r := range requests {
		op := &pb.RequestOp{}
		switch r := r.(type) {
		case *pb.PutRequest:
			op.Request = &pb.RequestOp_RequestPut{RequestPut: r}
		case *pb.RangeRequest:
			op.Request = &pb.RequestOp_RequestRange{RequestRange: r}
		case *pb.DeleteRangeRequest:
			op.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}
		case *pb.TxnRequest:
			op.Request = &pb.RequestOp_RequestTxn{RequestTxn: r}
		}
		all = append(all, op)
	}
	return all
}

// compares are some of a key that is not there: 1 holds.
func compares(versions ...int64) (all []*pb.Compare) {
	for _, v := range versions {
		all = append(all, &pb.Compare{Key: []byte("none"), Target: pb.Compare_VERSION, Result: pb.Compare_LESS, TargetUnion: &pb.Compare_Version{Version: 2 - v}})
	}
	return all
}

func leases(t *testing.T, c calls) {
	client := pb.NewLeaseClient(c.conn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, ttl := range []int64{5, 64, 65, 1 << 30} {
		granted, err := client.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		if ttl == 5 {
			continue // it ends by itself
		}
		for i := range ttl % 3 {
			c.do(&pb.PutRequest{Key: fmt.Append(nil, i), Lease: granted.ID})
		}
		alive, err := client.LeaseKeepAlive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := alive.Send(&pb.LeaseKeepAliveRequest{ID: granted.ID}); err != nil {
				t.Fatal(err)
			}
			if _, err := alive.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: granted.ID}); err != nil {
			t.Fatal(err)
		}
	}
	for { // until the first is gone
		left, err := client.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if len(left.GetLeases()) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func watched(t *testing.T, c calls) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := pb.NewWatchClient(c.conn).Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []bool{true, false} {
		create := &pb.WatchCreateRequest{Key: []byte("w"), PrevKv: before}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || !r.Created {
			t.Fatal(r, err)
		}
	}
	for _, r := range []proto.Message{putting("w", "1"), putting("w", "2"), &pb.DeleteRangeRequest{Key: []byte("w")}} {
		c.do(r)
		for range 2 {
			if r, err := stream.Recv(); err != nil || len(r.Events) != 1 {
				t.Fatal(r, err)
			}
		}
	}
}
