package etcdv3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/watch"
)

// watchServer is etcdserverpb.Watch.
type watchServer struct {
	*Server
	pb.UnsafeWatchServer
}

// Watch serves the watchers of one client. One goroutine does everything but to
// receive: while a client does not take what it is sent, no request of it is
// carried out either, and nothing is queued for it here.
func (s *watchServer) Watch(conn pb.Watch_WatchServer) error {
	stream := s.Hub.Stream()
	defer stream.Close()
	w := &watching{Server: s.Server, conn: conn, stream: stream, fragment: make(map[int64]bool)}
	requests, broken := make(chan *pb.WatchRequest), make(chan error, 1)
	go receive(conn, requests, broken)
	tick := time.NewTicker(s.Limits.WatchProgress + rand.N(s.Limits.WatchProgress/10+1))
	defer tick.Stop()
	for {
		var err error
		select {
		case r := <-requests:
			err = w.request(r)
		case <-stream.Wake():
			err = w.deliver()
		case <-tick.C:
			stream.Tick()
		case err = <-broken:
		case <-conn.Context().Done():
			err = conn.Context().Err()
		case <-stream.Closed():
			err = rpctypes.ErrGRPCStopped
		}
		if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
			return rpctypes.ErrGRPCWatchCanceled
		}
		if err != nil {
			return err
		}
	}
}

// receive passes requests on until the stream ends. A client that will send no more
// of them is sent events all the same.
func receive(conn pb.Watch_WatchServer, requests chan<- *pb.WatchRequest, broken chan<- error) {
	for {
		r, err := conn.Recv()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			broken <- err
			return
		}
		select {
		case requests <- r:
		case <-conn.Context().Done():
			return
		}
	}
}

// watching is one stream being served.
type watching struct {
	*Server
	conn     pb.Watch_WatchServer
	stream   *watch.Stream
	fragment map[int64]bool // the watchers that can take a revision in parts
}

func (w *watching) request(r *pb.WatchRequest) error {
	switch r := r.RequestUnion.(type) {
	case *pb.WatchRequest_CreateRequest:
		return w.create(r.CreateRequest)
	case *pb.WatchRequest_CancelRequest:
		id := r.CancelRequest.GetWatchId()
		if !w.stream.Cancel(id) {
			return nil
		}
		delete(w.fragment, id)
		return w.conn.Send(&pb.WatchResponse{Header: w.header(w.stream.Revision()), WatchId: id, Canceled: true})
	case *pb.WatchRequest_ProgressRequest:
		w.stream.Ask()
	}
	return nil
}

// reasons are etcd's words for why a watcher is refused.
var reasons = map[error]string{
	watch.ErrEmptyRange:  "mvcc: watcher range is empty",
	watch.ErrDuplicateID: "mvcc: duplicate watch ID provided on the WatchStream",
}

func (w *watching) create(r *pb.WatchCreateRequest) error {
	if r == nil {
		return nil
	}
	if r.StartRevision < 0 {
		return w.refuse(w.stream.Revision(), rpctypes.ErrCompacted.Error())
	}
	spec := watch.Spec{
		ID: r.WatchId, Key: r.Key, End: r.RangeEnd, From: r.StartRevision,
		Before: r.PrevKv, Progress: r.ProgressNotify,
	}
	if len(spec.Key) == 0 {
		spec.Key = []byte{0} // the smallest
	}
	for _, f := range r.Filters {
		spec.NoPuts = spec.NoPuts || f == pb.WatchCreateRequest_NOPUT
		spec.NoDeletes = spec.NoDeletes || f == pb.WatchCreateRequest_NODELETE
	}
	if reason := w.forbidden(spec); reason != "" {
		return w.refuse(w.stream.Revision(), reason)
	}
	id, revision, err := w.stream.Watch(spec)
	if err != nil {
		return w.refuse(revision, reasons[err])
	}
	if r.Fragment {
		w.fragment[id] = true
	}
	return w.conn.Send(&pb.WatchResponse{Header: w.header(revision), WatchId: id, Created: true})
}

// forbidden says why the client may not see what a watcher would.
func (w *watching) forbidden(spec watch.Spec) string {
	by, err := w.caller(w.conn.Context())
	if err == nil {
		err = w.Machine.For(by).Permit(kv.MayRead, spec.Key, spec.End)
		if err != nil {
			err = readError(err)
		}
	}
	if err != nil {
		return err.Error() // with the code, as etcd says it
	}
	return ""
}

func (w *watching) refuse(revision int64, reason string) error {
	return w.conn.Send(&pb.WatchResponse{
		Header: w.header(revision), WatchId: watch.Everyone, Created: true, Canceled: true, CancelReason: reason,
	})
}

// deliver sends what is to be told next, if anything is.
func (w *watching) deliver() error {
	d, ok, err := w.stream.Next()
	switch {
	case err != nil:
		return readError(err)
	case !ok:
		return nil
	case d.Compacted != 0:
		// etcd says no revision here.
		return w.conn.Send(&pb.WatchResponse{Header: w.header(0), WatchId: d.ID, Canceled: true, CompactRevision: d.Compacted})
	}
	most := 0
	if w.fragment[d.ID] {
		most = w.Limits.RequestBytes + overheadBytes
	}
	return w.send(d, most)
}

// send sends a delivery, in parts of less than most bytes if most is not zero and
// an event is not larger.
func (w *watching) send(d watch.Delivery, most int) error {
	r := &pb.WatchResponse{Header: w.header(d.Revision), WatchId: d.ID}
	if len(d.Events) == 1 {
		return w.sendWith(r, d.Events[0].Encoded(d.Before, encodeEvent)) // as all watchers are sent it
	}
	size := 0
	if most > 0 {
		size = proto.Size(r)
	}
	var events []byte
	for _, e := range d.Events {
		next := e.Encoded(d.Before, encodeEvent)
		if most > 0 && len(events) > 0 && size+len(events)+len(next) >= most {
			part := &pb.WatchResponse{Header: r.Header, WatchId: d.ID, Fragment: true}
			if err := w.sendWith(part, events); err != nil {
				return err
			}
			events = nil
		}
		events = append(events, next...)
	}
	return w.sendWith(r, events)
}

// sendWith sends a response with events that are encoded already. Protobuf writes
// fields that it does not know as they are, and who reads them cannot tell.
func (w *watching) sendWith(r *pb.WatchResponse, events []byte) error {
	r.ProtoReflect().SetUnknown(events)
	return w.conn.Send(r)
}

// eventsField is the number of WatchResponse.events.
var eventsField = (*pb.WatchResponse)(nil).ProtoReflect().Descriptor().Fields().ByName("events").Number()

// encodeEvent makes of an event what stands in a WatchResponse for it.
func encodeEvent(e *watch.Event, before bool) []byte {
	out := &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: keyValue(&e.KV)}
	if e.Deleted() {
		out.Type = mvccpb.Event_DELETE
	}
	if was := e.Before(); before && was != nil {
		out.PrevKv = keyValue(was)
	}
	size := proto.Size(out)
	b := make([]byte, 0, size+protowire.SizeTag(eventsField)+protowire.SizeVarint(uint64(size)))
	b = protowire.AppendTag(b, eventsField, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b, err := proto.MarshalOptions{}.MarshalAppend(b, out)
	if err != nil {
		panic(err) // these messages have no strings that could be no UTF-8
	}
	return b
}
