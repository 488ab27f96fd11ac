package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// list answers GET /v1/kv.
func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel, query, err := s.query(r, "prefix", "start", "end", "limit", "revision", "consistency")
	if err != nil {
		return err
	}
	defer cancel()
	limit, err := listLimit(query)
	if err != nil {
		return err
	}
	for _, name := range []string{"prefix", "start", "end"} {
		// The place behind the largest key is one byte longer than a key may be.
		if n := len(query.Get(name)); n > s.Limits.KeyBytes+1 {
			return problem(wire.KeyTooLarge, fmt.Sprintf("%s has %d bytes, keys have at most %d (--max-key-bytes of quorate serve)", name, n, s.Limits.KeyBytes))
		}
	}
	revision, err := s.readable(ctx, query)
	if err != nil {
		return err
	}
	start, end := span(query)
	listing, err := s.collect(start, end, revision, limit)
	if err != nil {
		return err
	}
	w.Header().Set(wire.HeaderRevision, strconv.FormatUint(listing.Revision, 10))
	return reply(w, http.StatusOK, listing)
}

func listLimit(query url.Values) (int, error) {
	text := query.Get("limit")
	if text == "" {
		return wire.DefaultListKeys, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > wire.MaxListKeys {
		return 0, problem(wire.Malformed, fmt.Sprintf("limit=%q: write a whole number from 1 to %d", text, wire.MaxListKeys))
	}
	return n, nil
}

// span is where the prefix and the range from start to end meet. So a listing by
// prefix can go on behind its last key.
func span(query url.Values) (start, end []byte) {
	prefix := []byte(query.Get("prefix"))
	start, end = prefix, kv.NoEnd
	if len(prefix) > 0 {
		end = kv.PrefixEnd(prefix)
	}
	if s := []byte(query.Get("start")); bytes.Compare(s, start) > 0 {
		start = s
	}
	e := []byte(query.Get("end"))
	if len(e) > 0 && (bytes.Equal(end, kv.NoEnd) || bytes.Compare(e, end) < 0) {
		end = e
	}
	return start, end
}

// collect reads the keys in pages that grow while the values are small, because
// a page is in memory before its size is known.
func (s *Server) collect(start, end []byte, revision int64, limit int) (wire.Listing, error) {
	listing := wire.Listing{KVs: []wire.KV{}}
	if !bytes.Equal(end, kv.NoEnd) && bytes.Compare(start, end) >= 0 {
		state, err := s.Machine.State()
		listing.Revision = uint64(state.Revision)
		return listing, err
	}
	for keys, size := 16, 0; ; keys *= 2 {
		page, err := s.Machine.Range(kv.Query{Start: start, End: end, Limit: min(keys, limit-len(listing.KVs)), Revision: revision})
		if err != nil {
			return listing, err
		}
		if revision == 0 {
			revision = page.Revision // the pages that follow see what the first one saw
		}
		for _, found := range page.KVs {
			listing.KVs = append(listing.KVs, shown(found))
			size += len(found.Key) + len(found.Value)
		}
		listing.More = page.More
		if listing.Revision == 0 {
			listing.Revision = uint64(page.Revision)
		}
		if !page.More || len(listing.KVs) == limit || size >= wire.MaxListBytes {
			return listing, nil
		}
		start = append(page.KVs[len(page.KVs)-1].Key, 0)
		if size > wire.MaxListBytes/8 {
			keys = 8
		}
	}
}

func shown(found kv.KV) wire.KV {
	out := wire.KV{
		CreateRevision: uint64(found.Create),
		ModRevision:    uint64(found.Mod),
		Version:        uint64(found.Version),
	}
	out.SetBytes(found.Key, found.Value)
	return out
}
