package httpapi

import (
	"fmt"
	"github.com/quorate-db/quorate/server/api/wire"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPutGetDelete(t *testing.T) {
	_, web := serve(t, testLimits)
	value := "raw \x00\xff bytes\n"
	put := do(t, web, "PUT", "/v1/kv/greeting", value).want(t, 200)
	if got := decode[wire.Written](t, put); got.Revision != 2 || put.header.Get("ETag") != `"2"` || put.header.Get(wire.HeaderRevision) != "2" {
		t.Fatalf("the first write of a store of revision 1 was answered %+v with %v", got, put.header)
	}
	for _, path := range []string{"/v1/kv/greeting", "/v1/kv/greeting?consistency=stale", "/v1/kv/greeting?revision=2"} {
		got := do(t, web, "GET", path, "").want(t, 200)
		if got.body != value || got.header.Get("ETag") != `"2"` || got.header.Get(wire.HeaderRevision) != "2" {
			t.Errorf("GET %s: %q with %v", path, got.body, got.header)
		}
	}
	if head := do(t, web, "HEAD", "/v1/kv/greeting", "").want(t, 200); head.body != "" || head.header.Get("ETag") != `"2"` {
		t.Errorf("HEAD: %q with %v", head.body, head.header)
	}
	do(t, web, "GET", "/v1/kv/greeting", "", `If-None-Match: "2"`).want(t, 304)
	do(t, web, "GET", "/v1/kv/greeting", "", `If-None-Match: *`).want(t, 304)
	do(t, web, "GET", "/v1/kv/greeting", "", `If-Match: "2"`).want(t, 200)
	do(t, web, "GET", "/v1/kv/greeting", "", `If-Match: *`).want(t, 200)
	do(t, web, "GET", "/v1/kv/greeting", "", `If-Match: "1"`).problem(t, wire.PreconditionFailed)
	do(t, web, "GET", "/v1/kv/nothing", "", `If-Match: *`).problem(t, wire.PreconditionFailed)

	for _, deleted := range []bool{true, false} {
		got := decode[wire.Written](t, do(t, web, "DELETE", "/v1/kv/greeting", "").want(t, 200))
		if got.Deleted == nil || *got.Deleted != deleted || got.Revision != 3 {
			t.Errorf("DELETE: %+v, want deleted %v at revision 3", got, deleted)
		}
	}
	gone := do(t, web, "GET", "/v1/kv/greeting", "")
	gone.problem(t, wire.NotFound)
	if gone.header.Get(wire.HeaderRevision) != "3" {
		t.Errorf("an absent key was looked for at revision %q", gone.header.Get(wire.HeaderRevision))
	}
	if old := do(t, web, "GET", "/v1/kv/greeting?revision=2", "").want(t, 200); old.body != value {
		t.Errorf("history: %q", old.body)
	}
}

// A key is what stands in the path, byte by byte, whatever a path means elsewhere.
func TestKeysAreBytes(t *testing.T) {
	_, web := serve(t, testLimits)
	keys := []string{"a", "a/b", "a//b", "/a", "a/", "a/../b", ".", "..", "a b", "100%", "a?b=c#d", "a+b", "\x00", "\xff\xfe", "日本語", "a%2Fb"}
	for i, key := range keys {
		do(t, web, "PUT", "/v1/kv/"+url.PathEscape(key), fmt.Sprint(i)).want(t, 200)
	}
	for i, key := range keys {
		if got := do(t, web, "GET", "/v1/kv/"+url.PathEscape(key), "").want(t, 200); got.body != fmt.Sprint(i) {
			t.Errorf("key %q has the value of another: %s", key, got.body)
		}
	}
	// Unescaped slashes mean the same as escaped ones.
	for path, want := range map[string]string{"a/b": "1", "a//b": "2", "a/../b": "5", "/a": "3"} {
		if got := do(t, web, "GET", "/v1/kv/"+path, "").want(t, 200); got.body != want {
			t.Errorf("path %s: %s, want %s", path, got.body, want)
		}
	}
	listing := decode[wire.Listing](t, do(t, web, "GET", "/v1/kv", "").want(t, 200))
	if len(listing.KVs) != len(keys) {
		t.Errorf("%d keys are listed, want %d", len(listing.KVs), len(keys))
	}
}

func TestConditions(t *testing.T) {
	_, web := serve(t, testLimits)
	do(t, web, "PUT", "/v1/kv/k", "1", "If-Match: *").problem(t, wire.PreconditionFailed)
	do(t, web, "PUT", "/v1/kv/k", "1", "If-None-Match: *").want(t, 200)
	do(t, web, "PUT", "/v1/kv/k", "2", "If-None-Match: *").problem(t, wire.PreconditionFailed)
	do(t, web, "PUT", "/v1/kv/k", "2", `If-Match: "1"`).problem(t, wire.PreconditionFailed)
	do(t, web, "PUT", "/v1/kv/k", "2", `If-Match: "2"`).want(t, 200)
	do(t, web, "PUT", "/v1/kv/k", "3", "If-Match: *").want(t, 200)
	do(t, web, "DELETE", "/v1/kv/k", "", `If-Match: "3"`).problem(t, wire.PreconditionFailed)
	if got := do(t, web, "GET", "/v1/kv/k", "").want(t, 200); got.body != "3" || got.header.Get("ETag") != `"4"` {
		t.Fatalf("after refused writes: %q, %s", got.body, got.header.Get("ETag"))
	}
	do(t, web, "DELETE", "/v1/kv/k", "", `If-Match: "4"`).want(t, 200)
}

func TestBadRequests(t *testing.T) {
	_, web := serve(t, testLimits)
	long := strings.Repeat("k", testLimits.KeyBytes+1)
	for _, c := range []struct {
		method, path, body string
		header             string
		code               wire.Code
		says               string
	}{
		{"PUT", "/v1/kv/", "v", "", wire.Malformed, "empty"},
		{"GET", "/v1/kv/" + long, "", "", wire.KeyTooLarge, "--max-key-bytes"},
		{"PUT", "/v1/kv/" + long, "v", "", wire.KeyTooLarge, "64"},
		{"PUT", "/v1/kv/k", strings.Repeat("v", testLimits.ValueBytes+1), "", wire.ValueTooLarge, "--max-value-bytes"},
		{"PUT", "/v1/kv/k", "v", "If-Match: 5", wire.Malformed, "quotes"},
		{"PUT", "/v1/kv/k", "v", `If-Match: "05"`, wire.Malformed, "quotes"},
		{"PUT", "/v1/kv/k", "v", `If-None-Match: "5"`, wire.Malformed, "*"},
		{"PUT", "/v1/kv/k", "v", wire.HeaderSession + ": 12", wire.Malformed, wire.HeaderSequence},
		{"PUT", "/v1/kv/k", "v", wire.HeaderSequence + ": 12", wire.Malformed, wire.HeaderSession},
		{"PUT", "/v1/kv/k?timeout=soon", "v", "", wire.Malformed, "500ms"},
		{"PUT", "/v1/kv/k?timeout=-1s", "v", "", wire.Malformed, "timeout"},
		{"PUT", "/v1/kv/k?timeout=1ns", "v", "", wire.Malformed, "from 1ms to 1m0s"},
		{"PUT", "/v1/kv/k?timeout=2m", "v", "", wire.Malformed, "1m"},
		{"PUT", "/v1/kv/k?consistency=stale", "v", "", wire.Malformed, "consistency"},
		{"GET", "/v1/kv/k?consistency=strong", "", "", wire.Malformed, "linearizable"},
		{"GET", "/v1/kv/k?consistancy=stale", "", "", wire.Malformed, "consistancy"},
		{"GET", "/v1/kv/k?revision=0", "", "", wire.Malformed, "revision"},
		{"GET", "/v1/kv/k?revision=1&revision=2", "", "", wire.Malformed, "2 times"},
		{"GET", "/v1/kv/k?revision=99", "", "", wire.FutureRevision, wire.HeaderRevision},
		{"GET", "/v1/kv/k?revision=%zz", "", "", wire.Malformed, "query"},
		{"GET", "/v1/kv?limit=0", "", "", wire.Malformed, "limit"},
		{"GET", "/v1/kv?limit=100000", "", "", wire.Malformed, "10000"},
		{"GET", "/v1/kv?prefix=" + long + "k", "", "", wire.KeyTooLarge, "prefix"},
		{"POST", "/v1/kv/k", "v", "", wire.MethodNotAllowed, "DELETE and GET and PUT"},
		{"PUT", "/v1/status", "", "", wire.MethodNotAllowed, "GET"},
		{"GET", "/v2/kv/k", "", "", wire.UnknownPath, "/v1/"},
		{"DELETE", "/v1/sessions/xyz", "", "", wire.Malformed, "hexadecimal"},
		{"DELETE", "/v1/sessions/9", "", "", wire.SessionExpired, "POST /v1/sessions"},
		{"DELETE", "/v1/members/0", "", "", wire.Malformed, "zero"},
		{"POST", "/v1/members", "{", "", wire.Malformed, "JSON"},
		{"POST", "/v1/members", `{"name":"d","peer_url":"localhost"}`, "", wire.Malformed, "http://"},
		{"POST", "/v1/members", `{"peer_url":"http://h:1"}`, "", wire.Malformed, "name"},
		{"POST", "/v1/leader/transfer", `{"to":5}`, "", wire.Malformed, "JSON"},
		{"GET", "/v1/status?hash=1", "", "", wire.Malformed, "true or false"},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		p := do(t, web, c.method, c.path, c.body, headers...).problem(t, c.code)
		if !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s %.60s: %q does not say %q", c.method, c.path, p.Detail, c.says)
		}
	}
	if got := decode[wire.Listing](t, do(t, web, "GET", "/v1/kv", "").want(t, 200)); len(got.KVs) != 0 || got.Revision != 1 {
		t.Errorf("refused requests wrote something: %+v", got)
	}
}

// A value whose length is not announced is measured while it arrives.
func TestChunkedValueTooLarge(t *testing.T) {
	_, web := serve(t, testLimits)
	req, err := http.NewRequest("PUT", web.URL+"/v1/kv/k", io.MultiReader(strings.NewReader(strings.Repeat("v", 2000))))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Fatalf("status %d", resp.StatusCode)
	}
}

// A body cut short is not a shorter body.
func TestBodyCutShort(t *testing.T) {
	_, web := serve(t, testLimits)
	for _, framing := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		conn, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /v1/kv/k HTTP/1.1\r\nHost: x\r\n%s", framing)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400") || !strings.Contains(string(answer), "cut short") {
			t.Errorf("%q was answered %s", framing, answer)
		}
		conn.Close()
	}
	do(t, web, "GET", "/v1/kv/k", "").problem(t, wire.NotFound)
}

func TestSessionMakesARepeatedWriteCountOnce(t *testing.T) {
	_, web := serve(t, testLimits)
	session := decode[wire.Session](t, do(t, web, "POST", "/v1/sessions", "").want(t, 201))
	head := []string{wire.HeaderSession + ": " + session.ID.String(), wire.HeaderSequence + ": 1"}
	first := decode[wire.Written](t, do(t, web, "PUT", "/v1/kv/k", "1", head...).want(t, 200))
	do(t, web, "PUT", "/v1/kv/k", "2").want(t, 200)
	again := decode[wire.Written](t, do(t, web, "PUT", "/v1/kv/k", "1", head...).want(t, 200))
	if again.Revision != first.Revision {
		t.Errorf("the repeated write got revision %d, the first one %d", again.Revision, first.Revision)
	}
	if got := do(t, web, "GET", "/v1/kv/k", ""); got.body != "2" {
		t.Errorf("the repeated write was carried out again: %s", got.body)
	}
	do(t, web, "DELETE", "/v1/sessions/"+session.ID.String(), "").want(t, 204)
	do(t, web, "PUT", "/v1/kv/k", "3", head[0], wire.HeaderSequence+": 2").problem(t, wire.SessionExpired)
	if got := do(t, web, "GET", "/v1/kv/k", ""); got.body != "2" {
		t.Errorf("a write of a closed session was carried out: %s", got.body)
	}
}
