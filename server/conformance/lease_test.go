package conformance

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/internal/goal"
)

// tenant draws requests about leases and about keys that have one.
type tenant struct {
	drawing
	shortest int64 // the ID of the next lease with so short a TTL that it runs out by itself
}

var leaseIDs = []int64{1, 2, 3, 4, math.MaxInt64, -1}

// firstShort is the smallest ID of a lease that may run out while the test goes on.
// When that happens is not compared, so keys are never attached to one.
const firstShort = 1000

func (d *tenant) lease() int64 {
	if d.one(12) {
		return []int64{0, 77, math.MinInt64}[d.IntN(3)] // these are never granted
	}
	return leaseIDs[d.IntN(1+d.IntN(len(leaseIDs)))] // the first more often, so that they have several keys
}

func (d *tenant) grant() *pb.LeaseGrantRequest {
	switch d.IntN(12) {
	case 0:
		d.shortest++
		return &pb.LeaseGrantRequest{ID: d.shortest, TTL: []int64{0, -1, 1, math.MinInt64}[d.IntN(4)]}
	case 1:
		return &pb.LeaseGrantRequest{ID: leaseIDs[0], TTL: []int64{9_000_000_001, math.MaxInt64}[d.IntN(2)]}
	case 2:
		return &pb.LeaseGrantRequest{ID: leaseIDs[1], TTL: 9_000_000_000}
	}
	return &pb.LeaseGrantRequest{ID: leaseIDs[d.IntN(len(leaseIDs))], TTL: 3600 + d.Int64N(2)}
}

// call draws a method and what it is asked.
func (d *tenant) call() (method string, in proto.Message) {
	switch n := d.IntN(30); {
	case n < 6:
		return pb.Lease_LeaseGrant_FullMethodName, d.grant()
	case n < 8:
		return pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: d.lease()}
	case n < 10:
		return pb.Lease_LeaseKeepAlive_FullMethodName, &pb.LeaseKeepAliveRequest{ID: d.lease()}
	case n < 14:
		return pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{ID: d.lease(), Keys: !d.one(4)}
	case n < 15:
		return pb.Lease_LeaseLeases_FullMethodName, &pb.LeaseLeasesRequest{}
	case n < 23:
		return pb.KV_Put_FullMethodName, d.put()
	case n < 24:
		return pb.KV_DeleteRange_FullMethodName, d.deleteRequest()
	case n < 26:
		return pb.KV_Range_FullMethodName, d.rangeRequest()
	}
	for {
		if r := d.txnRequest(4, 2); !listed(r) {
			d.attach(r)
			return pb.KV_Txn_FullMethodName, r
		}
	}
}

func (d *tenant) put() *pb.PutRequest {
	r := d.putRequest()
	if !d.one(4) {
		r.Lease = d.lease()
	}
	return r
}

// attach gives the puts and the compares of a transaction leases that there may be.
func (d *tenant) attach(r *pb.TxnRequest) {
	for _, c := range r.Compare {
		if c.Target == pb.Compare_LEASE && !d.one(4) {
			c.TargetUnion = &pb.Compare_Lease{Lease: d.lease()}
		}
	}
	for _, op := range slices.Concat(r.Success, r.Failure) {
		if put := op.GetRequestPut(); put != nil && d.one(2) {
			put.Lease = d.lease()
		}
		if nested := op.GetRequestTxn(); nested != nil {
			d.attach(nested)
		}
	}
}

// landlord is a server that is asked for leases.
type landlord struct{ conns []*grpc.ClientConn }

func landlordAt(t *testing.T, addresses ...string) (l landlord) {
	for _, a := range addresses {
		l.conns = append(l.conns, dial(t, a))
	}
	return l
}

// do makes a call at one of the nodes, and leaves out of the answer who gives it, and when.
func (l landlord) do(t *testing.T, node int, method string, in proto.Message) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn := l.conns[node%len(l.conns)]
	out, err := invoke(ctx, conn, method, in)
	if err != nil {
		return answer{err: err}
	}
	h := out.GetHeader()
	h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
	revision := h.Revision
	switch r := out.(type) {
	case *pb.LeaseKeepAliveResponse:
		if *nodes > 1 {
			h.Revision = 0 // what the node knows, which may be old, in etcd too
		}
	case *pb.LeaseTimeToLiveResponse:
		slices.SortFunc(r.Keys, slices.Compare) // in no order
		if r.GrantedTTL-60 < r.TTL && r.TTL <= r.GrantedTTL {
			r.TTL = r.GrantedTTL
		}
	case *pb.LeaseLeasesResponse: // likewise
		r.Leases = slices.DeleteFunc(r.Leases, func(s *pb.LeaseStatus) bool { return firstShort <= s.ID && s.ID < math.MaxInt64 })
		slices.SortFunc(r.Leases, func(a, b *pb.LeaseStatus) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
	}
	return answer{message: out, revision: revision}
}

func invoke(ctx context.Context, conn *grpc.ClientConn, method string, in proto.Message) (headed, error) {
	switch method {
	case pb.Lease_LeaseKeepAlive_FullMethodName:
		return keepAliveOnce(ctx, conn, in.(*pb.LeaseKeepAliveRequest))
	case pb.Lease_LeaseTimeToLive_FullMethodName:
		return pb.NewLeaseClient(conn).LeaseTimeToLive(ctx, in.(*pb.LeaseTimeToLiveRequest))
	}
	out := answers[method]()
	return out, conn.Invoke(ctx, method, in, out)
}

func keepAliveOnce(ctx context.Context, conn *grpc.ClientConn, r *pb.LeaseKeepAliveRequest) (headed, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the stream ends with it
	stream, err := pb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(r); err != nil {
		return nil, err
	}
	return stream.Recv()
}

// A lease that the server names lives as any other.
func (l landlord) nameless(t *testing.T, node int) (said []string) {
	t.Helper()
	granted := l.do(t, node, pb.Lease_LeaseGrant_FullMethodName, &pb.LeaseGrantRequest{TTL: 3600})
	if granted.err != nil {
		return []string{granted.text()}
	}
	id := granted.message.(*pb.LeaseGrantResponse).ID
	if id == 0 {
		t.Error("a lease is called 0")
	}
	granted.message.(*pb.LeaseGrantResponse).ID = 0
	said = append(said, granted.text())
	for _, c := range []struct {
		method string
		in     proto.Message
	}{
		{pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{ID: id, Keys: true}},
		{pb.Lease_LeaseKeepAlive_FullMethodName, &pb.LeaseKeepAliveRequest{ID: id}},
		{pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: id}},
	} {
		a := l.do(t, node, c.method, c.in)
		switch r := a.message.(type) {
		case *pb.LeaseTimeToLiveResponse:
			r.ID -= id
		case *pb.LeaseKeepAliveResponse:
			r.ID -= id
		}
		said = append(said, a.text())
	}
	return said
}

// TestSameLeases sends sequences of randomized calls about leases, and about keys that
// are attached to them, to etcd and to quorate: all that is answered must be the same.
func TestSameLeases(t *testing.T) {
	etcd := landlordAt(t, startEtcd(t, "--heartbeat-interval=50", "--election-timeout=500")) // the shortest TTL follows from it
	addresses, _ := startQuorate(t, *nodes)
	quorate := landlordAt(t, addresses...)
	differences, done, attached := 0, 0, 0
	outcomes := make(map[string]int)
	d := &tenant{shortest: firstShort}
	revision := int64(1)
	for ; done < *sequences && differences == 0; done++ {
		from := *seed + uint64(done)
		d.drawing = drawing{rand.New(rand.NewPCG(from, 3)), revision, *nodes == 1}
		for range requestsPerSequence {
			node := d.IntN(3)
			if d.one(30) {
				if want, got := etcd.nameless(t, node), quorate.nameless(t, node); !slices.Equal(want, got) {
					differences++
					t.Errorf("seed %d: a lease without an ID\netcd    %s\nquorate %s", from, want, got)
				}
			}
			method, in := d.call()
			want, got := etcd.do(t, node, method, in), quorate.do(t, node, method, in)
			if want.text() != got.text() {
				differences++
				t.Errorf("seed %d: %s %s\netcd    %s\nquorate %s", from, method, prototext.Format(in), want.text(), got.text())
			}
			d.revision = max(d.revision, want.revision)
			outcomes[fmt.Sprintf("%s: %v", method, want.err)]++
			if r, is := want.message.(*pb.LeaseTimeToLiveResponse); is && len(r.Keys) > 1 {
				attached++
			}
			if differences > 0 {
				break // from here on the stores may differ
			}
		}
		revision = d.revision
	}
	suffix := ""
	if *nodes > 1 {
		suffix = fmt.Sprintf("_on_%d_nodes", *nodes)
	}
	goal.AtMost(os.Stdout, "lease_differences"+suffix, float64(differences), 0)
	goal.AtLeast(os.Stdout, "lease_sequences"+suffix, float64(done), 1000)
	if done >= 100 && attached < done/20 {
		t.Errorf("only %d leases that were looked at had several keys: nothing is tried", attached)
	}
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[o], o)
	}
	t.Logf("%d answers named several keys of a lease", attached)
}
