package etcdv3

import (
	"runtime"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Answers that wait leave no room for further large ones, until nobody refers to them.
func TestLargeAnswersWaitWithinABound(t *testing.T) {
	var u unsent
	large := &pb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Value: make([]byte, largeAnswer)}}}
	nested := &pb.TxnResponse{Responses: []*pb.ResponseOp{{Response: &pb.ResponseOp_ResponseRange{ResponseRange: large}}}}
	if !u.room(large) {
		t.Error("nothing waits, and there is no room")
	}
	waiting, err := newCodec(&u).Marshal(nested)
	if err != nil || waiting.Len() <= largeAnswer {
		t.Fatalf("%d bytes, %v", waiting.Len(), err)
	}
	if got := u.bytes.Load(); got != int64(waiting.Len()) {
		t.Errorf("%d bytes wait, and %d are counted", waiting.Len(), got)
	}
	u.bytes.Add(mostUnsent - largeAnswer - int64(waiting.Len()) + 1)
	if u.room(large) || u.room(nested) || !u.room(&pb.RangeResponse{}) {
		t.Error("there is room for large answers, or none for small ones")
	}
	runtime.KeepAlive(waiting)
	for limit := time.Now().Add(time.Minute); !u.room(large); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("an answer that is gone still counts")
		}
	}
}
