package conformance

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/internal/goal"
)

// Sequences of requests on streams of watchers are played many at a time, since etcd
// looks only ten times a second after a watcher that begins in the past: each has a
// stream of its own, and what is written meanwhile they all may see.
const (
	streamsAtATime = 40
	roundsOfWrites = 6
	turnsInARound  = 3
	writesInATurn  = 6
)

// The last key that is written in a round, which tells where it ends, and the ID of
// the watcher with which each stream waits for that.
const (
	sentinel       = "sentinel"
	probe    int64 = 1 << 40
)

// audience is etcd and a cluster of quorate that are sent the same writes.
type audience struct {
	*testing.T
	tenant
	etcd, quorate landlord
	everything    pb.Watch_WatchClient // of etcd
	history       []*mvccpb.Event      // since the first sequence
	compacted     int64
	large         bool // values are

	differences    int
	notices, parts [2]int // of etcd and of quorate
	ends, waited   int
}

// TestSameWatches sends sequences of randomized requests for watches to etcd and to
// quorate, between randomized writes. What is answered, and what each watcher is told,
// in that order, must be the same. How events are cut into responses differs, and when
// it is said how far things have come; that must be true, in itself.
func TestSameWatches(t *testing.T) {
	flags := []string{"--watch-progress-notify-interval=100ms", "--max-request-bytes=65536", "--heartbeat-interval=50", "--election-timeout=500"}
	addresses, _ := startQuorate(t, *nodes, flags...)
	a := &audience{T: t, etcd: landlordAt(t, startEtcd(t, flags...)), quorate: landlordAt(t, addresses...), tenant: tenant{shortest: firstShort}}
	a.revision = 1
	everything, err := pb.NewWatchClient(a.etcd.conns[0]).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.everything = everything
	if err := everything.Send(creation(&pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1})); err != nil {
		t.Fatal(err)
	}
	done, begin := 0, time.Now()
	for done < *sequences && a.differences == 0 {
		a.Rand = rand.New(rand.NewPCG(*seed+uint64(done), 4))
		done += a.play(min(streamsAtATime, *sequences-done), *seed+uint64(done))
	}
	suffix := ""
	if *nodes > 1 {
		suffix = fmt.Sprintf("_on_%d_nodes", *nodes)
	}
	goal.AtMost(os.Stdout, "watch_differences"+suffix, float64(a.differences), 0)
	goal.AtLeast(os.Stdout, "watch_sequences"+suffix, float64(done), 1000)
	seen := fmt.Sprintf("%d events, %d watchers ended by compaction, progress told %v times, %v responses in parts", len(a.history), a.ends, a.notices, a.parts)
	if done >= 500 && (a.ends < done/10 || min(a.notices[0], a.notices[1], a.parts[0], a.parts[1]) == 0) {
		t.Errorf("only %s: something is not tried", seen)
	}
	t.Logf("%d sequences in %v, of which %v were waited for the last event: %s", done, time.Since(begin).Round(time.Second), time.Duration(a.waited), seen)
}

// play plays n sequences, of which the first is drawn from the seed.
func (a *audience) play(n int, from uint64) int {
	ctx, cancel := context.WithCancel(a.Context())
	defer cancel() // the streams end with it
	a.large = a.one(4)
	var pairs []*pair
	for i := range n {
		pairs = append(pairs, &pair{
			name: fmt.Sprintf("seed %d, stream %d of %d", from, i, n),
			etcd: listen(ctx, a.T, "etcd", a.etcd.conns[0]), quorate: listen(ctx, a.T, "quorate", a.quorate.conns[i%len(a.quorate.conns)]),
			live: make(map[int64]*watcher), told: make(map[int64]total),
		})
	}
	for range roundsOfWrites {
		if a.differences > 0 {
			return n
		}
		a.turn(pairs, (*pair).drawCancel)
		if a.one(2) {
			a.compact()
		}
		for range turnsInARound {
			a.turn(pairs, (*pair).drawRequest)
			for range writesInATurn {
				a.write()
			}
			a.catchUp()
		}
		a.settle(pairs)
	}
	for _, p := range pairs {
		if report := p.compare(); report != "" {
			a.differ("%s", report)
		}
		for i, l := range p.both() {
			notices, parts := l.counts()
			a.notices[i] += notices
			a.parts[i] += parts
		}
	}
	return n
}

func (a *audience) differ(format string, args ...any) {
	a.Helper()
	if a.differences++; a.differences <= 3 { // those that follow have the same cause, mostly
		a.Errorf(format, args...)
	}
}

// turn has every stream send what is drawn for it, and waits for the answers.
func (a *audience) turn(pairs []*pair, draw func(*pair, *audience) *pb.WatchRequest) {
	a.Helper()
	for _, p := range pairs {
		if r := draw(p, a); r != nil {
			p.send(a, r)
		}
		if a.one(6) {
			p.send(a, progressRequest()) // before the watcher can have been told what was
		}
	}
	for _, p := range pairs {
		p.answered(a)
	}
}

// both makes a call to etcd and to quorate.
func (a *audience) both(call call) answer {
	a.Helper()
	node := a.IntN(len(a.quorate.conns))
	want, got := a.etcd.do(a.T, node, call.method, call.in), a.quorate.do(a.T, node, call.method, call.in)
	if want.text() != got.text() {
		a.differ("%s %.1000v\netcd    %.1000s\nquorate %.1000s", call.method, call.in, want.text(), got.text())
	}
	a.revision = max(a.revision, want.revision)
	return want
}

// write makes a call that may change something.
func (a *audience) write() {
	a.Helper()
	var c call
	for !slices.Contains(writing, c.method) {
		c.method, c.in = a.call()
	}
	if put, is := c.in.(*pb.PutRequest); is && a.large && len(put.Value) > 0 {
		put.Value = bytes.Repeat(put.Value[:1], 60<<10)
	}
	a.both(c)
}

var writing = []string{
	pb.KV_Put_FullMethodName, pb.KV_DeleteRange_FullMethodName, pb.KV_Txn_FullMethodName,
	pb.Lease_LeaseGrant_FullMethodName, pb.Lease_LeaseRevoke_FullMethodName,
}

// catchUp waits until all nodes have applied what was written.
func (a *audience) catchUp() {
	a.Helper()
	read := &pb.RangeRequest{Key: []byte(sentinel)}
	want := a.etcd.do(a.T, 0, pb.KV_Range_FullMethodName, read)
	a.revision = want.revision
	for node := range a.quorate.conns {
		if got := a.quorate.do(a.T, node, pb.KV_Range_FullMethodName, read); got.text() != want.text() {
			a.differ("node %d: etcd has %s, quorate %s", node, want.text(), got.text())
		}
	}
}

// compact lets go of history. No watcher is behind.
func (a *audience) compact() {
	a.Helper()
	r := &pb.CompactionRequest{Revision: max(1, a.revision-a.Int64N(25)), Physical: a.one(4)}
	if a.both(call{pb.KV_Compact_FullMethodName, r}).err == nil {
		a.compacted = r.Revision
	}
	a.catchUp()
}

// settle ends a round: every watcher is told all that was written, and every stream how
// far it has come.
func (a *audience) settle(pairs []*pair) {
	a.Helper()
	last := a.both(call{pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte(sentinel)}}).revision
	a.catchUp()
	for len(a.history) == 0 || a.history[len(a.history)-1].Kv.ModRevision < last {
		r, err := a.everything.Recv()
		if err != nil || r.Canceled {
			a.Fatalf("etcd's history has an end: %v %v", r, err)
		}
		a.history = append(a.history, r.Events...)
	}
	a.turn(pairs, func(*pair, *audience) *pb.WatchRequest {
		return creation(&pb.WatchCreateRequest{WatchId: probe, Key: []byte(sentinel), StartRevision: last})
	})
	begin := time.Now()
	for _, p := range pairs {
		if p.settled(a); a.differences > 0 {
			return
		}
	}
	a.waited += int(time.Since(begin))
	a.turn(pairs, func(*pair, *audience) *pb.WatchRequest { return cancellation(probe) })
}

// call is a method and what it is asked.
type call struct {
	method string
	in     proto.Message
}
