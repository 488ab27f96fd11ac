package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/goal"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// web is a server as JSON clients see it.
type web struct{ url string }

// said is what a server answers over HTTP.
type said struct {
	status int
	kind   string // the content type
	body   string
}

// send sends a request and reads the answer to its end or, of one without an end,
// as many lines as are asked for. Headers are "Name: value".
func (w web) send(t *testing.T, method, path, body string, lines int, headers ...string) said {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out := said{status: resp.StatusCode, kind: resp.Header.Get("Content-Type")}
	from := bufio.NewReader(resp.Body)
	for n := 0; lines == 0 || n < lines; n++ {
		line, err := from.ReadString('\n')
		out.body += alike(t, line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return out
}

// alike leaves out of a line of JSON who answered, and in what white space;
// docs/etcd-compat.md lists the details. Other lines it leaves alone.
func alike(t *testing.T, line string) string {
	t.Helper()
	var value map[string]any
	if json.Unmarshal([]byte(line), &value) != nil {
		return line
	}
	anonymize(value)
	if value["code"] != nil {
		delete(value, "details")
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\u00a0", " ") + "\n"
}

func anonymize(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range []string{"cluster_id", "member_id", "raft_term"} {
			delete(v, name)
		}
		for _, inner := range v {
			anonymize(inner)
		}
	case []any:
		for _, inner := range v {
			anonymize(inner)
		}
	}
}

// both starts the two servers, empty.
func both(t *testing.T) (etcd, quorate web) {
	t.Helper()
	e, q := startEtcd(t), ""
	addresses, _ := startQuorate(t, 1)
	q = addresses[0]
	dial(t, e)
	dial(t, q)
	return web{"http://" + e}, web{"http://" + q}
}

// script is sent in this order. What differs on purpose is listed in
// docs/etcd-compat.md and not here.
var script = []struct {
	method, path, body string
	headers            []string
}{
	{"POST", "/v3/kv/put", `{"key":"Zm9v","value":"YmFy"}`, nil},
	{"POST", "/v3/kv/put", `{"key":"Zm9v","value":"YmF6","prev_kv":true}`, nil},
	{"POST", "/v3/kv/put", `{"key":"Zm9v","value":"PGE+Jg==","prevKv":true}`, nil},
	{"POST", "/v3/kv/put", `{"key":"_-8","value":"_-8="}`, nil},
	{"POST", "/v3/kv/put", `{"key":"Zm9v","lease":"5"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"AA==","range_end":"AA=="}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","sort_order":"DESCEND","sort_target":"MOD"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","sort_order":"SIDEWAYS"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","sort_order":7}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","limit":1e1,"revision":"2"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","limit":1.5}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","revision":77}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","limit":"99999999999999999999"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","limit":99999999999999999999}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","unknown":[{"x":1}]}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","key":"Zm9v"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","count_only":"true"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"} garbage`, nil},
	{"POST", "/v3/kv/range", `{"key":"***"}`, nil},
	{"POST", "/v3/kv/range", `{"key":5}`, nil},
	{"POST", "/v3/kv/range", `{"key":null}`, nil},
	{"POST", "/v3/kv/range", "{\"key\":\"\xff\"}", nil},
	{"POST", "/v3/kv/range", ``, nil},
	{"POST", "/v3/kv/range", ` `, nil},
	{"POST", "/v3/kv/range", `{`, nil},
	{"POST", "/v3/kv/range", `{"key"}`, nil},
	{"POST", "/v3/kv/range", `[]`, nil},
	{"POST", "/v3/kv/range", `null`, nil},
	{"POST", "/v3/kv/range", `"text"`, nil},
	{"POST", "/v3/kv/range", `nonsense`, nil},
	{"POST", "/v3/kv/range", strings.Repeat("[", 20000), nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"}`, []string{"Content-Type: text/html", "Accept: image/png"}},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"}`, []string{"Grpc-Timeout: 10S", "Grpc-Metadata-Hasleader: true"}},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"}`, []string{"Grpc-Timeout: 5x"}},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"}`, []string{"Grpc-Timeout: 1n"}},
	{"POST", "/v3/kv/range", `{"key":"Zm9v"}`, []string{"Authorization: nobody"}},
	{"POST", "/v3/kv/put", `{"key":"Zm9v","value":"` + strings.Repeat("AAAA", 1<<19) + `"}`, nil},   // beyond the limit of a request
	{"POST", "/v3/kv/put", `{"key":"Zm9v","value":"` + strings.Repeat("AAAA", 800_000) + `"}`, nil}, // beyond that of a message
	{"POST", "/v3/kv/txn", `{"compare":[{"key":"Zm9v","target":"VALUE","value":"PGE+Jg=="},{"key":"bm8=","target":"CREATE","create_revision":"0"}],
		"success":[{"request_put":{"key":"Zm9v","value":"MQ=="}},{"requestRange":{"key":"Zm9v"}},{"request_txn":{"success":[{"request_delete_range":{"key":"_-8=","prev_kv":true}}]}}],
		"failure":[{"request_range":{"key":"Zm9v"}}]}`, nil},
	{"POST", "/v3/kv/txn", `{"compare":[{"key":"Zm9v","target":"VALUE","result":"LESS","value":"MA=="}],"failure":[{"request_range":{"key":"Zm9v"}}]}`, nil},
	{"POST", "/v3/kv/txn", `{"success":[{"request_put":{"key":"Zm9v"},"request_range":{"key":"Zm9v"}}]}`, nil},
	{"POST", "/v3/kv/txn", `{"compare":[{"version":1,"lease":2}]}`, nil},
	{"POST", "/v3/kv/txn", `{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}`, nil},
	{"POST", "/v3/kv/txn", `{"success":[{}]}`, nil},
	{"POST", "/v3/kv/txn", `{"success":{}}`, nil},
	{"POST", "/v3/kv/txn", `{"success":[` + strings.Repeat(`{"request_range":{"key":"YQ=="}},`, 128) + `{"request_range":{"key":"YQ=="}}]}`, nil},
	{"POST", "/v3/kv/deleterange", `{"key":"Zm9v","prev_kv":true}`, nil},
	{"POST", "/v3/kv/deleterange", `{"key":"Zm9v"}`, nil},
	{"POST", "/v3/kv/compaction", `{"revision":"3"}`, nil},
	{"POST", "/v3/kv/compaction", `{"revision":"3"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","revision":"2"}`, nil},
	{"POST", "/v3beta/kv/range", `{"key":"Zm9v"}`, nil},
	{"POST", "/v3/maintenance/alarm", `{}`, nil},
	{"POST", "/v3/maintenance/alarm", `{"action":"GET","alarm":"NOSPACE"}`, nil},
	{"POST", "/v3/maintenance/defragment", `{}`, nil},
	{"POST", "/v3/cluster/member/add", `{"peerURLs":["nonsense"]}`, nil},
	{"POST", "/v3/cluster/member/remove", `{"ID":"5"}`, nil},
	{"POST", "/v3/cluster/member/remove", `{"ID":-5}`, nil},
	{"POST", "/v3/maintenance/snapshot", `{`, nil},
	{"POST", "/v3/auth/user/add", "{\"name\":\"\xff\",\"password\":\"p\"}", nil}, // a string, which bytes in JSON are not
	{"POST", "/v3/auth/user/add", `{"name":"","password":"p"}`, nil},
	{"POST", "/v3/lease/revoke", `{"ID":"-9"}`, nil},
	{"POST", "/v3/lease/timetolive", `{"ID":"9"}`, nil},
	{"POST", "/v3/lease/grant", `{"ID":"9","TTL":"9000000001"}`, nil},
	{"POST", "/v3/lease/grant", `{"ID":"x"}`, nil},
	{"POST", "/v3/kv/range", `{"key":"Zm9v","revision":"-7"}`, nil},
	{"POST", "/v3/kv/put", `{"value":"Zm9v"}`, nil},
	{"GET", "/v3/kv/range", ``, nil},
	{"HEAD", "/v3/kv/range", ``, nil},
	{"PUT", "/v3/kv/range", `{"key":"Zm9v"}`, nil},
	{"DELETE", "/v3/watch", ``, nil},
	{"GET", "/v3/watch", ``, nil},
	{"POST", "/v3/kv/nothing", `{}`, nil},
	{"POST", "/v3/kv/range/", `{}`, nil},
	{"POST", "/v3/", `{}`, nil},
	{"POST", "/v3/kv/%72ange", `{"key":"Zm9v"}`, nil},
	{"GET", "/v3", ``, nil},
	{"GET", "/health", ``, nil},
	{"GET", "/health?serializable=true&exclude=NOSPACE&exclude=CORRUPT", ``, nil},
	{"GET", "/livez", ``, nil},
	{"GET", "/livez?verbose", ``, nil},
	{"GET", "/livez/serializable_read?verbose=1", ``, nil},
	{"GET", "/readyz", ``, nil},
	{"GET", "/readyz?exclude=data_corruption&exclude=non_learner&exclude=linearizable_read&exclude=new&verbose", ``, nil},
	{"GET", "/readyz/data_corruption", ``, nil},
	{"GET", "/readyz/linearizable_read", ``, nil},
	{"GET", "/readyz/non_learner", ``, nil},
}

func TestSameJSON(t *testing.T) {
	etcd, quorate := both(t)
	differences := 0
	compare := func(method, path, body string, lines int, headers ...string) {
		t.Helper()
		want, got := etcd.send(t, method, path, body, lines, headers...), quorate.send(t, method, path, body, lines, headers...)
		if want != got {
			differences++
			t.Errorf("%s %s %.200s\netcd    %d %s %s\nquorate %d %s %s", method, path, body, want.status, want.kind, want.body, got.status, got.kind, got.body)
		}
	}
	for _, s := range script {
		compare(s.method, s.path, s.body, 0, s.headers...)
	}
	compare("POST", "/v3/watch", `{"create_request":{"key":"Zm9v","start_revision":"4","prev_kv":true}}`, 2)
	compare("POST", "/v3/watch", `{"create_request":{"key":"AA==","range_end":"AA==","start_revision":"4","filters":["NODELETE"],"watch_id":"9"}}`, 2)
	compare("POST", "/v3/watch", `{"create_request":{"key":"Zm9v","start_revision":"2"}}`, 2) // compacted
	compare("POST", "/v3/watch", `{"create_request":{"key":"Zm9v","start_revision":"-1"}}`, 1)
	compare("POST", "/v3/watch", `{"create_request":{"key":"Yg==","range_end":"YQ=="}}`, 1)
	compare("POST", "/v3/watch", `{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}} {"cancel_request":{"watch_id":"1"}}`, 3)
	goal.AtMost(os.Stdout, "json_script_differences", float64(differences), 0)
}

// What Patroni asks, in the order in which it does.
func TestPatroniSequence(t *testing.T) {
	etcd, quorate := both(t)
	want, got := patroni(t, etcd), patroni(t, quorate)
	for i := range want {
		if want[i] != got[i] {
			t.Errorf("step %d\netcd    %s\nquorate %s", i, want[i], got[i])
		}
	}
}

func patroni(t *testing.T, w web) (transcript []string) {
	var version struct{ EtcdCluster string }
	if err := json.Unmarshal([]byte(w.send(t, "GET", "/version", "", 0).body), &version); err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Members []struct{ ClientURLs []string }
	}
	if err := json.Unmarshal([]byte(w.send(t, "POST", "/v3/cluster/member/list", "{}", 0).body), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed.Members) != 1 || !slices.Equal(listed.Members[0].ClientURLs, []string{w.url}) {
		t.Errorf("%s: members %v", w.url, listed.Members)
	}
	transcript = append(transcript, version.EtcdCluster)
	say := func(path, body string) {
		transcript = append(transcript, fmt.Sprint(w.send(t, "POST", path, body, 0)))
	}
	resp, err := http.Post(w.url+"/v3/watch", "application/json",
		strings.NewReader(`{"create_request":{"key":"L3NlcnZpY2Uv","range_end":"L3NlcnZpY2Uw","progress_notify":true,"start_revision":"2"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	hear := func() {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		transcript = append(transcript, alike(t, line))
	}
	hear()
	prefix := `{"key":"L3NlcnZpY2Uv","range_end":"L3NlcnZpY2Uw","serializable":true}`
	take := `{"compare":[{"key":"L3NlcnZpY2UvbGVhZGVy","target":"CREATE","result":"EQUAL","create_revision":"0"}],
		"success":[{"request_put":{"key":"L3NlcnZpY2UvbGVhZGVy","value":"YQ==","lease":"30"}}],"failure":[{"request_range":{"key":"L3NlcnZpY2UvbGVhZGVy"}}]}`
	say("/v3/kv/range", prefix)
	say("/v3/kv/txn", take) // before there is the lease
	say("/v3/lease/grant", `{"ID":"30","TTL":"30"}`)
	say("/v3/kv/txn", take)
	hear()
	say("/v3/kv/txn", take)
	say("/v3/lease/keepalive", `{"ID":"30"}`)
	say("/v3/lease/keepalive", `{"ID":"31"}`) // has ended
	say("/v3/kv/put", `{"key":"L3NlcnZpY2UvY29uZmln","value":"e30="}`)
	hear()
	say("/v3/kv/txn", `{"compare":[{"key":"L3NlcnZpY2UvbGVhZGVy","target":"MOD","result":"EQUAL","mod_revision":"2"}],
		"success":[{"request_delete_range":{"key":"L3NlcnZpY2UvbGVhZGVy"}}]}`)
	hear()
	say("/v3/kv/deleterange", `{"key":"L3NlcnZpY2Uv","range_end":"L3NlcnZpY2Uw"}`)
	hear()
	say("/v3/kv/range", prefix)
	return transcript
}

// TestSameRandomJSON sends randomized requests as JSON, and spoils some of them.
func TestSameRandomJSON(t *testing.T) {
	etcd, quorate := both(t)
	differences, done := 0, 0
	outcomes := make(map[string]int)
	revision := int64(1)
	for ; done < *sequences && differences == 0; done++ {
		d := drawing{rand.New(rand.NewPCG(*seed+uint64(done), 1)), revision, true}
		for range requestsPerSequence {
			path, body := d.json(t)
			want, got := etcd.send(t, "POST", path, body, 0), quorate.send(t, "POST", path, body, 0)
			if want != got {
				differences++
				t.Errorf("seed %d: %s %s\netcd    %d %s %s\nquorate %d %s %s", *seed+uint64(done), path, body, want.status, want.kind, want.body, got.status, got.kind, got.body)
				break // from here on the stores may differ
			}
			d.revision = max(d.revision, want.revision())
			outcomes[fmt.Sprintf("%s %d", path, want.status)]++
		}
		revision = d.revision
	}
	goal.AtMost(os.Stdout, "json_differences", float64(differences), 0)
	goal.AtLeast(os.Stdout, "json_sequences", float64(done), 5000)
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[o], o)
	}
}

// revision is that in the header of an answer, if it has one.
func (s said) revision() int64 {
	var out struct{ Header struct{ Revision string } }
	if json.Unmarshal([]byte(s.body), &out) != nil {
		return 0
	}
	n, err := strconv.ParseInt(out.Header.Revision, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// json draws a request as JSON.
func (d drawing) json(t *testing.T) (path, body string) {
	t.Helper()
	for {
		request := d.request()
		switch request.(type) {
		case *pb.RangeRequest:
			path = "/v3/kv/range"
		case *pb.PutRequest:
			path = "/v3/kv/put"
		case *pb.DeleteRangeRequest:
			path = "/v3/kv/deleterange"
		case *pb.TxnRequest:
			path = "/v3/kv/txn"
		case *pb.CompactionRequest:
			path = "/v3/kv/compaction"
		default:
			continue // a stream that has no path
		}
		text, err := protojson.MarshalOptions{UseProtoNames: d.one(2), UseEnumNumbers: d.one(2), EmitUnpopulated: d.one(4)}.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		if !d.one(3) {
			return path, string(text)
		}
		spoilt := d.spoil(text)
		if harmless(request, spoilt) {
			return path, string(spoilt)
		}
	}
}

// spoil makes a body that is most likely not what it should be.
func (d drawing) spoil(text []byte) []byte {
	text = bytes.Clone(text)
	at := d.IntN(len(text))
	switch d.IntN(5) {
	case 0:
		return text[:at]
	case 1:
		text[at] = byte(d.IntN(256))
		return text
	case 2:
		return slices.Insert(text, at, []byte(`{}[]",:0-x\`)[d.IntN(11)])
	case 3:
		values := []string{`"***"`, `"YQ"`, `1e400`, `-1`, `18446744073709551616`, `"9223372036854775808"`, `true`, `null`, `{}`, `[]`, `[1]`, `"\ud800"`}
		names := []string{"key", "value", "limit", "revision", "lease", "compare", "success", "sort_order", "physical", "other"}
		text = bytes.TrimPrefix(text, []byte("{"))
		return append(fmt.Appendf(nil, `{%q: %s,`, names[d.IntN(len(names))], values[d.IntN(len(values))]), text...)
	}
	return append(text, ' ', text[at])
}

// harmless reports whether a body that was spoilt is refused, or means what it meant,
// or something that etcd and quorate agree on: in a transaction or a compaction it
// might be what docs/etcd-compat.md lists.
func harmless(was proto.Message, spoilt []byte) bool {
	is := was.ProtoReflect().New().Interface()
	var value json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(spoilt)).Decode(&value); err != nil {
		return !errors.Is(err, io.EOF)
	}
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(value, is) != nil || proto.Equal(was, is) {
		return true
	}
	switch is.(type) {
	case *pb.TxnRequest, *pb.CompactionRequest:
		return false
	}
	return true
}
