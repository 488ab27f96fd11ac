package etcdv3

import (
	"context"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/api/gate"
	"github.com/quorate-db/quorate/server/api/lockpb"
)

// How many of what is not in progress there may be, for each call that is.
const (
	queueing = 8  // calls that wait for a place
	benches  = 16 // calls that wait for what other clients do
	streams  = 16 // open streams; one that is idle takes about 25 KiB
)

// maxQueued is how many bytes of requests may wait for a place.
const maxQueued = 64 << 20

// rooms are where calls take their places, of all connections together.
type rooms struct {
	calls   *gate.Gate // for all others
	benches *gate.Gate // for those that wait for what other clients do
	logins  *gate.Gate // for those whose password is looked at, or waits for that
	looks   *gate.Gate // for those who ask how this node is
	streams *gate.Gate
}

func newRooms(requests int) rooms {
	return rooms{
		calls:   gate.New(requests, queueing*requests, maxQueued),
		benches: gate.New(benches*requests, 0, 0),
		logins:  gate.New(requests, 0, 0),
		looks:   gate.New(requests, 0, 0),
		streams: gate.New(streams*requests, 0, 0),
	}
}

// most is how many calls and streams there may be. A connection that may have as many
// is told of each one too many; with fewer it would wait without a word, as HTTP/2 has it.
func (r rooms) most() uint32 {
	return uint32(min(math.MaxUint32, r.calls.Most()+r.benches.Most()+r.logins.Most()+r.looks.Most()+r.streams.Most()))
}

// of is where a call takes its place. Passwords take long, and anybody may try some:
// those who do keep out only each other. Who asks whether a node is well must not take a
// busy one for a dead one.
func (r rooms) of(method string) *gate.Gate {
	switch method {
	case pb.Auth_Authenticate_FullMethodName:
		return r.logins
	case pb.Maintenance_Status_FullMethodName, healthpb.Health_Check_FullMethodName, healthpb.Health_List_FullMethodName:
		return r.looks
	}
	if forOthers[method] {
		return r.benches
	}
	return r.calls
}

// forOthers are the calls that wait for what other clients do, as long as that may
// take: for benches, lest a thousand who wait for a lock keep out the one who would
// unlock it.
var forOthers = map[string]bool{
	lockpb.Lock_Lock_FullMethodName:         true,
	lockpb.Election_Campaign_FullMethodName: true,
}

// wait has a call wait for a place, as long as it might wait for the cluster.
func (s *Server) wait(ctx context.Context, room *gate.Gate, req any) bool {
	ctx, cancel := context.WithTimeout(ctx, s.Limits.RequestTimeout)
	defer cancel()
	return room.Wait(ctx, proto.Size(req.(proto.Message)))
}
