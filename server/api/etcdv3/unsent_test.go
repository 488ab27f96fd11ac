package etcdv3

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
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
	waiting, err := newCodec(&u, newCalls(false)).Marshal(nested)
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

// slowWriter is a client that takes nothing until it is told to.
type slowWriter struct {
	*httptest.ResponseRecorder
	begun, taken chan struct{}
}

func (w slowWriter) Write(p []byte) (int, error) {
	close(w.begun)
	<-w.taken
	return w.ResponseRecorder.Write(p)
}

// Answers as JSON count too, from when they are made until their clients have them.
func TestLargeAnswersAsJSONWaitWithinTheSameBound(t *testing.T) {
	limits := testLimits
	limits.RequestBytes = 2 * largeAnswer
	_, s, conn := serve(t, limits)
	if _, err := pb.NewKVClient(conn).Put(t.Context(), &pb.PutRequest{Key: []byte("k"), Value: make([]byte, largeAnswer)}); err != nil {
		t.Fatal(err)
	}
	read := func(w http.ResponseWriter) {
		s.Gateway.ServeHTTP(w, httptest.NewRequest("POST", "/v3/kv/range", strings.NewReader(`{"key":"aw=="}`)))
	}
	slow := slowWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(slow)
	}()
	<-slow.begun
	if got := s.unsent.bytes.Load(); got < largeAnswer {
		t.Errorf("%d bytes are counted while an answer waits", got)
	}
	s.unsent.bytes.Add(mostUnsent)
	another := httptest.NewRecorder()
	if read(another); another.Code != http.StatusTooManyRequests {
		t.Errorf("one more is answered %d", another.Code)
	}
	s.unsent.bytes.Add(-mostUnsent)
	close(slow.taken)
	if <-done; slow.Code != http.StatusOK || s.unsent.bytes.Load() != 0 {
		t.Errorf("status %d, and %d bytes are still counted", slow.Code, s.unsent.bytes.Load())
	}
}
