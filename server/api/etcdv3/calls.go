package etcdv3

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// newCalls counts calls by how they ended, under the name and labels of the usual
// interceptors for Prometheus, which etcd's rules look at.
func newCalls() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "grpc_server_handled_total", Help: "Calls completed, whatever the outcome.",
	}, []string{"grpc_type", "grpc_service", "grpc_method", "grpc_code"})
}

func (s *Server) count(kind, fullMethod string, err error) {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	s.calls.WithLabelValues(kind, service, method, status.Code(err).String()).Inc()
}

// countUnary counts a call and what it ended in.
func (s *Server) countUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	out, err := next(ctx, req)
	s.count("unary", info.FullMethod, err)
	return out, err
}

// countStream counts a stream when it ends.
func (s *Server) countStream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	err := next(srv, ss)
	kind := "server_stream"
	if info.IsClientStream {
		kind = "bidi_stream"
	}
	s.count(kind, info.FullMethod, err)
	return err
}

// Calls are the counts of calls over gRPC.
func (s *Server) Calls() prometheus.Collector { return s.calls }
