package conformance

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// pair is a sequence: a stream of etcd and one of quorate that are sent the same.
type pair struct {
	name          string
	etcd, quorate *listener
	sent          []*pb.WatchRequest
	pending       *pb.WatchRequest // the last of them that has an answer, until that is here
	answers       int              // that they lead to
	live          map[int64]*watcher
	told          map[int64]total // what should be told under each ID
}

// total is how much is told under an ID.
type total struct{ events, ends int }

// watcher is one that was created and not cancelled, and what it should be told.
type watcher struct {
	*pb.WatchCreateRequest
	total
	from   int64
	lost   bool // what it needs is compacted
	looked int  // so much of the history
}

func creation(r *pb.WatchCreateRequest) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}
}

func cancellation(id int64) *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}}
}

func progressRequest() *pb.WatchRequest {
	return &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
}

// watch draws a watcher, of which some are refused.
func (d drawing) watch(compacted int64) *pb.WatchCreateRequest {
	r := &pb.WatchCreateRequest{Key: d.key(), RangeEnd: d.end(), PrevKv: d.one(2), ProgressNotify: d.one(3), Fragment: d.one(3)}
	switch d.IntN(12) {
	case 0, 1, 2, 3:
		r.StartRevision = max(1, d.revision-d.Int64N(40))
	case 4, 5:
		r.StartRevision = d.revision + d.Int64N(20)
	case 6:
		r.StartRevision = max(0, compacted-1+d.Int64N(3))
	case 7:
		r.StartRevision = []int64{-1, 1, 1 << 40}[d.IntN(3)]
	}
	for d.one(3) {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_FilterType(d.IntN(3))) // one too many
	}
	if d.one(4) {
		r.WatchId = d.Int64N(8)
	}
	if d.one(20) {
		r.WatchId = []int64{everyone, -7, 1 << 50}[d.IntN(3)]
		r.ProgressNotify = false // nobody could tell whether all are meant
	}
	return r
}

// drawRequest draws what may be asked at any time.
func (p *pair) drawRequest(a *audience) *pb.WatchRequest {
	switch n := a.IntN(20); {
	case n < 12:
		return creation(a.watch(a.compacted))
	case n < 14:
		return progressRequest()
	case n < 16: // of one that was cancelled, or never was there
		if id := a.Int64N(10) - 1; p.live[id] == nil {
			return cancellation(id)
		}
	case n < 17:
		return &pb.WatchRequest{}
	}
	return nil
}

// drawCancel draws an end of a watcher. It has been told everything: what is told while
// it is ended is nobody's promise.
func (p *pair) drawCancel(a *audience) *pb.WatchRequest {
	if ids := slices.Sorted(maps.Keys(p.live)); len(ids) > 0 && a.one(2) {
		return cancellation(ids[a.IntN(len(ids))])
	}
	return nil
}

func (p *pair) send(a *audience, r *pb.WatchRequest) {
	a.Helper()
	p.sent = append(p.sent, r)
	if c := r.GetCancelRequest(); r.GetCreateRequest() != nil || c != nil && p.live[c.WatchId] != nil {
		p.pending = r
		p.answers++
	}
	for _, l := range p.both() {
		if err := l.stream.Send(r); err != nil {
			a.Fatal(err)
		}
	}
}

func (p *pair) both() []*listener { return []*listener{p.etcd, p.quorate} }

// answered waits for the answers to what was sent last.
func (p *pair) answered(a *audience) {
	a.Helper()
	for _, l := range p.both() {
		if !l.await(func() bool { return l.answers >= p.answers }) {
			a.differ("%s: no answer from %s%s", p.name, l.name, p.compare())
			return
		}
	}
	if c := p.pending.GetCreateRequest(); c != nil {
		p.created(a, c)
	}
	if c := p.pending.GetCancelRequest(); c != nil {
		p.told[c.WatchId] = p.live[c.WatchId].hear(a)
		delete(p.live, c.WatchId)
	}
	p.pending = nil
}

func (p *pair) created(a *audience, c *pb.WatchCreateRequest) {
	a.Helper()
	want, got := p.etcd.lastAnswer(), p.quorate.lastAnswer()
	if want.WatchId != got.WatchId || want.Canceled != got.Canceled {
		a.differ("%s: etcd %v, quorate %v%s", p.name, want, got, p.compare())
		return
	}
	if want.Canceled {
		return
	}
	w := &watcher{WatchCreateRequest: c, from: c.StartRevision, total: p.told[want.WatchId]}
	if w.from == 0 {
		w.from = want.Header.Revision + 1
	}
	if len(w.Key) == 0 {
		w.WatchCreateRequest = proto.CloneOf(c)
		w.Key = []byte{0}
	}
	if w.from < a.compacted {
		w.lost = true
		w.ends++
		a.ends++
	}
	p.live[want.WatchId] = w
}

// hear returns what the watcher, and those before it under its ID, should have been told
// by now.
func (w *watcher) hear(a *audience) total {
	for ; w.looked < len(a.history); w.looked++ {
		if e := a.history[w.looked]; !w.lost && e.Kv.ModRevision >= w.from && w.contains(e.Kv.Key) && !w.filters(e.Type) {
			w.events++
		}
	}
	return w.total
}

func (w *watcher) contains(key []byte) bool {
	if len(w.RangeEnd) == 0 {
		return bytes.Equal(key, w.Key)
	}
	return bytes.Compare(key, w.Key) >= 0 && (bytes.Equal(w.RangeEnd, []byte{0}) || bytes.Compare(key, w.RangeEnd) < 0)
}

func (w *watcher) filters(e mvccpb.Event_EventType) bool {
	unwanted := pb.WatchCreateRequest_NOPUT
	if e == mvccpb.Event_DELETE {
		unwanted = pb.WatchCreateRequest_NODELETE
	}
	return slices.Contains(w.Filters, unwanted)
}

// settled waits until all watchers were told everything, and then that the stream is
// told so when it asks. etcd says nothing if one of its watchers is still to begin, or
// was ended by compaction; quorate says it in the second case.
func (p *pair) settled(a *audience) {
	a.Helper()
	future, lost := false, false
	for id, w := range p.live {
		p.told[id] = w.hear(a)
		future, lost = future || w.from > a.revision, lost || w.lost
	}
	for _, l := range p.both() {
		if !l.await(func() bool { return l.toldAll(p.told) }) {
			a.differ("%s: %s does not tell all: %s%s", p.name, l.name, l.missing(p.told), p.compare())
			return
		}
	}
	p.send(a, progressRequest())
	for _, l := range p.both() {
		if future || lost && l == p.etcd {
			continue
		}
		if !l.await(func() bool { return l.informed >= a.revision }) {
			a.differ("%s: %s does not say that it told all%s", p.name, l.name, p.compare())
		}
	}
}

// compare returns what differs in what was told, if anything does.
func (p *pair) compare() string {
	p.etcd.mu.Lock()
	defer p.etcd.mu.Unlock()
	p.quorate.mu.Lock()
	defer p.quorate.mu.Unlock()
	var report strings.Builder
	for _, l := range p.both() {
		if l.fault != "" {
			fmt.Fprintf(&report, "\n%s: %s", l.name, l.fault)
		}
	}
	ids := make(map[int64]bool)
	for _, l := range p.both() {
		for id := range l.stories {
			ids[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		p.compareStories(&report, id)
	}
	if report.Len() == 0 {
		return ""
	}
	for _, r := range p.sent {
		fmt.Fprintf(&report, "\nsent %s", prototext.MarshalOptions{}.Format(r))
	}
	return report.String()
}

func (p *pair) compareStories(report *strings.Builder, id int64) {
	want, got := p.etcd.story(id).lines, p.quorate.story(id).lines
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			fmt.Fprintf(report, "\nwatcher %d, line %d of %d and %d\netcd    %s\nquorate %s", id, i, len(want), len(got), w, g)
			return
		}
	}
}
