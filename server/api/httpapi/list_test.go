package httpapi

import (
	"fmt"
	"github.com/quorate-db/quorate/server/api/wire"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func names(l wire.Listing) []string {
	var all []string
	for _, kv := range l.KVs {
		key, _ := kv.Bytes()
		all = append(all, string(key))
	}
	return all
}

func TestListRanges(t *testing.T) {
	_, web := serve(t, testLimits)
	for _, key := range []string{"a", "b/1", "b/2", "b/3", "c", "\xff\xff"} {
		do(t, web, "PUT", "/v1/kv/"+url.PathEscape(key), "v").want(t, 200)
	}
	for _, c := range []struct {
		query string
		want  []string
		more  bool
	}{
		{"", []string{"a", "b/1", "b/2", "b/3", "c", "\xff\xff"}, false},
		{"prefix=b/", []string{"b/1", "b/2", "b/3"}, false},
		{"prefix=b/&limit=2", []string{"b/1", "b/2"}, true},
		{"prefix=b/&start=b/2%00", []string{"b/3"}, false},
		{"prefix=b/&end=b/2", []string{"b/1"}, false},
		{"prefix=b/&end=%00", []string{"b/1", "b/2", "b/3"}, false},
		{"start=b/2&end=c", []string{"b/2", "b/3"}, false},
		{"start=c&end=b", nil, false},
		{"prefix=a&start=b", nil, false},
		{"prefix=%ff", []string{"\xff\xff"}, false},
		{"start=c", []string{"c", "\xff\xff"}, false},
		{"revision=3", []string{"a", "b/1"}, false},
		{"consistency=stale&limit=1", []string{"a"}, true},
	} {
		got := decode[wire.Listing](t, do(t, web, "GET", "/v1/kv?"+c.query, "").want(t, 200))
		if !slices.Equal(names(got), c.want) || got.More != c.more || got.Revision != 7 {
			t.Errorf("%s: %q, more %v, revision %d; want %q, %v, 7", c.query, names(got), got.More, got.Revision, c.want, c.more)
		}
	}
}

// Bytes that are not text come in base64, and only they.
func TestListShowsTextAsText(t *testing.T) {
	_, web := serve(t, testLimits)
	do(t, web, "PUT", "/v1/kv/%ff", "text").want(t, 200)
	do(t, web, "PUT", "/v1/kv/k", "\xfe\xff").want(t, 200)
	got := do(t, web, "GET", "/v1/kv", "").want(t, 200).body
	for _, want := range []string{`"key":"k"`, `"value_base64":"/v8="`, `"key_base64":"/w=="`, `"value":"text"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}

// A listing is cut by bytes as well as by keys, and can be gone on with.
func TestListIsCutByBytes(t *testing.T) {
	limits := testLimits
	limits.ValueBytes = MaxValueBytes
	_, web := serve(t, limits)
	value := strings.Repeat("v", 1<<20)
	for i := range 20 {
		do(t, web, "PUT", fmt.Sprintf("/v1/kv/k%02d", i), value).want(t, 200)
	}
	seen, start := 0, ""
	for page := 0; ; page++ {
		got := decode[wire.Listing](t, do(t, web, "GET", "/v1/kv?prefix=k&start="+url.QueryEscape(start), "").want(t, 200))
		if len(got.KVs) > 16 {
			t.Fatalf("one page has %d keys of 1 MiB", len(got.KVs))
		}
		seen += len(got.KVs)
		if !got.More {
			break
		}
		start = got.KVs[len(got.KVs)-1].Key + "\x00"
	}
	if seen != 20 {
		t.Errorf("%d keys in all pages, want 20", seen)
	}
}
