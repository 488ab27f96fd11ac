// Package gateway lets clients without gRPC call gRPC services: a POST of JSON at
// one of etcd's paths becomes a call, in this process, of the very service that
// gRPC clients reach, through the same interceptors; its answer becomes JSON, and
// that of a stream one object on each line. What is answered, down to the text of
// an error, is what etcd's own gateway answers; docs/etcd-compat.md lists where not.
//
// The gateway knows no service: whatever is registered with it can be called at
// the paths of paths.go, anything else there is answered Unimplemented.
//
// Reading order: paths.go, gateway.go (which method a request calls, and calls
// with one answer), decode.go, stream.go, errors.go.
package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/api/gate"
)

// Options is what a gateway is made of. All fields are needed.
type Options struct {
	// Unary and Stream are what a gRPC server calls around its handlers.
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor

	MessageBytes int // of the largest request, as a gRPC message

	// Bodies has a place for each request with one answer that is being read; others wait
	// for one, at most for Patience.
	Bodies   *gate.Gate
	Patience time.Duration

	// Wait is told of about how many bytes an answer will be, before it is made, and
	// what it returns is called when its client has taken it, or is gone.
	Wait func(bytes int) (sent func())
}

// Gateway is an http.Handler, and a grpc.ServiceRegistrar for what it calls.
type Gateway struct {
	Options
	methods map[string]method // by their full names
	origins *http.CrossOriginProtection
}

// method is how a method is called: one of the two is not nil.
type method struct {
	name   string
	impl   any
	unary  *grpc.MethodDesc
	stream *grpc.StreamDesc
}

// New returns a gateway to no service yet.
func New(o Options) *Gateway {
	return &Gateway{
		Options: o,
		methods: make(map[string]method),
		origins: http.NewCrossOriginProtection(),
	}
}

// RegisterService implements grpc.ServiceRegistrar. All services come before the
// first request.
func (g *Gateway) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for i := range desc.Methods {
		name := "/" + desc.ServiceName + "/" + desc.Methods[i].MethodName
		g.methods[name] = method{name: name, impl: impl, unary: &desc.Methods[i]}
	}
	for i := range desc.Streams {
		name := "/" + desc.ServiceName + "/" + desc.Streams[i].StreamName
		g.methods[name] = method{name: name, impl: impl, stream: &desc.Streams[i]}
	}
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, err := g.route(r)
	if err != nil {
		refuse(w, err)
		return
	}
	ctx, cancel, err := incoming(r)
	if err != nil {
		refuse(w, err)
		return
	}
	defer cancel()
	if m.stream != nil {
		g.answerStream(ctx, w, r, m)
		return
	}
	out, err := g.call(ctx, w, r, m)
	if err != nil {
		refuse(w, err)
		return
	}
	defer g.Wait(proto.Size(out) / 3 * 4)() // most of it is base64
	reply(w, http.StatusOK, out)
}

// route finds the method that a request calls.
func (g *Gateway) route(r *http.Request) (method, error) {
	path := r.URL.Path
	if old, is := strings.CutPrefix(path, "/v3beta/"); is {
		path = "/v3/" + old
	}
	name, known := paths[path]
	m, registered := g.methods[name]
	switch {
	case g.origins.Check(r) != nil:
		// No preflight asks before a form is sent, and a form can hold JSON.
		return method{}, status.Error(codes.PermissionDenied, "quorate: pages of other sites may not call this API")
	case !known:
		return method{}, status.Error(codes.NotFound, http.StatusText(http.StatusNotFound))
	case r.Method != http.MethodPost:
		return method{}, status.Error(codes.Unimplemented, http.StatusText(http.StatusMethodNotAllowed))
	case !registered:
		service, _, _ := strings.Cut(name[1:], "/")
		return method{}, status.Error(codes.Unimplemented, "unknown service "+service)
	}
	return m, nil
}

// call calls a method with one answer.
func (g *Gateway) call(ctx context.Context, w http.ResponseWriter, r *http.Request, m method) (proto.Message, error) {
	// The interceptor counts a call only once its body is in memory.
	if !g.Bodies.Try() && !g.wait(ctx) {
		return nil, rpctypes.ErrGRPCRequestTooManyRequests
	}
	read := sync.OnceFunc(g.Bodies.Leave)
	defer read()
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, g.bodyBytes()))
	control := http.NewResponseController(w)
	out, err := m.unary.Handler(m.impl, ctx, func(in any) error {
		defer read()
		if err := g.decode(body, in); err != nil && !isEnd(err) {
			return badRequest(err, "")
		}
		// The service knows how long it may take. What has no deadline needs none lifted.
		_ = control.SetWriteDeadline(time.Time{})
		return status.FromContextError(ctx.Err()).Err()
	}, g.Unary)
	_ = control.SetWriteDeadline(time.Now().Add(sendTime)) // likewise
	if err != nil {
		return nil, err
	}
	return out.(proto.Message), nil
}

// wait has a request wait until its body may be read, which meanwhile is its client's.
func (g *Gateway) wait(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, g.Patience)
	defer cancel()
	return g.Bodies.Wait(ctx, 0)
}
