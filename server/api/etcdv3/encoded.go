package etcdv3

import (
	"context"
	"encoding/binary"
	"math/bits"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/quorate-db/quorate/server/kv"
)

// encodedRange is a RangeResponse as it is sent. Keys are written into it as the store
// shows them: a thousand would be a thousand messages, made to be measured, copied and
// forgotten. The header comes last, since it says the revision; protobuf lets fields come
// in any order.
type encodedRange struct {
	noLeases bool            // of keys
	one      bool            // at most one key
	done     mem.BufferSlice // before now
	bytes    int             // of done
	now      []byte          // is being filled
	chunk    *[]byte         // where now comes from, if it is used again
}

// pieceBytes is how large the pieces of an answer are. Those of its first [largeAnswer]
// bytes are used again.
const pieceBytes = 64 << 10

// endBytes is more than what follows the keys.
const endBytes = 80

// pieces are those that wait to be used again.
var pieces = &piecePool{}

// piecePool implements mem.BufferPool. Other than grpc-go's it does not clear what it
// gives: pieces are filled from their beginning, and only what is filled is sent.
type piecePool struct{ free sync.Pool }

func (p *piecePool) Get(length int) *[]byte {
	if length <= pieceBytes {
		if b, is := p.free.Get().(*[]byte); is {
			return b
		}
		length = pieceBytes
	}
	b := make([]byte, 0, length)
	return &b
}

func (p *piecePool) Put(b *[]byte) { p.free.Put(b) }

// Where a field begins: its number, and whether a length and bytes follow or a number.
const (
	text = 2

	rangeHeader, rangeKV, rangeMore, rangeCount             = 1<<3 | text, 2<<3 | text, 3 << 3, 4 << 3
	headerCluster, headerMember, headerRevision, headerTerm = 1 << 3, 2 << 3, 3 << 3, 4 << 3
	kvKey, kvCreate, kvMod, kvVersion, kvValue, kvLease     = 1<<3 | text, 2 << 3, 3 << 3, 4 << 3, 5<<3 | text, 6 << 3
)

// sizeNumber is how many bytes a field that is a number takes; zero takes none.
func sizeNumber(n uint64) int {
	if n == 0 {
		return 0
	}
	return 1 + (bits.Len64(n)+6)/7
}

func appendNumber(b []byte, field byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, field), n)
}

func sizeText(t []byte) int {
	if len(t) == 0 {
		return 0
	}
	return sizeNumber(uint64(len(t))) + len(t)
}

func appendText(b []byte, field byte, t []byte) []byte {
	if len(t) == 0 {
		return b
	}
	return append(binary.AppendUvarint(append(b, field), uint64(len(t))), t...)
}

// add writes a key.
func (e *encodedRange) add(k *kv.KV) {
	lease := uint64(k.Lease)
	if e.noLeases {
		lease = 0
	}
	size := sizeText(k.Key) + sizeNumber(uint64(k.Create)) + sizeNumber(uint64(k.Mod)) + sizeNumber(uint64(k.Version)) +
		sizeText(k.Value) + sizeNumber(lease)
	e.reserve(size + 1 + binary.MaxVarintLen64)
	b := binary.AppendUvarint(append(e.now, rangeKV), uint64(size))
	b = appendText(b, kvKey, k.Key)
	b = appendNumber(b, kvCreate, uint64(k.Create))
	b = appendNumber(b, kvMod, uint64(k.Mod))
	b = appendNumber(b, kvVersion, uint64(k.Version))
	b = appendText(b, kvValue, k.Value)
	e.now = appendNumber(b, kvLease, lease)
}

// end writes what stands in an answer besides the keys.
func (e *encodedRange) end(h *pb.ResponseHeader, page *kv.Page) {
	if e.chunk != nil && e.bytes+len(e.now) >= largeAnswer {
		// Whether what is used again is in use nobody can tell; see unsent.
		e.finish()
		e.now = make([]byte, 0, endBytes)
	}
	e.reserve(endBytes)
	size := sizeNumber(h.ClusterId) + sizeNumber(h.MemberId) + sizeNumber(uint64(h.Revision)) + sizeNumber(h.RaftTerm)
	b := binary.AppendUvarint(append(e.now, rangeHeader), uint64(size))
	b = appendNumber(b, headerCluster, h.ClusterId)
	b = appendNumber(b, headerMember, h.MemberId)
	b = appendNumber(b, headerRevision, uint64(h.Revision))
	b = appendNumber(b, headerTerm, h.RaftTerm)
	if page.More {
		b = appendNumber(b, rangeMore, 1)
	}
	e.now = appendNumber(b, rangeCount, uint64(page.Count))
	e.finish()
}

// reserve makes room for so many bytes in one piece, and for the end.
func (e *encodedRange) reserve(n int) {
	if len(e.now)+n <= cap(e.now) {
		return
	}
	e.finish()
	n += endBytes
	switch {
	case e.one || n > pieceBytes:
		e.now = make([]byte, 0, n)
	case e.bytes >= largeAnswer:
		e.now = make([]byte, 0, pieceBytes)
	default:
		e.chunk = pieces.Get(n)
		e.now = (*e.chunk)[:0]
	}
}

// finish adds the piece that was filled to the others.
func (e *encodedRange) finish() {
	if len(e.now) == 0 {
		return
	}
	e.bytes += len(e.now)
	if e.chunk == nil {
		e.done = append(e.done, mem.SliceBuffer(e.now))
	} else {
		*e.chunk = e.now
		e.done = append(e.done, mem.NewBuffer(e.chunk, pieces))
	}
	e.now, e.chunk = nil, nil
}

// last is what a large answer ends with, which nothing else refers to.
func (e *encodedRange) last() *byte { return &e.done[len(e.done)-1].ReadOnlyData()[0] }

// encoded answers ranges as they are sent, for clients to whom they are.
func (s *kvServer) encoded(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	r, is := req.(*pb.RangeRequest)
	if !is {
		return next(ctx, req)
	}
	reads, q, err := s.reads(ctx, r)
	if err != nil {
		return nil, err
	}
	e := &encodedRange{noLeases: leavesLeasesOut(r), one: len(q.End) == 0}
	page, err := reads.Visit(q, e.add)
	if err != nil {
		e.done.Free()
		return nil, readError(err)
	}
	e.end(s.header(page.Revision), &page)
	if !s.unsent.room(e) {
		e.done.Free()
		return nil, certain(rpctypes.ErrGRPCRequestTooManyRequests)
	}
	return e, nil
}
