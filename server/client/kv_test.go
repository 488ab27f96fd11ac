package client

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
)

// A key is any bytes; on its way through a request line and a ServeMux, which
// cleans paths, none may change.
func TestKeysArriveAsTheyAre(t *testing.T) {
	var got []byte
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/kv/", func(w http.ResponseWriter, r *http.Request) {
		key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/kv/"))
		if err != nil {
			t.Error(err)
		}
		got = []byte(key)
		written(w, r)
	})
	c := connect(t, Config{}, serve(t, mux.ServeHTTP))
	for _, key := range []string{"a", "a/b", "/", "//", ".", "..", "a/../b", "a//b", "a?b#c", "%", "%2F", "a b+c", "键", "\x00\xff\n"} {
		if _, err := c.Put(t.Context(), []byte(key), nil); err != nil || string(got) != key {
			t.Errorf("the key %q arrived as %q, %v", key, got, err)
		}
	}
}

func TestConditionsAreHeaders(t *testing.T) {
	var match, none string
	c := connect(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		match, none = r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		written(w, r)
	}))
	if _, err := c.Put(t.Context(), []byte("k"), nil, IfRevision(12)); err != nil || match != `"12"` || none != "" {
		t.Errorf("If-Match %s, If-None-Match %s, %v", match, none, err)
	}
	if _, err := c.Put(t.Context(), []byte("k"), nil, IfAbsent()); err != nil || match != "" || none != "*" {
		t.Errorf("If-Match %s, If-None-Match %s, %v", match, none, err)
	}
}

func TestListReadsBytesFromEitherField(t *testing.T) {
	var asked url.Values
	c := connect(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		l := wire.Listing{Revision: 5, More: true, KVs: make([]wire.KV, 2)}
		l.KVs[0].SetBytes([]byte("text"), []byte("\xff"))
		l.KVs[1].SetBytes([]byte("\xfe"), nil)
		_ = json.NewEncoder(w).Encode(l)
	}))
	r := Range{Prefix: []byte("t\xff"), Limit: 2}
	l, err := c.List(t.Context(), r, At(5), Stale())
	if err != nil || len(l.KVs) != 2 || l.Revision != 5 || !l.More {
		t.Fatalf("list = %+v, %v", l, err)
	}
	if asked.Get("prefix") != "t\xff" || asked.Get("limit") != "2" || asked.Get("revision") != "5" || asked.Get("consistency") != "stale" {
		t.Errorf("asked for %v", asked)
	}
	if string(l.KVs[0].Key) != "text" || string(l.KVs[0].Value) != "\xff" || string(l.KVs[1].Key) != "\xfe" || len(l.KVs[1].Value) != 0 {
		t.Errorf("listed %v", l.KVs)
	}
	if next := l.Next(r); !bytes.Equal(next.Start, []byte("\xfe\x00")) {
		t.Errorf("goes on at %q, want just behind the last key", next.Start)
	}
}
