package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/server/api/wire"
)

// shelf is a key-value store that speaks enough of the HTTP API to be verified.
// If it forgets, every tenth read answers the value before the last.
type shelf struct {
	forgets bool

	mu       sync.Mutex
	revision uint64
	reads    int
	now, old map[string]item
}

type item struct {
	value    []byte
	revision uint64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a body cut short is another client's trouble
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.TrimPrefix(r.URL.Path, "/v1/kv/")
	had, exists := s.now[key]
	etag := fmt.Sprintf("%q", fmt.Sprint(had.revision))
	if match := r.Header.Get("If-Match"); match != "" && (!exists || match != etag) || exists && r.Header.Get("If-None-Match") == "*" {
		problem(w, http.StatusPreconditionFailed, wire.PreconditionFailed)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.get(w, key)
	case http.MethodPut:
		s.revision++
		s.old[key], s.now[key] = had, item{body, s.revision}
		_ = json.NewEncoder(w).Encode(wire.Written{Revision: s.revision})
	case http.MethodDelete:
		if exists {
			s.revision++
			delete(s.now, key)
		}
		_ = json.NewEncoder(w).Encode(wire.Written{Revision: s.revision, Deleted: &exists})
	}
}

func (s *shelf) get(w http.ResponseWriter, key string) {
	got, exists := s.now[key]
	if s.reads++; s.forgets && s.reads%10 == 0 && s.old[key].revision > 0 {
		got, exists = s.old[key], true
	}
	if !exists {
		problem(w, http.StatusNotFound, wire.NotFound)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(got.revision)))
	w.Header().Set(wire.HeaderRevision, fmt.Sprint(s.revision))
	_, _ = w.Write(got.value)
}

func problem(w http.ResponseWriter, status int, code wire.Code) {
	w.Header().Set("Content-Type", wire.ProblemType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(wire.Problem{Code: code, Status: status, Detail: string(code)})
}

// verify runs the command against a shelf and returns what it said.
func verify(t *testing.T, s *shelf, args ...string) (code int, out, errOut string) {
	t.Helper()
	s.now, s.old = map[string]item{}, map[string]item{}
	server := httptest.NewServer(s)
	defer server.Close()
	var o, e bytes.Buffer
	args = append([]string{"verify", "--endpoints", server.URL, "--rate", "0", "--max-operations", "1500"}, args...)
	code = run(args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func TestVerifyFindsStaleReads(t *testing.T) {
	html := filepath.Join(t.TempDir(), "picture.html")
	code, out, said := verify(t, &shelf{forgets: true}, "--html", html, "-o", "json", "--check-time", "5s")
	var s summary
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitFailed || s.Verdict != linear.NotLinearizable {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, said)
	}
	if len(s.Smallest) == 0 || len(s.Smallest) > 5 {
		t.Errorf("the smallest history has %d operations:\n%s", len(s.Smallest), linear.Text(s.Smallest))
	}
	if !strings.Contains(said, "NOT linearizable") || !strings.Contains(said, html) {
		t.Errorf("it does not say where to look: %s", said)
	}
	if page, err := os.ReadFile(html); err != nil || !bytes.Contains(page, []byte("<html")) {
		t.Errorf("no picture: %v", err)
	}
}

func TestVerifyShowsPeopleTheContradiction(t *testing.T) {
	code, out, _ := verify(t, &shelf{forgets: true}, "--html", "", "--check-time", "5s")
	if code != exitFailed || !strings.Contains(out, "No order explains these operations") || !strings.Contains(out, "get verify/") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestVerifyPassesWhatIsRightAndCleansUp(t *testing.T) {
	s := &shelf{}
	file := filepath.Join(t.TempDir(), "history.ndjson")
	code, out, said := verify(t, s, "--history", file, "--clients", "5", "--keys", "3")
	if code != exitOK || !strings.Contains(out, "linearizable") {
		t.Fatalf("exit code %d: %s%s", code, out, said)
	}
	if len(s.now) != 0 {
		t.Errorf("%d keys are left", len(s.now))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var history []linear.Operation
	for line := range bytes.Lines(text) {
		var o linear.Operation
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		history = append(history, o)
	}
	if len(history) != 1500+3 { // the last reads
		t.Errorf("the history has %d operations", len(history))
	}
	r, err := linear.Check(history, settleTime)
	if err != nil || r.Verdict != linear.Linearizable {
		t.Errorf("read again, the history is %q, %v", r.Verdict, err)
	}
}

// A run that proves nothing must not look like one that proves something.
func TestVerifyWithoutAnAnswerIsNoSuccess(t *testing.T) {
	first := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first { // whether it serves at all
			first = false
			problem(w, http.StatusNotFound, wire.NotFound)
			return
		}
		problem(w, http.StatusTooManyRequests, wire.Busy)
	}))
	defer server.Close()
	var out, said bytes.Buffer
	code := run([]string{"verify", "--endpoints", server.URL, "--clients", "1", "--keys", "1", "--max-operations", "3", "--timeout", "300ms"},
		strings.NewReader(""), &out, &said)
	if code != exitUnavailable || !strings.Contains(said.String(), "nothing is proved") || strings.Contains(out.String(), "linearizable") {
		t.Errorf("exit code %d after %s%s", code, out.String(), said.String())
	}
}

// Nodes must not stay down because the one that struck them was stopped, and a
// command that fails must not be taken for a fault that was survived.
func TestFaultsHealWhatTheyStrike(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	diary := filepath.Join(t.TempDir(), "diary")
	ctx, cancel := context.WithCancel(t.Context())
	f := faults{every: time.Millisecond}
	f.kill.strike = "echo kill $QUORATE_VERIFY_INDEX $QUORATE_VERIFY_ENDPOINT >> " + diary
	f.kill.heal = "echo restart $QUORATE_VERIFY_INDEX $QUORATE_VERIFY_ENDPOINT >> " + diary
	ended := make(chan error, 1)
	go func() {
		_, err := f.run(ctx, 1, []string{"a", "b", "c"})
		ended <- err
	}()
	for written := []byte(nil); bytes.Count(written, []byte("kill")) < 4; runtime.Gosched() {
		written, _ = os.ReadFile(diary) // not there yet
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(diary)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(written)), "\n")
	if len(lines)%2 != 0 {
		t.Errorf("somebody is still down:\n%s", written)
	}
	for i := 1; i < len(lines); i += 2 {
		if lines[i] != strings.Replace(lines[i-1], "kill", "restart", 1) {
			t.Errorf("%q was followed by %q", lines[i-1], lines[i])
		}
	}
	f.kill.strike = "echo no such node; exit 3"
	if _, err := f.run(t.Context(), 1, []string{"a"}); err == nil || !strings.Contains(err.Error(), "no such node") {
		t.Errorf("a command that failed was told as %v", err)
	}
}
