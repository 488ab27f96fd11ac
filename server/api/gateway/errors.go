package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// httpStatus says which status an error has over HTTP.
var httpStatus = map[codes.Code]int{
	codes.Canceled:           499, // nginx's: the client closed the request
	codes.Unknown:            http.StatusInternalServerError,
	codes.InvalidArgument:    http.StatusBadRequest,
	codes.DeadlineExceeded:   http.StatusGatewayTimeout,
	codes.NotFound:           http.StatusNotFound,
	codes.AlreadyExists:      http.StatusConflict,
	codes.PermissionDenied:   http.StatusForbidden,
	codes.Unauthenticated:    http.StatusUnauthorized,
	codes.ResourceExhausted:  http.StatusTooManyRequests,
	codes.FailedPrecondition: http.StatusBadRequest,
	codes.Aborted:            http.StatusConflict,
	codes.OutOfRange:         http.StatusBadRequest,
	codes.Unimplemented:      http.StatusNotImplemented,
	codes.Internal:           http.StatusInternalServerError,
	codes.Unavailable:        http.StatusServiceUnavailable,
	codes.DataLoss:           http.StatusInternalServerError,
}

func statusOf(s *status.Status) int {
	if code, ok := httpStatus[s.Code()]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// unmarshalable stands for an answer that has no JSON, such as a text that is not
// UTF-8.
var unmarshalable = []byte(`{"code":13,"message":"failed to marshal error message"}`)

// marshal writes fields under the names that etcd's clients know. protojson puts in
// white space that differs from build to build, so that nobody relies on it; here
// none is left.
func marshal(m proto.Message) ([]byte, error) {
	// A service may have encoded a part of its answer before, and put it in as fields
	// that are not known. On the wire nobody can tell, in JSON they would be missing.
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		wire, err := proto.Marshal(m)
		if err != nil {
			return nil, err
		}
		m = m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(wire, m); err != nil {
			return nil, err
		}
	}
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var tight bytes.Buffer
	tight.Grow(len(loose))
	err = json.Compact(&tight, loose)
	return tight.Bytes(), err
}

// reply sends a message as the whole answer.
func reply(w http.ResponseWriter, code int, m proto.Message) {
	body, err := marshal(m)
	if err != nil {
		code, body = http.StatusInternalServerError, unmarshalable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// The client may be gone; there is nobody left to tell.
	_, _ = w.Write(body)
}

// refuse sends an error as the whole answer.
func refuse(w http.ResponseWriter, err error) {
	s := status.Convert(err)
	if s.Code() == codes.Unauthenticated {
		w.Header().Set("WWW-Authenticate", s.Message())
	}
	reply(w, statusOf(s), s.Proto())
}
