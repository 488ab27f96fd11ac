package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
)

// endpoint is a server that does what it is told, and counts.
type endpoint struct {
	*httptest.Server
	asked atomic.Int64
}

func serve(t *testing.T, handle http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		handle(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func connect(t *testing.T, cfg Config, endpoints ...*endpoint) *Client {
	t.Helper()
	for _, e := range endpoints {
		cfg.Endpoints = append(cfg.Endpoints, e.URL)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// refuse answers with a problem of the code.
func refuse(code wire.Code) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		kind := wire.KindOf(code)
		w.Header().Set("Content-Type", wire.ProblemType)
		w.WriteHeader(kind.Status)
		_ = json.NewEncoder(w).Encode(wire.Problem{Code: code, Status: kind.Status, Detail: "told " + string(code)})
	}
}

// written answers any write as done at revision 7, any read with "value".
func written(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		w.Header().Set("ETag", `"7"`)
		w.Header().Set(wire.HeaderRevision, "9")
		fmt.Fprint(w, "value")
		return
	}
	_ = json.NewEncoder(w).Encode(wire.Written{Revision: 7})
}

// cut takes the request and closes the connection without an answer.
func cut(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// hang answers only when the client has given up.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// nobody is the URL of a port at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestWriteThatWasNotDoneGoesToTheNextEndpoint(t *testing.T) {
	for _, code := range []wire.Code{wire.NoLeader, wire.Busy, wire.Unavailable, wire.Timeout} {
		a, b := serve(t, refuse(code)), serve(t, written)
		c := connect(t, Config{}, a, b)
		if revision, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil || revision != 7 {
			t.Errorf("%s: put = %d, %v; want revision 7 from the other endpoint", code, revision, err)
		}
		// The client remembers who worked.
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil || a.asked.Load() != 1 {
			t.Errorf("%s: the second put asked the failing endpoint again (%d times), %v", code, a.asked.Load(), err)
		}
	}
}

func TestWriteToDeadEndpointGoesToTheNext(t *testing.T) {
	b := serve(t, written)
	c := connect(t, Config{Endpoints: []string{nobody(t)}}, b)
	if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
		t.Error(err)
	}
}

func TestPlainWriteInDoubtIsNeverRepeated(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{
		"answered unknown":  refuse(wire.OutcomeUnknown),
		"a fault":           refuse(wire.Internal),
		"connection cut":    cut,
		"no answer in time": hang,
		"a proxy's answer":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"an unknown code":   refuse("from-the-future"),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := serve(t, first), serve(t, written)
			c := connect(t, Config{Timeout: 300 * time.Millisecond}, a, b)
			_, err := c.Put(t.Context(), []byte("k"), []byte("v"))
			if !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("put = %v, want ErrUnknownOutcome", err)
			}
			if a.asked.Load() != 1 || b.asked.Load() != 0 {
				t.Errorf("the write was sent %d and %d times, want once", a.asked.Load(), b.asked.Load())
			}
		})
	}
}

func TestReadInDoubtIsRepeated(t *testing.T) {
	for name, first := range map[string]http.HandlerFunc{"cut": cut, "hang": hang, "fault": refuse(wire.Internal)} {
		t.Run(name, func(t *testing.T) {
			a, b := serve(t, first), serve(t, written)
			v, err := connect(t, Config{Timeout: time.Second}, a, b).Get(t.Context(), []byte("k"))
			if err != nil || string(v.Bytes) != "value" || v.ModRevision != 7 || v.Revision != 9 {
				t.Errorf("get = %+v, %v", v, err)
			}
		})
	}
}

func TestFinalAnswerIsNotRepeated(t *testing.T) {
	a, b := serve(t, refuse(wire.PreconditionFailed)), serve(t, written)
	_, err := connect(t, Config{}, a, b).Put(t.Context(), []byte("k"), []byte("v"), IfRevision(3))
	if !errors.Is(err, ErrPreconditionFailed) || b.asked.Load() != 0 {
		t.Errorf("put = %v, the other endpoint was asked %d times", err, b.asked.Load())
	}
	if errors.Is(err, ErrUnknownOutcome) {
		t.Error("a refusal must not look like an unknown outcome")
	}
}

func TestStrangeServerIsNamed(t *testing.T) {
	a := serve(t, http.NotFound)
	_, err := connect(t, Config{}, a).Get(t.Context(), []byte("k"))
	var told *Error
	if !errors.As(err, &told) || told.Status != http.StatusNotFound || told.Code != "" || errors.Is(err, ErrNotFound) {
		t.Errorf("get = %v; a web server's 404 is not the absence of a key", err)
	}
}

func TestFailFastEndsAfterOneRound(t *testing.T) {
	c := connect(t, Config{Endpoints: []string{nobody(t), nobody(t)}, FailFast: true, Timeout: time.Hour})
	if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("put = %v, want ErrUnavailable", err)
	}
}

func TestDeadlineEndsTheTrying(t *testing.T) {
	a := serve(t, refuse(wire.NoLeader))
	c := connect(t, Config{}, a)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := c.Put(ctx, []byte("k"), []byte("v"))
	if !errors.Is(err, ErrNoLeader) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("put = %v, want ErrNoLeader: it was certainly not done", err)
	}
	if a.asked.Load() < 2 {
		t.Errorf("asked %d times, want it to come back after a pause", a.asked.Load())
	}
}

func TestServerIsToldTheDeadline(t *testing.T) {
	var told atomic.Value
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		told.Store(r.URL.Query().Get("timeout"))
		written(w, r)
	})
	if _, err := connect(t, Config{Timeout: 10 * time.Second}, a).Put(t.Context(), []byte("k"), nil); err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(told.Load().(string))
	if err != nil || d <= 0 || d >= 10*time.Second {
		t.Errorf("?timeout=%v, want a little less than the client's 10s", told.Load())
	}
}

func TestEveryCodeIsAnErrorThatSaysTheSame(t *testing.T) {
	for code, want := range sentinels {
		e := &Error{Code: code}
		if !errors.Is(e, want) {
			t.Errorf("%s is not %v", code, want)
		}
		unknown := errors.Is(e, ErrUnknownOutcome)
		if advice := wire.KindOf(code).Retry; unknown != (advice == wire.RetryInSession) {
			t.Errorf("%s: unknown outcome is %v, but the table says retry %s", code, unknown, advice)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"127.0.0.1:2379":            "http://127.0.0.1:2379",
		"localhost:2379":            "http://localhost:2379",
		"http://[::1]:2379/":        "http://[::1]:2379",
		"https://db.example:1":      "https://db.example:1",
		"ftp://x:1":                 "",
		"http://":                   "",
		"http://a:1/path":           "",
		"http://user:secret@a:1":    "",
		"http://a:port":             "",
		"http://127.0.0.1:2379?x=y": "",
	} {
		c, err := New(Config{Endpoints: []string{text}})
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken for %v", text, c.Endpoints())
		case want != "" && (err != nil || c.Endpoints()[0] != want):
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
