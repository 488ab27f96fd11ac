package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// bodyBytes is how much of a body is read for one message: base64 makes bytes a
// third longer, and fields have names.
func (g *Gateway) bodyBytes() int64 { return 2 * int64(g.MessageBytes) }

// decode reads the next JSON value into a message; io.EOF says that there is none.
// The first look is encoding/json's, as in etcd's gateway: many a client has seen
// its errors.
func (g *Gateway) decode(from *json.Decoder, in any) error {
	var value json.RawMessage
	if err := from.Decode(&value); err != nil {
		return err
	}
	m := in.(proto.Message)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(value, m); err != nil {
		return err
	}
	if size := proto.Size(m); size > g.MessageBytes {
		return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", size, g.MessageBytes)
	}
	return nil
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// badRequest is what a client is told of an error of decode.
func badRequest(err error, before string) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return status.Errorf(codes.ResourceExhausted, "quorate: received body larger than max (%d bytes)", large.Limit)
	}
	if status.Code(err) == codes.ResourceExhausted {
		return err
	}
	return status.Error(codes.InvalidArgument, before+err.Error())
}

// incoming is the context of a call: its metadata and its deadline travel in
// headers.
func incoming(r *http.Request) (context.Context, context.CancelFunc, error) {
	md := metadata.MD{}
	md.Append("authorization", r.Header.Values("Authorization")...)
	for name, values := range r.Header {
		if key, is := strings.CutPrefix(name, "Grpc-Metadata-"); is {
			md.Append(key, values...)
		}
	}
	ctx := metadata.NewIncomingContext(r.Context(), md)
	text := r.Header.Get("Grpc-Timeout")
	if text == "" {
		return ctx, func() {}, nil
	}
	timeout, err := parseTimeout(text)
	if err != nil {
		return nil, nil, status.Error(codes.InvalidArgument, "invalid grpc-timeout: "+text)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, nil
}

var timeUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// parseTimeout reads a timeout as gRPC writes it, digits and a unit; of digits gRPC has at
// most eight, and etcd's gateway does not mind.
func parseTimeout(text string) (time.Duration, error) {
	last := len(text) - 1
	unit := timeUnits[text[last]]
	n, err := strconv.ParseUint(text[:last], 10, 63)
	if err != nil || unit == 0 {
		return 0, fmt.Errorf("%q is no timeout", text)
	}
	// Hours beyond what a Duration holds are as good as none.
	return min(time.Duration(n), (1<<63-1)/unit) * unit, nil
}
