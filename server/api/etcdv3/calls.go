package etcdv3

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// calls counts what comes over gRPC, under the names and labels of the usual
// interceptors for Prometheus, which etcd's rules and panels look at. A call costs a
// look-up and a few additions: Prometheus' own vectors would hash the labels each time.
type calls struct {
	methods map[string]*tally        // by their full names, from before the first call on
	seconds *prometheus.HistogramVec // nil: calls are not timed
	in, out atomic.Uint64            // bytes of messages
}

// tally counts the calls of one method.
type tally struct {
	labels  []string // as in methodLabels
	unary   bool
	started atomic.Uint64
	ended   [codes.Unauthenticated + 1]atomic.Uint64 // by code

	received, sent atomic.Uint64       // messages of streams; other calls have one of each
	seconds        prometheus.Observer // nil: calls are not timed
}

var methodLabels = []string{"grpc_type", "grpc_service", "grpc_method"}

func newCalls(timed bool) *calls {
	c := &calls{methods: make(map[string]*tally)}
	if timed {
		c.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grpc_server_handling_seconds", Help: "Seconds from a call's request to its end.", Buckets: prometheus.DefBuckets, // as etcd's
		}, methodLabels)
	}
	return c
}

// register makes the tallies of a service.
func (c *calls) register(desc *grpc.ServiceDesc) {
	add := func(kind, method string) {
		t := &tally{labels: []string{kind, desc.ServiceName, method}, unary: kind == "unary"}
		if c.seconds != nil {
			t.seconds = c.seconds.WithLabelValues(t.labels...)
		}
		c.methods["/"+desc.ServiceName+"/"+method] = t
	}
	for _, m := range desc.Methods {
		add("unary", m.MethodName)
	}
	for _, s := range desc.Streams {
		switch {
		case !s.ServerStreams:
			add("client_stream", s.StreamName)
		case !s.ClientStreams:
			add("server_stream", s.StreamName)
		default:
			add("bidi_stream", s.StreamName)
		}
	}
}

// unary counts a call and what it ended in.
func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	t := c.methods[info.FullMethod]
	began := t.begin()
	out, err := next(ctx, req)
	t.end(began, err)
	return out, err
}

// stream counts a stream, its messages, and what it ended in.
func (c *calls) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	t := c.methods[info.FullMethod]
	began := t.begin()
	err := next(srv, countedStream{ss, t})
	t.end(began, err)
	return err
}

// begin returns the time if it will be asked for.
func (t *tally) begin() (began time.Time) {
	t.started.Add(1)
	if t.seconds != nil {
		began = time.Now()
	}
	return began
}

func (t *tally) end(began time.Time, err error) {
	if t.seconds != nil {
		t.seconds.Observe(time.Since(began).Seconds())
	}
	t.ended[codeOf(err)].Add(1)
}

// codeOf is the code that grpc-go sends for an error.
func codeOf(err error) codes.Code {
	s, is := status.FromError(err)
	if !is {
		s = status.FromContextError(err)
	}
	if s.Code() > codes.Unauthenticated {
		return codes.Unknown
	}
	return s.Code()
}

// messages is how many came and went. A call that is no stream has its request as it
// starts, and its answer as it ends.
func (t *tally) messages(ended uint64) (received, sent uint64) {
	if t.unary {
		return t.started.Load(), ended
	}
	return t.received.Load(), t.sent.Load()
}

// countedStream counts the messages of a stream.
type countedStream struct {
	grpc.ServerStream
	tally *tally
}

// SendMsg implements grpc.ServerStream.
func (s countedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.tally.sent.Add(1)
	}
	return err
}

// RecvMsg implements grpc.ServerStream.
func (s countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.tally.received.Add(1)
	}
	return err
}

func callDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("grpc_server_"+name, help, append(methodLabels, more...), nil)
}

var (
	callsStarted  = callDesc("started_total", "Calls begun.")
	callsHandled  = callDesc("handled_total", "Calls completed, whatever the outcome.", "grpc_code")
	callsReceived = callDesc("msg_received_total", "Messages that came from clients.")
	callsSent     = callDesc("msg_sent_total", "Messages that went to clients.")

	bytesReceived = prometheus.NewDesc("etcd_network_client_grpc_received_bytes_total", "Bytes of messages that came from clients.", nil, nil)
	bytesSent     = prometheus.NewDesc("etcd_network_client_grpc_sent_bytes_total", "Bytes of messages that went to clients.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *calls) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{callsStarted, callsHandled, callsReceived, callsSent, bytesReceived, bytesSent} {
		out <- desc
	}
	if c.seconds != nil {
		c.seconds.Describe(out)
	}
}

// Collect implements prometheus.Collector. What never happened is there too, as zero:
// the first failure of a kind is to be seen as a change.
func (c *calls) Collect(out chan<- prometheus.Metric) {
	show := func(desc *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	for _, t := range c.methods {
		var ended uint64
		for code := range t.ended {
			n := t.ended[code].Load()
			ended += n
			show(callsHandled, n, append(t.labels[:len(t.labels):len(t.labels)], codes.Code(code).String())...)
		}
		received, sent := t.messages(ended)
		show(callsStarted, t.started.Load(), t.labels...)
		show(callsReceived, received, t.labels...)
		show(callsSent, sent, t.labels...)
	}
	if c.seconds != nil {
		c.seconds.Collect(out)
	}
	show(bytesReceived, c.in.Load())
	show(bytesSent, c.out.Load())
}

// Calls are the counts of calls over gRPC.
func (s *Server) Calls() prometheus.Collector { return s.calls }
