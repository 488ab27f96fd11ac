package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quorate-db/quorate/server/api/wire"
)

// guarded lets one user in, with tokens that it numbers, of which only the last is good.
type guarded struct {
	logins atomic.Int64
	writes atomic.Int64
	lost   bool // no token is good
}

func (g *guarded) handle(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v3/auth/authenticate" {
		var who struct{ Name, Password string }
		if err := json.NewDecoder(r.Body).Decode(&who); err != nil || who.Name != "ann" || who.Password != "p:w" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":3,"message":"etcdserver: authentication failed, invalid user ID or password"}`)
			return
		}
		fmt.Fprintf(w, `{"header":{},"token":"t%d"}`, g.logins.Add(1))
		return
	}
	if g.lost || r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", g.logins.Load()) {
		refuse(wire.Unauthenticated)(w, r)
		return
	}
	if r.Method != http.MethodGet {
		g.writes.Add(1)
	}
	written(w, r)
}

// A user's name and password are enough; a token that has ended is replaced, and what
// was refused for it is done once.
func TestAUserLogsIn(t *testing.T) {
	g := &guarded{}
	c := connect(t, Config{User: "ann", Password: "p:w"}, serve(t, g.handle))
	for i := range 3 {
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
		if g.logins.Load() != 1 || g.writes.Load() != int64(i+1) {
			t.Errorf("%d logins, %d writes", g.logins.Load(), g.writes.Load())
		}
	}
	g.logins.Add(1) // the token has ended
	if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil || g.logins.Load() != 3 || g.writes.Load() != 4 {
		t.Errorf("%v, %d logins, %d writes", err, g.logins.Load(), g.writes.Load())
	}
}

// Many that begin at once need one token.
func TestOneLoginForMany(t *testing.T) {
	g := &guarded{}
	c := connect(t, Config{User: "ann", Password: "p:w"}, serve(t, g.handle))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Get(t.Context(), []byte("k")); err != nil {
				t.Error(err)
			}
		})
	}
	if all.Wait(); g.logins.Load() != 1 {
		t.Errorf("%d logins", g.logins.Load())
	}
}

// Who is not let in is told so at once, and nothing was done.
func TestAUserIsNotLetIn(t *testing.T) {
	g := &guarded{}
	server := serve(t, g.handle)
	for _, cfg := range []Config{{User: "ann", Password: "x"}, {User: "eve", Password: "p:w"}} {
		_, err := connect(t, cfg, server).Put(t.Context(), []byte("k"), []byte("v"))
		var answered *Error
		if !errors.As(err, &answered) || answered.Code != wire.Unauthenticated || !strings.Contains(answered.Detail, cfg.User+" is not let in") {
			t.Errorf("%v", err)
		}
	}
	g.lost = true
	_, err := connect(t, Config{User: "ann", Password: "p:w", Timeout: time.Minute}, server).Put(t.Context(), []byte("k"), []byte("v"))
	if answered := (*Error)(nil); !errors.As(err, &answered) || answered.Code != wire.Unauthenticated || g.logins.Load() != 1 {
		t.Errorf("no token is good: %v after %d logins", err, g.logins.Load())
	}
	if g.writes.Load() != 0 {
		t.Error("something was written")
	}
}

// While rights are not enforced nobody needs a token; a node that has no time is
// asked again.
func TestNobodyNeedsAToken(t *testing.T) {
	var asked atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/v3/auth/authenticate":
			if r.Header.Get("Authorization") != "" {
				t.Error("a token that nobody gave")
			}
			written(w, r)
		case asked.Add(1) == 1:
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"code":8,"message":"etcdserver: too many requests"}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":9,"message":"etcdserver: authentication is not enabled"}`)
		}
	})
	c := connect(t, Config{User: "ann", Password: "x"}, server)
	for range 2 {
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v")); err != nil || asked.Load() != 2 {
			t.Errorf("%v, asked %d times", err, asked.Load())
		}
	}
}

// What is no quorate node is told from one that refuses.
func TestAPasswordForAnotherServer(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	_, err := connect(t, Config{User: "ann", Password: "x"}, server).Get(t.Context(), []byte("k"))
	if err == nil || !strings.Contains(err.Error(), "check that this is a quorate client URL") {
		t.Error(err)
	}
}
