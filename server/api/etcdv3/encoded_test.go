package etcdv3

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/server/kv"
)

// Who decodes an answer that was encoded here reads what protobuf would have written.
func TestAnEncodedRangeIsTheMessage(t *testing.T) {
	numbers := rapid.Int64()
	keys := rapid.Custom(func(t *rapid.T) kv.KV {
		return kv.KV{
			Key:    rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "key"),
			Value:  bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{0, 1, 127, 128, 300, pieceBytes - endBytes, 2 * pieceBytes}).Draw(t, "value")),
			Create: numbers.Draw(t, "create"), Mod: numbers.Draw(t, "mod"), Version: numbers.Draw(t, "version"),
			Lease: kv.LeaseID(numbers.Draw(t, "lease")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		page := &kv.Page{KVs: rapid.SliceOfN(keys, 0, 40).Draw(t, "keys"), More: rapid.Bool().Draw(t, "more"), Count: numbers.Draw(t, "count")}
		r := &pb.RangeRequest{KeysOnly: rapid.Bool().Draw(t, "no leases")}
		h := &pb.ResponseHeader{
			ClusterId: rapid.Uint64().Draw(t, "cluster"), MemberId: rapid.Uint64().Draw(t, "member"),
			Revision: numbers.Draw(t, "revision"), RaftTerm: rapid.Uint64().Draw(t, "term"),
		}
		var u unsent
		e := &encodedRange{noLeases: leavesLeasesOut(r), one: len(page.KVs) < 2}
		for i := range page.KVs {
			e.add(&page.KVs[i])
		}
		e.end(h, page)
		sent, err := newCodec(&u, newCalls(false)).Marshal(e)
		if err != nil || sent.Len() != e.bytes {
			t.Fatalf("%d bytes of %d, %v", sent.Len(), e.bytes, err)
		}
		got := &pb.RangeResponse{}
		if err := proto.Unmarshal(sent.Materialize(), got); err != nil {
			t.Fatal(err)
		}
		sent.Free()
		if want := rangeResponse(h, r, page); !proto.Equal(got, want) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// A large one is counted until it is gone, although its first pieces are used again.
func TestLargeEncodedRangesWaitWithinTheBound(t *testing.T) {
	var u unsent
	e := &encodedRange{}
	for e.bytes+len(e.now) < largeAnswer {
		e.add(&kv.KV{Key: []byte("k"), Value: make([]byte, 1000)})
	}
	e.end(&pb.ResponseHeader{}, &kv.Page{})
	sent, err := newCodec(&u, newCalls(false)).Marshal(e)
	if err != nil || u.bytes.Load() != int64(sent.Len()) || sent.Len() < largeAnswer {
		t.Fatalf("%d bytes wait, %d are counted, %v", sent.Len(), u.bytes.Load(), err)
	}
	runtime.GC()
	time.Sleep(countTime)
	if u.bytes.Load() == 0 {
		t.Error("an answer that waits is not counted any more")
	}
	runtime.KeepAlive(sent)
	sent.Free()
	for limit := time.Now().Add(time.Minute); u.bytes.Load() != 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("an answer that is gone still counts")
		}
		runtime.GC()
	}
}
