package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

var (
	sequences = flag.Int("sequences", 300, "randomized sequences of requests to compare")
	seed      = flag.Uint64("seed", 1, "of the first sequence")
	nodes     = flag.Int("nodes", 1, "of quorate; each request goes to any of them")
)

// requestsPerSequence are drawn from one seed.
const requestsPerSequence = 12

// TestSameAnswers sends sequences of randomized requests to etcd and to quorate.
// Both start empty and are sent the same, so that all of an answer must be the
// same, revisions too, but for who gives it.
func TestSameAnswers(t *testing.T) {
	etcd := pb.NewKVClient(dial(t, startEtcd(t)))
	addresses, _ := startQuorate(t, *nodes)
	var quorate []pb.KVClient
	for _, a := range addresses {
		quorate = append(quorate, pb.NewKVClient(dial(t, a)))
	}
	differences, done := 0, 0
	outcomes := make(map[string]int)
	begin := time.Now()
	revision := int64(1)
	for ; done < *sequences && differences == 0; done++ {
		d := drawing{rand.New(rand.NewPCG(*seed+uint64(done), 0)), revision, *nodes == 1}
		for range requestsPerSequence {
			request := d.request()
			to := quorate[d.IntN(len(quorate))]
			want, got := ask(t, etcd, request), ask(t, to, request)
			if want.text() != got.text() {
				differences++
				t.Errorf("seed %d: %T %s\netcd    %s\nquorate %s", *seed+uint64(done), request, prototext.Format(request), want.text(), got.text())
				break // from here on the stores may differ
			}
			d.revision = max(d.revision, want.revision)
			outcomes[fmt.Sprintf("%T: %v", request, want.err)]++
		}
		revision = d.revision
	}
	suffix := ""
	if *nodes > 1 {
		suffix = fmt.Sprintf("_on_%d_nodes", *nodes)
	}
	goal.AtMost(os.Stdout, "conformance_differences"+suffix, float64(differences), 0)
	goal.AtLeast(os.Stdout, "conformance_sequences"+suffix, float64(done), 5000)
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[o], o)
	}
	t.Logf("%d sequences of %d requests in %v, the last revision is %d", done, requestsPerSequence, time.Since(begin).Round(time.Second), revision)
}

// answer is what a server said to a request.
type answer struct {
	message  proto.Message
	revision int64
	err      error
}

func (a answer) text() string {
	if a.err != nil {
		s := status.Convert(a.err)
		return fmt.Sprintf("%v: %s", s.Code(), s.Message())
	}
	// Not Format, whose white space differs from process to process.
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(a.message)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%q\n%s", b, prototext.Format(a.message))
}

type headed interface {
	proto.Message
	GetHeader() *pb.ResponseHeader
}

// ask sends a request and leaves out of the answer who gave it.
func ask(t *testing.T, to pb.KVClient, request proto.Message) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out headed
	var err error
	switch r := request.(type) {
	case *pb.RangeRequest:
		out, err = to.Range(ctx, r)
	case *pb.PutRequest:
		out, err = to.Put(ctx, r)
	case *pb.DeleteRangeRequest:
		out, err = to.DeleteRange(ctx, r)
	case *pb.TxnRequest:
		out, err = to.Txn(ctx, r)
	case *pb.CompactionRequest:
		out, err = to.Compact(ctx, r)
	case *streamed:
		out, err = stream(ctx, to, r.RangeRequest)
	default:
		t.Fatalf("no way to send a %T", request)
	}
	if err != nil {
		return answer{err: err}
	}
	h := out.GetHeader()
	h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
	return answer{message: out, revision: h.Revision}
}

// stream reads a streamed range to its end: how it is cut is not compared.
func stream(ctx context.Context, from pb.KVClient, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	parts, err := from.RangeStream(ctx, r)
	if err != nil {
		return nil, err
	}
	whole := &pb.RangeResponse{}
	for {
		part, err := parts.Recv()
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return nil, err
		}
		if whole.Header != nil {
			return nil, errors.New("a part came after the last one")
		}
		proto.Merge(whole, part.RangeResponse)
	}
}
