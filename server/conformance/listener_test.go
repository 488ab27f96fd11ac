package conformance

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
)

// everyone is the watch ID in a response about all watchers of a stream, or about none,
// since it was refused. A watcher may have it too.
const everyone = -1

// refused is under what is kept which requests were refused.
const refused = math.MinInt64

// listener is one stream of watchers at a server, and what it is told.
type listener struct {
	name   string // of the server
	stream pb.Watch_WatchClient
	news   chan struct{} // something was told

	mu       sync.Mutex
	stories  map[int64]*story  // by the ID of the watcher
	answers  int               // to requests, of those that are answered
	last     *pb.WatchResponse // of them
	informed int64             // all watchers were told everything up to here
	notices  int               // of how far single watchers have come
	parts    int               // responses that were not whole
	fault    string
}

// story is all that was told under one ID, in order. How events were cut into
// responses is left out.
type story struct {
	total
	lines []string

	// Of the watcher that has the ID now.
	last    int64 // revision of which it was told
	partial bool  // more of that revision may follow
	claimed int64 // it was told that it has heard all up to here
}

// listen opens a stream that lasts until ctx ends.
func listen(ctx context.Context, t *testing.T, name string, conn *grpc.ClientConn) *listener {
	t.Helper()
	stream, err := pb.NewWatchClient(conn).Watch(ctx, grpc.MaxCallRecvMsgSize(256<<20))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{name: name, stream: stream, news: make(chan struct{}, 1), stories: make(map[int64]*story)}
	go func() {
		for {
			r, err := stream.Recv()
			if err != nil && ctx.Err() != nil {
				return
			}
			l.hear(r, err)
			if err != nil {
				return
			}
		}
	}()
	return l
}

func (l *listener) hear(r *pb.WatchResponse, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.signal()
	if err != nil {
		l.blame("the stream ended: %v", err)
		return
	}
	s := l.story(r.WatchId)
	switch {
	case r.Created && r.Canceled:
		l.answer(l.story(refused), r)
	case r.Created || r.Canceled:
		l.answer(s, r)
	case len(r.Events) > 0:
		l.tell(s, r)
	case r.WatchId == everyone:
		l.informed = r.Header.Revision
		for _, s := range l.stories {
			s.claimed = max(s.claimed, l.informed)
		}
	default:
		l.notices++
		s.claimed = max(s.claimed, r.Header.Revision)
	}
}

func (l *listener) signal() {
	select {
	case l.news <- struct{}{}:
	default: // it is known already
	}
}

// blame notes the first thing that must never be.
func (l *listener) blame(format string, args ...any) {
	if l.fault == "" {
		l.fault = fmt.Sprintf(format, args...)
	}
}

func (l *listener) story(id int64) *story {
	s := l.stories[id]
	if s == nil {
		s = &story{}
		l.stories[id] = s
	}
	return s
}

func (l *listener) answer(s *story, r *pb.WatchResponse) {
	s.lines = append(s.lines, fmt.Sprintf("watcher %d at %d: created=%v canceled=%v compact_revision=%d cancel_reason=%q",
		r.WatchId, r.Header.Revision, r.Created, r.Canceled, r.CompactRevision, r.CancelReason))
	if r.Created {
		s.last, s.partial, s.claimed = 0, false, 0
	}
	if r.CompactRevision != 0 {
		s.ends++
		return
	}
	l.answers++
	l.last = r
}

// tell adds events to a story, and sees to it that none comes late or twice and that
// no revision comes in parts that are not said to be parts.
func (l *listener) tell(s *story, r *pb.WatchResponse) {
	for _, e := range r.Events {
		at := e.Kv.ModRevision
		if at <= s.claimed || at < s.last || at == s.last && !s.partial {
			l.blame("watcher %d was told of %d, which it should have heard before: %s", r.WatchId, at, eventLine(e))
		}
		s.last, s.partial = at, true
		s.lines = append(s.lines, eventLine(e))
		s.events++
	}
	if s.partial = r.Fragment; r.Fragment {
		l.parts++
	} else if r.Header.Revision < s.last {
		l.blame("watcher %d was told of %d as of %d", r.WatchId, s.last, r.Header.Revision)
	} else {
		s.claimed = max(s.claimed, r.Header.Revision)
	}
}

func eventLine(e *mvccpb.Event) string {
	text := e.Type.String() + " " + keyLine(e.Kv)
	if e.PrevKv != nil {
		text += " after " + keyLine(e.PrevKv)
	}
	return text
}

func keyLine(kv *mvccpb.KeyValue) string {
	return fmt.Sprintf("%q=%.8q(%d %08x) created %d modified %d version %d lease %d",
		kv.Key, kv.Value, len(kv.Value), crc32.ChecksumIEEE(kv.Value), kv.CreateRevision, kv.ModRevision, kv.Version, kv.Lease)
}

// await waits until what was told is as it should be, and reports whether it came to that.
func (l *listener) await(good func() bool) bool {
	limit := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		ok, fault := good(), l.fault
		l.mu.Unlock()
		if ok || fault != "" {
			return fault == ""
		}
		select {
		case <-l.news:
		case <-limit:
			return false
		}
	}
}

// lastAnswer is the answer to the last request that has one.
func (l *listener) lastAnswer() *pb.WatchResponse {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// counts is how often single watchers were told how far they have come, and how many
// responses were a part of one.
func (l *listener) counts() (notices, parts int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notices, l.parts
}

// toldAll reports whether under each ID was told at least as much.
func (l *listener) toldAll(want map[int64]total) bool {
	for id, n := range want {
		if s := l.story(id); s.events < n.events || s.ends < n.ends {
			return false
		}
	}
	return true
}

// missing is what toldAll misses first.
func (l *listener) missing(want map[int64]total) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, n := range want {
		if s := l.story(id); s.total != n {
			return fmt.Sprintf("watcher %d: %+v instead of %+v", id, s.total, n)
		}
	}
	return "nothing"
}
