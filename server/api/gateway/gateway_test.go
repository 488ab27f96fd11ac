package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/quorate-db/quorate/server/api/gate"
)

// keys answers a range with what it was asked; its other methods are not there.
type keys struct {
	pb.UnimplementedKVServer
}

func (k *keys) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	switch {
	case len(r.Key) == 0:
		return nil, rpctypes.ErrGRPCEmptyKey
	case r.Revision == 9:
		return nil, rpctypes.ErrGRPCFutureRev
	}
	md, _ := metadata.FromIncomingContext(ctx)
	value := strings.Join(append(md.Get("authorization"), md.Get("hasleader")...), " ")
	return &pb.RangeResponse{Count: 1 << 60, Kvs: []*mvccpb.KeyValue{{Key: r.Key, Value: []byte(value), Lease: r.Limit}}}, nil
}

const messageBytes = 1000

func uncounted(int) func() { return func() {} }

// serve returns the address of a gateway to some services.
func serve(t *testing.T, register func(grpc.ServiceRegistrar)) string {
	t.Helper()
	g := New(Options{
		Unary: func(ctx context.Context, r any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if info.FullMethod == pb.KV_Compact_FullMethodName {
				return nil, status.Error(codes.Unauthenticated, "not so")
			}
			return next(ctx, r)
		},
		Stream: func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, s)
		},
		MessageBytes: messageBytes, Bodies: gate.New(1, 0, 0), Wait: uncounted,
	})
	register(g)
	web := httptest.NewServer(g)
	t.Cleanup(web.Close)
	return web.URL
}

// ask sends a request, headers being "Name: value", and returns status and body.
func ask(t *testing.T, method, url string, body io.Reader, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" && len(text) > 0 {
		t.Errorf("%s is of type %s", text, kind)
	}
	return resp.StatusCode, plain(string(text))
}

// plain makes the white space in protobuf's errors one kind: which it is differs
// from build to build.
func plain(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

func TestCalls(t *testing.T) {
	url := serve(t, func(s grpc.ServiceRegistrar) { pb.RegisterKVServer(s, &keys{}) })
	const found = `{"kvs":[{"key":"YQ=="}],"count":"1152921504606846976"}`
	cases := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/v3/kv/range", `{"key":"YQ=="}`, 200, found},
		{"POST", "/v3beta/kv/range", `{"key":"YQ==","unknown":{"x":[]}}`, 200, found},
		{"POST", "/v3/kv/range", `{"key":"YQ"} and more`, 200, found},
		{"POST", "/v3/kv/range", `{"key":"YQ==","sort_order":"DESCEND","sortTarget":1}`, 200, found},
		{"POST", "/v3/kv/range", `{"key":"YQ==","limit":"-3"}`, 200, `{"kvs":[{"key":"YQ==","lease":"-3"}],"count":"1152921504606846976"}`},
		{"POST", "/v3/kv/range", ``, 400, `{"code":3,"message":"etcdserver: key is not provided"}`},
		{"POST", "/v3/kv/range", `{"key":"YQ==","revision":"9"}`, 400, `{"code":11,"message":"etcdserver: mvcc: required revision is a future revision"}`},
		{"POST", "/v3/kv/range", `{"key"`, 400, `{"code":3,"message":"unexpected EOF"}`},
		{"POST", "/v3/kv/range", `{"key":"***"}`, 400, `{"code":3,"message":"proto: (line 1:8): invalid value for bytes field key: \"***\""}`},
		{"POST", "/v3/kv/range", `[]`, 400, `{"code":3,"message":"proto: syntax error (line 1:1): unexpected token ["}`},
		{"POST", "/v3/kv/put", `{}`, 501, `{"code":12,"message":"method Put not implemented"}`},
		{"POST", "/v3/kv/compaction", `{}`, 401, `{"code":16,"message":"not so"}`},
		{"POST", "/v3/watch", `{}`, 501, `{"code":12,"message":"unknown service etcdserverpb.Watch"}`},
		{"GET", "/v3/kv/range", ``, 501, `{"code":12,"message":"Method Not Allowed"}`},
		{"POST", "/v3/kv/nothing", `{}`, 404, `{"code":5,"message":"Not Found"}`},
	}
	for _, c := range cases {
		if status, body := ask(t, c.method, url+c.path, strings.NewReader(c.body)); status != c.status || body != c.want {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, status, body, c.status, c.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	url := serve(t, func(s grpc.ServiceRegistrar) { pb.RegisterKVServer(s, &keys{}) }) + "/v3/kv/range"
	cases := []struct {
		headers []string
		status  int
		want    string
	}{
		{[]string{"Authorization: T", "Grpc-Metadata-Hasleader: true"}, 200, `"value":"VCB0cnVl"`}, // "T true"
		{[]string{"Grpc-Timeout: 1H"}, 200, `"count"`},
		{[]string{"Grpc-Timeout: 99999999H"}, 200, `"count"`},
		{[]string{"Grpc-Timeout: 999999999H"}, 200, `"count"`},
		{[]string{"Grpc-Timeout: 9223372036854775807H"}, 200, `"count"`},
		{[]string{"Grpc-Timeout: 9223372036854775808H"}, 400, `{"code":3,"message":"invalid grpc-timeout: 9223372036854775808H"}`},
		{[]string{"Grpc-Timeout: 1n"}, 504, `{"code":4,"message":"context deadline exceeded"}`},
		{[]string{"Grpc-Timeout: 5x"}, 400, `{"code":3,"message":"invalid grpc-timeout: 5x"}`},
		{[]string{"Grpc-Timeout: S"}, 400, `{"code":3,"message":"invalid grpc-timeout: S"}`},
		{[]string{"Sec-Fetch-Site: cross-site"}, 403, `{"code":7,"message":"quorate: pages of other sites may not call this API"}`},
	}
	for _, c := range cases {
		if status, body := ask(t, "POST", url, strings.NewReader(`{"key":"YQ=="}`), c.headers...); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%v: %d %s, want %d %s", c.headers, status, body, c.status, c.want)
		}
	}
}

// counting counts what is read of a body without an end.
type counting struct {
	begin string
	read  int
}

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	copy(p, c.begin[min(c.read, len(c.begin)):])
	c.read += len(p)
	return len(p), nil
}

// However long a body is, no more of it is read than a request may have.
func TestLongBodies(t *testing.T) {
	g := New(Options{MessageBytes: messageBytes, Bodies: gate.New(1, 0, 0), Wait: uncounted})
	pb.RegisterKVServer(g, &keys{})
	long := &counting{begin: `{"key":"`}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("POST", "/v3/kv/range", long))
	if want := `{"code":8,"message":"quorate: received body larger than max (2000 bytes)"}`; w.Code != 429 || plain(w.Body.String()) != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if long.read > 4*messageBytes {
		t.Errorf("%d bytes were read", long.read)
	}
	// The body fits, the message in it does not.
	w = httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("POST", "/v3/kv/range", strings.NewReader(`{"key":"`+strings.Repeat("aaaa", 400)+`"}`)))
	if want := `{"code":8,"message":"grpc: received message larger than max (1203 vs. 1000)"}`; w.Code != 429 || plain(w.Body.String()) != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// during is a body, during whose first read something else happens.
type during struct {
	io.Reader
	first func()
}

func (d *during) Read(p []byte) (int, error) {
	if first := d.first; first != nil {
		d.first = nil
		first()
	}
	return d.Reader.Read(p)
}

// What is bounded here are the bodies that are read; calls are the interceptor's to
// count.
func TestTooManyRequests(t *testing.T) {
	g := New(Options{
		Unary: func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(ctx, r)
		},
		MessageBytes: messageBytes, Bodies: gate.New(1, 0, 0), Wait: uncounted,
	})
	pb.RegisterKVServer(g, &keys{})
	post := func(body io.Reader) (int, string) {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest("POST", "/v3/kv/range", body))
		return w.Code, plain(w.Body.String())
	}
	status, body := post(&during{strings.NewReader(`{"key":"YQ=="}`), func() {
		if status, body := post(strings.NewReader(`{}`)); status != 429 || body != `{"code":8,"message":"etcdserver: too many requests"}` {
			t.Errorf("%d %s", status, body)
		}
	}})
	if status != 200 {
		t.Errorf("the first was answered %d %s", status, body)
	}
}

// The paths are those that etcd's own description of its services gives.
func TestPaths(t *testing.T) {
	want := make(map[string]string)
	services := pb.File_rpc_proto.Services()
	for i := range services.Len() {
		for j := range services.Get(i).Methods().Len() {
			m := services.Get(i).Methods().Get(j)
			rule := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			for _, r := range append(rule.GetAdditionalBindings(), rule) {
				if r.GetPost() != "" {
					want[r.GetPost()] = "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
				}
			}
		}
	}
	others := 0
	for path, name := range paths {
		if !strings.HasPrefix(name, "/etcdserverpb.") {
			others++
		} else if want[path] != name {
			t.Errorf("%s is %s, want %s", path, name, want[path])
		}
	}
	if len(paths) != len(want)+7 || others != 7 {
		t.Errorf("%d paths, %d of them of locks and elections; want %d, 7", len(paths), others, len(want)+7)
	}
}
