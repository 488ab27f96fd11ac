package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
)

// opened answers POST /v1/sessions; everything else goes to then.
func opened(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/v1/sessions" {
			_ = json.NewEncoder(w).Encode(wire.Session{ID: 0xabc})
			return
		}
		then(w, r)
	}
}

func openSession(t *testing.T, c *Client) *Session {
	t.Helper()
	s, err := c.OpenSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// CL1: the repeated write carries the number of the first, so that the store
// can recognise it.
func TestSessionRepeatsWriteInDoubtUnderItsNumber(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(then http.HandlerFunc) http.HandlerFunc {
		return opened(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen = append(seen, r.Header.Get(wire.HeaderSession)+" "+r.Header.Get(wire.HeaderSequence))
			mu.Unlock()
			then(w, r)
		})
	}
	a, b := serve(t, note(cut)), serve(t, note(written))
	s := openSession(t, connect(t, Config{}, a, b))
	for range 2 {
		if _, err := s.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprint([]string{"0000000000000abc 1", "0000000000000abc 1", "0000000000000abc 2"})
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// An attempt was cut, and then nobody could be reached: the refusals after it
// say nothing about the first.
func TestDoubtOutlivesLaterRefusals(t *testing.T) {
	a, b := serve(t, opened(cut)), serve(t, refuse(wire.NoLeader))
	s := openSession(t, connect(t, Config{}, a, b))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Put(ctx, []byte("k"), []byte("v"))
	if !errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrNoLeader) {
		t.Errorf("put = %v, want only ErrUnknownOutcome", err)
	}
}

func TestSessionThatExpiredSaysSo(t *testing.T) {
	a := serve(t, opened(refuse(wire.SessionExpired)))
	s := openSession(t, connect(t, Config{}, a))
	if _, err := s.Put(t.Context(), []byte("k"), []byte("v")); !errors.Is(err, ErrSessionExpired) {
		t.Errorf("put = %v, want ErrSessionExpired", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("close = %v: a session that is gone is closed", err)
	}
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	a := serve(t, opened(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		written(w, r)
	}))
	s := openSession(t, connect(t, Config{}, a))
	first := make(chan error, 1)
	go func() {
		_, err := s.Put(context.Background(), []byte("k"), []byte("v"))
		first <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, []byte("k"), []byte("w")); !errors.Is(err, context.Canceled) {
		t.Errorf("put = %v, want the context's error", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
