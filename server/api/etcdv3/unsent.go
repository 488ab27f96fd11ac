package etcdv3

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A client that asks for much and reads nothing has its answer wait here, as a whole
// and encoded: grpc-go bounds how much of it is under way and not how much waits.
const (
	largeAnswer = 1 << 20   // bytes; smaller ones are not counted
	mostUnsent  = 256 << 20 // bytes of large answers that may wait, if they are several
)

// unsent counts the bytes of large answers that wait for their clients. Nobody says
// when one has been sent or given up; but then nothing refers to it any more, and the
// garbage collector notices.
type unsent struct {
	bytes atomic.Int64

	mu        sync.Mutex
	collected time.Time
}

// hold counts the bytes of an encoded answer until what it ends with is gone.
func (u *unsent) hold(end *byte, bytes int) {
	n := int64(bytes)
	u.bytes.Add(n)
	runtime.AddCleanup(end, func(n int64) { u.bytes.Add(-n) }, n)
}

// wait counts an answer as JSON, which is somebody's to send, until it is sent.
func (u *unsent) wait(bytes int) (sent func()) {
	n := int64(bytes)
	if n < largeAnswer {
		return func() {}
	}
	u.bytes.Add(n)
	return func() { u.bytes.Add(-n) }
}

// room reports whether an answer may join those that wait.
func (u *unsent) room(answer any) bool {
	n := weigh(answer)
	return n < largeAnswer || u.fits(n) || u.collect(n)
}

func (u *unsent) fits(n int64) bool {
	waiting := u.bytes.Load()
	return waiting == 0 || waiting+n <= mostUnsent
}

// How often garbage is collected at most to find out what does not wait any more, and
// how long it takes until that is counted.
const (
	collectEvery = time.Second
	countTime    = 50 * time.Millisecond
)

// collect looks for answers that wait no more, and reports whether there is room then.
func (u *unsent) collect(n int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fits(n) || time.Since(u.collected) < collectEvery {
		return u.fits(n)
	}
	runtime.GC()
	time.Sleep(countTime)
	u.collected = time.Now()
	return u.fits(n)
}

// weigh is about how many bytes an answer has once it is encoded.
func weigh(answer any) (bytes int64) {
	switch a := answer.(type) {
	case *encodedRange:
		bytes = int64(a.bytes)
	case *pb.RangeResponse:
		for _, kv := range a.GetKvs() {
			bytes += int64(len(kv.Key) + len(kv.Value))
		}
	case *pb.DeleteRangeResponse:
		for _, kv := range a.GetPrevKvs() {
			bytes += int64(len(kv.Key) + len(kv.Value))
		}
	case *pb.TxnResponse:
		for _, op := range a.GetResponses() {
			bytes += weigh(op.GetResponseRange()) + weigh(op.GetResponseDeleteRange()) + weigh(op.GetResponseTxn())
		}
	}
	return bytes
}

// codec is grpc-go's own, but for large answers, which are counted, and those that are
// encoded already. It counts the bytes of all messages.
type codec struct {
	encoding.CodecV2
	unsent *unsent
	calls  *calls
}

func newCodec(u *unsent, c *calls) codec { return codec{encoding.GetCodecV2(grpcproto.Name), u, c} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	c.calls.in.Add(uint64(data.Len()))
	return c.CodecV2.Unmarshal(data, v)
}

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, err := c.encode(v)
	c.calls.out.Add(uint64(out.Len()))
	return out, err
}

func (c codec) encode(v any) (mem.BufferSlice, error) {
	if e, is := v.(*encodedRange); is {
		if e.bytes >= largeAnswer {
			c.unsent.hold(e.last(), e.bytes)
		}
		return e.done, nil
	}
	if weigh(v) < largeAnswer {
		return c.CodecV2.Marshal(v)
	}
	encoded, err := proto.Marshal(v.(proto.Message))
	if err != nil {
		return nil, err
	}
	c.unsent.hold(&encoded[0], len(encoded))
	return mem.BufferSlice{mem.SliceBuffer(encoded)}, nil
}
