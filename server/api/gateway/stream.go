package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// sendTime is how long a client may take to make room for one message. One that
// reads nothing must not hold a stream forever.
const sendTime = time.Minute

// stream is a call in progress whose requests, or answers, are many. As with
// gRPC's own, one goroutine may send while another receives.
type stream struct {
	ctx     context.Context
	gateway *Gateway
	desc    *grpc.StreamDesc

	requests *json.Decoder
	body     allowance
	read     atomic.Bool // the body, to its end
	bad      error       // what was wrong with the only request of a call that has one

	writer  http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// answerStream calls a method with many requests or answers. It lasts as long as
// service and client like: the server's deadlines are for requests with an end.
func (g *Gateway) answerStream(ctx context.Context, w http.ResponseWriter, r *http.Request, m method) {
	s := &stream{ctx: ctx, gateway: g, desc: m.stream, writer: w, control: http.NewResponseController(w)}
	s.requests = json.NewDecoder(&s.body)
	if err := s.open(r); err != nil {
		refuse(w, err)
		return
	}
	info := &grpc.StreamServerInfo{FullMethod: m.name, IsClientStream: m.stream.ClientStreams, IsServerStream: m.stream.ServerStreams}
	err := g.Stream(m.impl, s, info, m.stream.Handler)
	if !s.read.Load() {
		// Whoever still waits for a request waits in vain, and net/http for them.
		_ = s.control.SetReadDeadline(time.Now())
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTime))
	switch {
	case err == nil:
	case s.bad != nil && !s.begun:
		refuse(w, err)
	default:
		failed := status.Convert(err)
		_ = s.write("error", failed.Proto(), statusOf(failed)) // the client may be gone
	}
}

// open says where requests come from. A body of known length is read first: then
// net/http has nothing left to read, and the connection serves the next request.
// Of any other, requests may still come while answers go.
func (s *stream) open(r *http.Request) error {
	if r.ContentLength < 0 {
		s.body.Reader = r.Body
		s.writer.Header().Set("Connection", "close")
		// What has no deadlines needs none lifted.
		_ = s.control.EnableFullDuplex()
		_ = s.control.SetReadDeadline(time.Time{})
		return nil
	}
	whole, err := io.ReadAll(http.MaxBytesReader(s.writer, r.Body, s.gateway.bodyBytes()))
	if err != nil {
		return badRequest(err, "")
	}
	s.body.Reader = bytes.NewReader(whole)
	s.read.Store(true)
	return nil
}

// SetHeader implements grpc.ServerStream; JSON clients are sent no metadata.
func (s *stream) SetHeader(metadata.MD) error { return nil }

// SendHeader implements grpc.ServerStream, likewise.
func (s *stream) SendHeader(metadata.MD) error { return nil }

// SetTrailer implements grpc.ServerStream, likewise.
func (s *stream) SetTrailer(metadata.MD) {}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }

// SendMsg implements grpc.ServerStream: one line, sent at once.
func (s *stream) SendMsg(m any) error {
	return s.write("result", m.(proto.Message), http.StatusOK)
}

func (s *stream) write(kind string, m proto.Message, code int) error {
	body, err := marshal(m)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if !s.begun {
		s.begun = true
		s.writer.Header().Set("Content-Type", "application/json")
		s.writer.WriteHeader(code)
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTime)) // as above
	_, err = fmt.Fprintf(s.writer, "{%q:%s}\n", kind, body)
	if err = errors.Join(err, s.control.Flush()); err != nil {
		return status.Error(codes.Unavailable, "the client cannot be written to: "+err.Error())
	}
	return nil
}

// RecvMsg implements grpc.ServerStream: the next JSON value of the body.
func (s *stream) RecvMsg(in any) error {
	s.body.left = s.gateway.bodyBytes()
	err := s.gateway.decode(s.requests, in)
	switch {
	case err == nil:
		return nil
	case isEnd(err):
		s.read.Store(true)
		if s.desc.ClientStreams {
			return io.EOF
		}
		return nil // no request is an empty one
	case s.desc.ClientStreams:
		return badRequest(err, "Failed to decode request: ")
	}
	s.bad = badRequest(err, "")
	return s.bad
}

// allowance reads no more than it is allowed for one message.
type allowance struct {
	io.Reader
	left int64 // bytes
}

// Read implements io.Reader.
func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, status.Error(codes.ResourceExhausted, "quorate: received a message larger than max")
	}
	n, err := a.Reader.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	return n, err
}
