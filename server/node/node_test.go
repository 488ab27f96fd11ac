package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/internal/freeport"
	"github.com/quorate-db/quorate/server/api/wire"
)

// running is a node in this process.
type running struct {
	t    *testing.T
	cfg  Config
	log  *signals
	stop func() error // ends it and returns what Run returned
	ends func() error // waits until it ends by itself, and returns what Run returned
	says string       // of the error that Run is to return; none if empty
}

// signals is a log that tells when a message has come.
type signals struct {
	slog.Handler
	mu   sync.Mutex
	text bytes.Buffer
	seen map[string]chan struct{}
}

func newSignals() *signals {
	s := &signals{seen: make(map[string]chan struct{})}
	s.Handler = slog.NewTextHandler(&s.text, nil)
	return s
}

func (s *signals) Handle(ctx context.Context, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.of(r.Message):
	default:
		close(s.of(r.Message))
	}
	return s.Handler.Handle(ctx, r)
}

func (s *signals) of(message string) chan struct{} {
	if s.seen[message] == nil {
		s.seen[message] = make(chan struct{})
	}
	return s.seen[message]
}

// await waits until the message has come.
func (r *running) await(message string) {
	r.t.Helper()
	r.log.mu.Lock()
	came := r.log.of(message)
	r.log.mu.Unlock()
	select {
	case <-came:
	case <-time.After(30 * time.Second):
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		r.t.Fatalf("%q did not come; the log is\n%s", message, &r.log.text)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Take()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// member is a configuration for this machine.
func member(t *testing.T, name string, args ...string) *Config {
	t.Helper()
	return configure(t, append([]string{
		"--name=" + name,
		"--listen-client-urls=http://127.0.0.1:" + freePort(t),
		"--listen-peer-urls=http://127.0.0.1:" + freePort(t),
		"--heartbeat-interval=20", "--election-timeout=200",
	}, args...)...)
}

func run(t *testing.T, cfg *Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, cfg: *cfg, log: newSignals()}
	done := make(chan error, 1)
	go func() { done <- Run(ctx, *cfg, slog.New(r.log)) }()
	r.ends = sync.OnceValue(func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(30 * time.Second):
			return errors.New("it does not end")
		}
	})
	r.stop = func() error { cancel(); return r.ends() }
	t.Cleanup(func() {
		if err := r.stop(); fmt.Sprint(err) != cmp.Or(r.says, "<nil>") {
			t.Errorf("%s stopped with %v", cfg.Name, err)
		}
	})
	return r
}

func (r *running) ask(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.cfg.Client.Listen[0]+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestOneNodeKeepsWhatItWasTold(t *testing.T) {
	cfg := member(t, "a")
	a := run(t, cfg)
	a.await(Ready)
	if status, text := a.ask("PUT", "/v1/kv/k", "v"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := a.ask("GET", "/readyz", ""); status != 200 {
		t.Errorf("ready, but %d %s", status, text)
	}
	// A second one on the directory, or on either port, is refused in one line.
	free := member(t, "a")
	for _, c := range []struct {
		change func(*Config)
		says   string
	}{
		{func(c *Config) { c.DataDir = cfg.DataDir }, "in use by another process"},
		{func(c *Config) { c.Client.Listen = cfg.Client.Listen }, "--listen-client-urls: another process listens on"},
		{func(c *Config) { c.Peer.Listen = cfg.Peer.Listen }, "--listen-peer-urls: another process listens on"},
	} {
		second := *free
		c.change(&second)
		err := Run(context.Background(), second, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	again := run(t, cfg)
	again.await(Ready)
	if status, text := again.ask("GET", "/v1/kv/k", ""); status != 200 || text != "v" {
		t.Errorf("after a restart: %d %s", status, text)
	}
}

// A node that is told nothing but the URL of a member joins, learns, votes, and
// stays when it comes back; both know both.
func TestJoinLearnVote(t *testing.T) {
	a := run(t, member(t, "a"))
	a.await(Ready)
	if status, text := a.ask("PUT", "/v1/kv/k", "v"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	cfg := member(t, "b", "--join="+a.cfg.Client.Listen[0])
	b := run(t, cfg)
	b.await("promoted: this member votes from now on")
	if status, text := b.ask("GET", "/v1/kv/k", ""); status != 200 || text != "v" {
		t.Errorf("the new member answers %d %s", status, text)
	}
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	cfg.Bootstrap.Join = "" // it knows its cluster by now
	b = run(t, cfg)
	b.await(Ready)
	if status, text := b.ask("GET", "/v1/kv/k", ""); status != 200 || text != "v" {
		t.Errorf("who came back answers %d %s", status, text)
	}
	for _, r := range []*running{a, b} {
		status, text := r.ask("GET", "/v1/members", "")
		var all wire.Members
		if err := json.Unmarshal([]byte(text), &all); err != nil || status != 200 || len(all.Members) != 2 {
			t.Fatalf("%d %s (%v)", status, text, err)
		}
		for _, m := range all.Members {
			if m.Role != "voter" || len(m.ClientURLs) != 1 {
				t.Errorf("%s lists %+v", r.cfg.Name, m)
			}
		}
	}
}

// A member that comes back at another address tells the others.
func TestMovedMemberSaysSo(t *testing.T) {
	cfg := member(t, "a")
	a := run(t, cfg)
	a.await(Ready)
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	moved := member(t, "a")
	moved.DataDir = cfg.DataDir
	a = run(t, moved)
	a.await(Ready)
	want := fmt.Sprintf(`"peer_url":%q,"client_urls":[%q]`, moved.Peer.Listen[0], moved.Client.Listen[0])
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		_, text := a.ask("GET", "/v1/members", "")
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the log still says %s, want %s", text, want)
		}
	}
}
