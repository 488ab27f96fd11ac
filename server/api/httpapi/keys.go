package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// get answers GET /v1/kv/{key} with the raw bytes of the value.
func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	key, err := s.key(r)
	if err != nil {
		return err
	}
	ctx, cancel, query, err := s.query(r, "consistency", "revision")
	if err != nil {
		return err
	}
	defer cancel()
	revision, err := s.readable(ctx, query)
	if err != nil {
		return err
	}
	by, err := s.caller(r)
	if err != nil {
		return err
	}
	found, at, err := s.Machine.For(by).Get(key, revision)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set(wire.HeaderRevision, strconv.FormatInt(at, 10))
	if match := r.Header.Get("If-Match"); match != "" && (found == nil || match != "*" && match != etag(found.Mod)) {
		return problem(wire.PreconditionFailed, fmt.Sprintf("the key %s is not as If-Match requires: read it without", printable(string(key))))
	}
	if found == nil {
		return problem(wire.NotFound, fmt.Sprintf("the key %s does not exist", printable(string(key))))
	}
	h.Set("ETag", etag(found.Mod))
	h.Set("Cache-Control", "no-cache")
	if none := r.Header.Get("If-None-Match"); none == "*" || none == etag(found.Mod) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(found.Value)))
	_, _ = w.Write(found.Value) // the client may be gone
	return nil
}

// readable waits until what this node holds may be read with the consistency that
// the query asks for, and returns the revision to read at, zero for the latest.
func (s *Server) readable(ctx context.Context, query url.Values) (int64, error) {
	var revision int64
	if text := query.Get("revision"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return 0, problem(wire.Malformed, fmt.Sprintf("revision=%q: write a whole number from 1", text))
		}
		revision = n
	}
	switch c := query.Get("consistency"); c {
	case "", "linearizable":
		_, err := s.Log.Read(ctx)
		return revision, err
	case "stale":
		return revision, nil
	default:
		return 0, problem(wire.Malformed, fmt.Sprintf("consistency=%q: it is linearizable or stale", c))
	}
}

// put answers PUT /v1/kv/{key}: the body becomes the value.
func (s *Server) put(w http.ResponseWriter, r *http.Request) error {
	key, err := s.key(r)
	if err != nil {
		return err
	}
	value, err := s.value(w, r)
	if err != nil {
		return err
	}
	result, err := s.writeKey(r, key, kv.Put{Key: key, Value: value})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(result.Revision))
	w.Header().Set(wire.HeaderRevision, strconv.FormatInt(result.Revision, 10))
	return reply(w, http.StatusOK, wire.Written{Revision: uint64(result.Revision)})
}

// del answers DELETE /v1/kv/{key}. A key that is not there is no error, because a
// repeated DELETE would otherwise answer differently from the first.
func (s *Server) del(w http.ResponseWriter, r *http.Request) error {
	key, err := s.key(r)
	if err != nil {
		return err
	}
	result, err := s.writeKey(r, key, kv.Delete{Key: key})
	if err != nil {
		return err
	}
	deleted := len(result.Ops) == 1 && result.Ops[0].Deleted > 0
	w.Header().Set(wire.HeaderRevision, strconv.FormatInt(result.Revision, 10))
	return reply(w, http.StatusOK, wire.Written{Revision: uint64(result.Revision), Deleted: &deleted})
}

// writeKey proposes one operation under the conditions in the request's headers.
func (s *Server) writeKey(r *http.Request, key []byte, op kv.Op) (*kv.Result, error) {
	ctx, cancel, _, err := s.query(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	compares, err := conditions(r.Header, key)
	if err != nil {
		return nil, err
	}
	command := kv.Command{Do: kv.Txn{Compares: compares, Then: []kv.Op{op}}}
	if command.Session, command.Sequence, err = numbered(r.Header); err != nil {
		return nil, err
	}
	result, err := s.propose(ctx, r, command)
	if err != nil {
		return nil, err
	}
	if !result.Succeeded {
		return nil, problem(wire.PreconditionFailed, fmt.Sprintf(
			"the key %s is not as If-Match or If-None-Match requires and nothing was written: read it again", printable(string(key))))
	}
	return result, nil
}

// propose replicates a command of who asks, and returns what it came to.
func (s *Server) propose(ctx context.Context, r *http.Request, c kv.Command) (result *kv.Result, err error) {
	agree := func() error {
		_, err := s.Log.Read(ctx)
		return err
	}
	if err := s.Keeper.Permit(&c, func() (kv.Caller, error) { return s.caller(r) }, agree); err != nil {
		return nil, err
	}
	c.Millis = time.Now().UnixMilli()
	if err := c.Check(); err != nil {
		return nil, err
	}
	answer, err := s.Log.Propose(ctx, c.Encode())
	if err != nil {
		return nil, maybeDone(err)
	}
	var ok bool
	if result, ok = answer.(*kv.Result); !ok || result == nil {
		return nil, fmt.Errorf("a command was answered with %T", answer)
	}
	return result, result.Err()
}

// key returns the key in the path: what stands behind /v1/kv/, each %XX one byte.
func (s *Server) key(r *http.Request) ([]byte, error) {
	key, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), keyPath))
	switch {
	case err != nil:
		return nil, problem(wire.Malformed, "the key cannot be read: write a percent sign as %25")
	case key == "":
		return nil, problem(wire.Malformed, "the key is empty: write it behind /v1/kv/; GET /v1/kv?prefix= lists keys")
	case len(key) > s.Limits.KeyBytes:
		return nil, problem(wire.KeyTooLarge, fmt.Sprintf("the key has %d bytes, at most %d are allowed (--max-key-bytes of quorate serve)",
			len(key), s.Limits.KeyBytes))
	}
	return []byte(key), nil
}

// value reads the body, never more of it than is allowed.
func (s *Server) value(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := int64(s.Limits.ValueBytes)
	tooLarge := problem(wire.ValueTooLarge, fmt.Sprintf("the value has more than %d bytes, the most that is allowed (--max-value-bytes of quorate serve)", limit))
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, problem(wire.Malformed, "the body was cut short and nothing was written: "+oneLine(err.Error()))
	}
	return value, nil
}

// conditions translates If-Match and If-None-Match.
func conditions(h http.Header, key []byte) ([]kv.Compare, error) {
	var all []kv.Compare
	switch match := h.Get("If-Match"); match {
	case "":
	case "*":
		all = append(all, kv.Exists(key))
	default:
		revision, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(match, `"`), `"`), 10, 63)
		if err != nil || match != etag(int64(revision)) {
			return nil, problem(wire.Malformed, fmt.Sprintf(`If-Match: %s: write * or one revision in quotes, as in the ETag of a GET`, printable(match)))
		}
		all = append(all, kv.ModifiedAt(key, int64(revision)))
	}
	switch none := h.Get("If-None-Match"); none {
	case "":
	case "*":
		all = append(all, kv.Absent(key))
	default:
		return nil, problem(wire.Malformed, fmt.Sprintf("If-None-Match: %s: a write takes only *, for a key that must not exist", printable(none)))
	}
	return all, nil
}

// numbered returns the session and sequence of a write, zeros if it has none.
func numbered(h http.Header) (kv.SessionID, uint64, error) {
	session, sequence := h.Get(wire.HeaderSession), h.Get(wire.HeaderSequence)
	if session == "" && sequence == "" {
		return 0, 0, nil
	}
	id, err := wire.ParseID(session)
	n, err2 := strconv.ParseUint(sequence, 10, 64)
	if err != nil || err2 != nil || id == 0 || n == 0 {
		return 0, 0, problem(wire.Malformed, wire.HeaderSession+" and "+wire.HeaderSequence+
			" come together: the ID that POST /v1/sessions gave, and a whole number from 1 that no other write of the session has")
	}
	return kv.SessionID(id), n, nil
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// reply sends a JSON answer.
func reply(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client may be gone
	return nil
}

// printable is a client's word made safe for one line of a message.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strconv.Quote(s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
