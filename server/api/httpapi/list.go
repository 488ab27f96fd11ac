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
	by, err := s.caller(r)
	if err != nil {
		return err
	}
	page, err := s.Machine.For(by).Range(kv.Query{Start: start, End: end, Limit: int64(limit), Bytes: wire.MaxListBytes, Revision: revision})
	if err != nil {
		return err
	}
	listing := wire.Listing{Revision: uint64(page.Revision), KVs: make([]wire.KV, len(page.KVs)), More: page.More}
	for i, found := range page.KVs {
		listing.KVs[i] = shown(found)
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
	if len(e) > 0 && !bytes.Equal(e, kv.NoEnd) && (bytes.Equal(end, kv.NoEnd) || bytes.Compare(e, end) < 0) {
		end = e
	}
	return start, end
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
