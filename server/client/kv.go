package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/quorate-db/quorate/server/api/wire"
)

// KeyValue is a key with its value. Revisions count the store's writes from 1.
type KeyValue struct {
	Key            []byte
	Value          []byte
	CreateRevision uint64 // of the write that made the key
	ModRevision    uint64 // of the last write to the key
	Version        uint64 // writes since the key was made, from 1
}

// Value is what a Get returns.
type Value struct {
	Bytes       []byte
	ModRevision uint64 // of the last write to the key
	Revision    uint64 // of the store when it was read
}

// Condition makes a write depend on the key as it is; if it does not hold, the
// write ends with ErrPreconditionFailed and changes nothing.
type Condition struct{ header, value string }

// IfRevision holds while the key was last written at the revision.
func IfRevision(revision uint64) Condition {
	return Condition{"If-Match", `"` + strconv.FormatUint(revision, 10) + `"`}
}

// IfAbsent holds while the key does not exist.
func IfAbsent() Condition { return Condition{"If-None-Match", "*"} }

// ReadOption changes what a read asks for.
type ReadOption func(url.Values)

// Stale reads what the endpoint has applied, which may be older than the last
// write, without asking the leader. It also works without a leader.
func Stale() ReadOption { return func(q url.Values) { q.Set("consistency", "stale") } }

// At reads the past: the store as it was at the revision.
func At(revision uint64) ReadOption {
	return func(q url.Values) { q.Set("revision", strconv.FormatUint(revision, 10)) }
}

func readQuery(options []ReadOption) url.Values {
	q := url.Values{}
	for _, o := range options {
		o(q)
	}
	return q
}

// keyPath escapes all of the key, so that it is one segment of the path. The
// keys "." and ".." would be cleaned away.
func keyPath(key []byte) string {
	escaped := url.PathEscape(string(key))
	if escaped == "." || escaped == ".." {
		escaped = strings.ReplaceAll(escaped, ".", "%2E")
	}
	return "/v1/kv/" + escaped
}

// Get reads one key. Unless told otherwise it sees every write that was
// acknowledged before it was called.
func (c *Client) Get(ctx context.Context, key []byte, options ...ReadOption) (Value, error) {
	resp, err := c.do(ctx, request{
		method:     http.MethodGet,
		path:       keyPath(key),
		query:      readQuery(options),
		repeatable: true,
	})
	if err != nil {
		return Value{}, err
	}
	v := Value{Bytes: resp.body}
	if v.ModRevision, err = revision(strings.Trim(resp.header.Get("ETag"), `"`)); err != nil {
		return Value{}, err
	}
	v.Revision, err = revision(resp.header.Get(wire.HeaderRevision))
	return v, err
}

func revision(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the answer carries the revision %q; check that the endpoint is a quorate client URL", text)
	}
	return n, nil
}

// Put writes the key and returns the revision of the write.
func (c *Client) Put(ctx context.Context, key, value []byte, conditions ...Condition) (uint64, error) {
	w, err := c.write(ctx, putRequest(key, value, conditions))
	return w.Revision, err
}

// Delete removes the key. It reports whether the key existed, and the store's
// revision afterwards.
func (c *Client) Delete(ctx context.Context, key []byte, conditions ...Condition) (deleted bool, revision uint64, err error) {
	w, err := c.write(ctx, deleteRequest(key, conditions))
	return w.Deleted != nil && *w.Deleted, w.Revision, err
}

func putRequest(key, value []byte, conditions []Condition) request {
	return request{method: http.MethodPut, path: keyPath(key), header: conditionHeader(conditions), body: value}
}

func deleteRequest(key []byte, conditions []Condition) request {
	return request{method: http.MethodDelete, path: keyPath(key), header: conditionHeader(conditions)}
}

func conditionHeader(conditions []Condition) http.Header {
	h := http.Header{}
	for _, c := range conditions {
		h.Set(c.header, c.value)
	}
	return h
}

func (c *Client) write(ctx context.Context, rq request) (w wire.Written, err error) {
	resp, err := c.do(ctx, rq)
	if err != nil {
		return w, err
	}
	return w, resp.decode(&w)
}

// Range says which keys to list: those with the prefix, from Start on and before
// End. Empty means no bound.
type Range struct {
	Prefix, Start, End []byte
	Limit              int // at most so many, as far as the server goes; its own limit if zero
}

// Listing is the answer to a Range: keys in byte order.
type Listing struct {
	KVs      []KeyValue
	Revision uint64 // of the store when it was read
	More     bool   // a limit cut the list; go on with Next
}

// Next returns the range that continues after the listing.
func (l *Listing) Next(r Range) Range {
	if n := len(l.KVs); n > 0 {
		r.Start = append([]byte(nil), l.KVs[n-1].Key...)
		r.Start = append(r.Start, 0) // the smallest key behind the last one
	}
	return r
}

// List reads a range of keys.
func (c *Client) List(ctx context.Context, r Range, options ...ReadOption) (*Listing, error) {
	q := readQuery(options)
	for name, bound := range map[string][]byte{"prefix": r.Prefix, "start": r.Start, "end": r.End} {
		if len(bound) > 0 {
			q.Set(name, string(bound))
		}
	}
	if r.Limit > 0 {
		q.Set("limit", strconv.Itoa(min(r.Limit, wire.MaxListKeys)))
	}
	var page wire.Listing
	if err := c.get(ctx, "/v1/kv", q, &page); err != nil {
		return nil, err
	}
	l := &Listing{Revision: page.Revision, More: page.More, KVs: make([]KeyValue, len(page.KVs))}
	for i := range page.KVs {
		kv := &page.KVs[i]
		key, value := kv.Bytes()
		l.KVs[i] = KeyValue{key, value, kv.CreateRevision, kv.ModRevision, kv.Version}
	}
	return l, nil
}

// get reads a path that answers with JSON.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	resp, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query, repeatable: true})
	if err != nil {
		return err
	}
	return resp.decode(into)
}
