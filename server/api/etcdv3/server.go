// Package etcdv3 is the door for etcd's clients: it translates the etcd v3 gRPC API
// into commands and reads of the same store that the plain HTTP API serves, checks
// requests against etcd's limits, and answers with etcd's own errors. It decides
// nothing about the data. docs/etcd-compat.md lists what is there.
//
// The wire types and the errors are etcd's own Go packages; nothing else of etcd is
// used. Services that are not registered answer Unimplemented by themselves.
//
// Reading order: server.go (what it is made of, and what each call passes), rooms.go and
// arriving.go (how much at a time), kv.go, request.go and response.go (the translation),
// errors.go; stream.go, watch.go, lease.go, turn.go, lock.go, election.go, cluster.go, maintenance.go; audience.go (who
// may call what), auth.go.
package etcdv3

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/api/gate"
	"github.com/quorate-db/quorate/server/api/gateway"
	"github.com/quorate-db/quorate/server/api/lockpb"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/server/watch"
)

// Group replicates what clients write; a *quorate.Group.
type Group interface {
	members.Cluster
	Propose(ctx context.Context, command []byte) (any, error)
	Leader() (quorate.NodeID, raft.Term)
	lease.Asker
}

// Options is what a server is made of. All fields are needed unless they say
// otherwise.
type Options struct {
	ClusterID  uint64
	MemberID   quorate.NodeID
	Group      Group
	Machine    *kv.Machine
	Hub        *watch.Hub
	Keeper     *auth.Keeper
	Limits     Limits
	KeepAlive  KeepAlive // may be zero
	PeerScheme string    // of peer URLs: http or https
	TimeCalls  bool      // so that Calls say how long they took; the flag --metrics
	CertUsers  bool      // who shows a certificate and no token is the user of that name; the flag --client-cert-auth
	Logger     *slog.Logger

	// Learner says whether this node is a learner.
	Learner func() bool
}

// Limits is how much one client may ask for.
type Limits struct {
	RequestBytes   int           // a request that writes; the flag --max-request-bytes
	TxnOps         int           // compares, or operations, of a transaction and those around it; --max-txn-ops
	Learners       int           // members that may have been added to stay learners; --max-learners
	Requests       int           // calls in progress at a time; the flag --max-requests
	Streams        uint32        // calls and streams of one connection; zero: as many as all together; the flag --max-concurrent-streams
	RequestTimeout time.Duration // how long a call may wait for the cluster; the flag --request-timeout
	WatchProgress  time.Duration // between two messages to a watcher about how far it has come, and 10 % more; --watch-progress-notify-interval
	Election       time.Duration // --election-timeout; after three without a leader, streams that require one end; and no lease lives shorter than one and a half
}

// KeepAlive is when connections are found to be dead; the flags --grpc-keepalive-...
type KeepAlive struct {
	MinTime  time.Duration // a client that pings more often is disconnected; zero: grpc-go's own 5 minutes
	Interval time.Duration // a client so long silent is pinged; zero: never
	Timeout  time.Duration // and disconnected if it does not answer
}

func (k KeepAlive) options() (all []grpc.ServerOption) {
	if k.MinTime > 0 {
		all = append(all, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: k.MinTime}))
	}
	if k.Interval > 0 && k.Timeout > 0 {
		all = append(all, grpc.KeepaliveParams(keepalive.ServerParameters{Time: k.Interval, Timeout: k.Timeout}))
	} else {
		all = append(all, grpc.KeepaliveParams(keepalive.ServerParameters{Time: math.MaxInt64}))
	}
	return all
}

// handshakeTime is how long a client may take to say how it speaks HTTP/2.
const handshakeTime = 10 * time.Second

// workers is how many goroutines take calls one after another. A new one for each call
// would have its stack grown, which is to be copied, each time. When all of them are
// busy calls get goroutines of their own.
const workers = 64

// How much a client may send before it is read: a stream, and all of a connection. Said
// in advance, grpc-go does not try to find out, which costs a ping for each few requests.
const (
	streamWindow = 1 << 20
	connWindow   = 4 << 20
)

// overheadBytes is what a request may have beyond RequestBytes before it is read.
const overheadBytes = 512 << 10

// Server answers etcd's clients.
type Server struct {
	Options
	*grpc.Server
	Gateway  *gateway.Gateway // to the same services, for clients with JSON only
	health   *health.Server
	calls    *calls
	rooms    rooms
	unsent   unsent
	arriving *arriving

	open context.Context // ends with Close
	end  context.CancelFunc
}

// New returns a server; its Serve takes connections on which TLS is already done.
func New(o Options) *Server {
	s := &Server{Options: o, health: health.NewServer(), calls: newCalls(o.TimeCalls), rooms: newRooms(o.Limits.Requests), arriving: newArriving(mostArriving)}
	s.open, s.end = context.WithCancel(context.Background())
	keys := &kvServer{Server: s}
	s.Server = grpc.NewServer(append(o.KeepAlive.options(),
		grpc.Creds(shaken{s.arriving}),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.NumStreamWorkers(workers),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
		grpc.ForceServerCodecV2(newCodec(&s.unsent, s.calls)),
		grpc.MaxRecvMsgSize(o.Limits.RequestBytes+overheadBytes),
		grpc.MaxSendMsgSize(math.MaxInt32), // a range is as large as the client asks for
		grpc.MaxConcurrentStreams(cmp.Or(o.Limits.Streams, s.rooms.most())),
		grpc.ChainUnaryInterceptor(s.calls.unary, s.unary, keys.encoded),
		grpc.ChainStreamInterceptor(s.calls.stream, s.stream),
	)...)
	s.Gateway = gateway.New(gateway.Options{
		Unary: s.unary, Stream: s.stream, MessageBytes: o.Limits.RequestBytes + overheadBytes, Wait: s.unsent.wait,
		Bodies: gate.New(o.Limits.Requests, queueing*o.Limits.Requests, 0), Patience: o.Limits.RequestTimeout,
	})
	pb.RegisterKVServer(s, keys)
	pb.RegisterLeaseServer(s, &leaseServer{Server: s})
	pb.RegisterWatchServer(s, &watchServer{Server: s})
	pb.RegisterClusterServer(s, &clusterServer{Server: s})
	pb.RegisterMaintenanceServer(s, &maintenanceServer{Server: s})
	pb.RegisterAuthServer(s, &authServer{Server: s})
	queues := &turns{Server: s, keys: keys, leases: &leaseServer{Server: s}}
	lockpb.RegisterLockServer(s, &lockServer{turns: queues})
	lockpb.RegisterElectionServer(s, &electionServer{turns: queues})
	healthpb.RegisterHealthServer(s, s.health)
	s.SetReady(false)
	return s
}

// RegisterService implements grpc.ServiceRegistrar: what one kind of client can
// call the other can too.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	s.calls.register(desc)
	s.Server.RegisterService(desc, impl)
	s.Gateway.RegisterService(desc, impl)
}

// SetReady says what grpc.health.v1 answers: whether clients should be sent here.
func (s *Server) SetReady(ready bool) {
	serving := healthpb.HealthCheckResponse_NOT_SERVING
	if ready {
		serving = healthpb.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", serving)
}

// unary lets a call in if there is room and this node may answer it.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	taken(ctx, req)
	room := s.rooms.of(info.FullMethod)
	if !room.Try() && !s.wait(ctx, room, req) {
		return nil, certain(rpctypes.ErrGRPCRequestTooManyRequests)
	}
	defer room.Leave()
	if s.Learner() && !forLearners(req) {
		return nil, certain(rpctypes.ErrGRPCNotSupportedForLearner)
	}
	if err := s.leaderRequired(ctx); err != nil {
		return nil, err
	}
	if err := s.admit(ctx, info.FullMethod, req); err != nil {
		return nil, err
	}
	if !forOthers[info.FullMethod] {
		return next(ctx, req)
	}
	err = s.lasting(ctx, func(ctx context.Context) error {
		answer, err = next(ctx, req)
		return err
	})
	return answer, err
}

// forLearners are the calls that need no vote: what a learner knows may be old.
func forLearners(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest, *healthpb.HealthCheckRequest:
		return true
	case *pb.RangeRequest:
		return r.Serializable
	}
	return false
}

// stream lets a stream in, likewise. None waits for another to end: they are meant to
// stay.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !s.rooms.streams.Try() {
		return status.Errorf(codes.ResourceExhausted, "quorate: %d streams are open, %d for each of --max-requests: close some, or raise it", s.rooms.streams.Places(), streams)
	}
	defer s.rooms.streams.Leave()
	if s.Learner() && info.FullMethod != healthpb.Health_Watch_FullMethodName && info.FullMethod != pb.Maintenance_Snapshot_FullMethodName {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	if err := s.leaderRequired(ss.Context()); err != nil {
		return err
	}
	if err := s.admit(ss.Context(), info.FullMethod, nil); err != nil {
		return err
	}
	return s.lasting(ss.Context(), func(ctx context.Context) error {
		return next(srv, &endingStream{ServerStream: ss, ctx: ctx})
	})
}

// lasting makes a call that only its client ends, or this node: when it closes or,
// if the client requires one, has had no leader for long.
func (s *Server) lasting(client context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(client)
	defer cancel(nil)
	defer context.AfterFunc(s.open, func() { cancel(rpctypes.ErrGRPCStopped) })()
	if requiresLeader(ctx) {
		go s.endWithoutLeader(ctx, cancel)
	}
	err := call(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && client.Err() == nil {
		return cause
	}
	return err
}

// patience is how many election timeouts a stream that requires a leader may be
// without one: to begin it anew elsewhere costs more than to refuse a call.
const patience = 3

// endWithoutLeader ends a stream when there has been no leader for long.
func (s *Server) endWithoutLeader(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(s.Limits.Election)
	defer tick.Stop()
	for missing := 0; missing < patience; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		missing++
		if leader, _ := s.Group.Leader(); leader != 0 {
			missing = 0
		}
	}
	cancel(rpctypes.ErrGRPCNoLeader)
}

// endingStream is a stream that this node may end.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *endingStream) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream.
func (s *endingStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		taken(s.ctx, m)
	}
	return err
}

// Close lets calls in progress end, until ctx does, and ends those streams that
// only their clients would. It reports whether all of them came to their end.
func (s *Server) Close(ctx context.Context) bool {
	s.SetReady(false)
	s.end()
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		s.GracefulStop()
	}()
	select {
	case <-graceful:
		return true
	case <-ctx.Done():
		s.Stop()
		<-graceful
		return false
	}
}

// leaderRequired refuses a client that would rather ask elsewhere than wait for
// a leader here.
func (s *Server) leaderRequired(ctx context.Context) error {
	if leader, _ := s.Group.Leader(); leader == 0 && requiresLeader(ctx) {
		return certain(rpctypes.ErrGRPCNoLeader)
	}
	return nil
}

func requiresLeader(ctx context.Context) bool {
	wish := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)
	return len(wish) > 0 && wish[0] == rpctypes.MetadataHasLeader
}

// header is that of an answer at a revision of the store.
func (s *Server) header(revision int64) *pb.ResponseHeader {
	_, term := s.Group.Leader()
	return &pb.ResponseHeader{ClusterId: s.ClusterID, MemberId: uint64(s.MemberID), RaftTerm: uint64(term), Revision: revision}
}
