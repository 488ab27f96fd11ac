package auth

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
)

// twoNodes are keepers of two nodes that have applied the same: root with the password
// p, n without any, and rights are enforced.
func twoNodes(t *testing.T) (nodes [2]*Keeper) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	key := NewKey()
	for i := range nodes {
		m, err := kv.New(store.NewMemory())
		if err != nil {
			t.Fatal(err)
		}
		for index, do := range []kv.ChangeRights{
			{Kind: kv.AddUser, User: kv.Root, Hash: hash}, {Kind: kv.GrantRole, User: kv.Root, Role: kv.Root},
			{Kind: kv.AddUser, User: "n", NoPassword: true}, {Kind: kv.StartGuard, Hash: key},
		} {
			batch := []quorate.Command{{Index: raft.Index(index + 1), Data: kv.Command{Do: do}.Encode()}}
			if err := m.Apply(batch); err != nil {
				t.Fatal(err)
			}
		}
		nodes[i] = New(Options{Machine: m, TTL: time.Minute, Cost: bcrypt.MinCost})
	}
	return nodes
}

// A cluster that was begun from a backup has the same key and the same users, and
// takes no token of the one that was saved.
func TestTokensOfAnotherClusterAreNoTokens(t *testing.T) {
	nodes := twoNodes(t)
	nodes[1].Cluster = 2
	token, err := nodes[0].Login(t.Context(), kv.Root, "p")
	if err != nil {
		t.Fatal(err)
	}
	if by, err := nodes[1].Caller(token); !errors.Is(err, ErrBadToken) {
		t.Errorf("%+v, %v", by, err)
	}
}

// A token is good at every node, for as long as it is shown there often enough.
func TestTokensSlide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := twoNodes(t)
		token, err := nodes[0].Login(t.Context(), kv.Root, "p")
		if err != nil {
			t.Fatal(err)
		}
		show := func(node int, want error) {
			t.Helper()
			by, err := nodes[node].Caller(token)
			if !errors.Is(err, want) || err == nil && (by.Name != kv.Root || by.Revision != 4) {
				t.Errorf("at node %d: %+v, %v", node, by, err)
			}
		}
		show(1, nil)
		for range 4 {
			time.Sleep(40 * time.Second)
			show(0, nil)
		}
		show(1, ErrBadToken)
		time.Sleep(2 * time.Minute)
		show(0, ErrBadToken)
	})
}

func TestNoTokenIsMadeUp(t *testing.T) {
	nodes := twoNodes(t)
	token, err := nodes[0].Login(t.Context(), kv.Root, "p")
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		bad := []byte(token)
		bad[i] ^= 1
		if by, err := nodes[0].Caller(string(bad)); err == nil && by.Name != "" {
			t.Errorf("with byte %d changed it is %q", i, by.Name)
		}
	}
	for _, bad := range []string{"", ".", "x.y", token[:len(token)-1], token + "A", " " + token} {
		if _, err := nodes[0].Caller(bad); !errors.Is(err, ErrBadToken) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for name, want := range map[string]error{"root": ErrWrong, "nobody": ErrWrong, "": ErrWrong, "n": ErrNoPassword} {
		if _, err := nodes[0].Login(t.Context(), name, "wrong"); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(nodes[0].hashing) {
		nodes[0].hashing <- struct{}{} // all processors are taken
	}
	if _, err := nodes[0].Login(gone, kv.Root, "p"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What is remembered of tokens that nobody shows any more is forgotten.
func TestTokensAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{TTL: time.Minute})
		for i := range 10 * fewShown {
			if !k.alive(fmt.Sprint("user ", i%100), mac{byte(i), byte(i >> 8)}, time.Now()) {
				t.Fatal("a new token has ended")
			}
			time.Sleep(time.Second)
		}
		n := 0
		for _, mine := range k.shown {
			n += len(mine)
		}
		if n > 2*fewShown || len(k.shown) > 100 {
			t.Errorf("%d tokens of %d users are remembered", n, len(k.shown))
		}
	})
}

// A user who keeps many tokens in use loses the one that was not shown for longest,
// once it is old; nobody else loses any.
func TestOneUsersTokensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{TTL: time.Hour})
		issued := time.Now()
		name := func(i int) mac { return mac{byte(i), byte(i >> 8)} }
		if !k.alive("other", name(0), issued) {
			t.Fatal("a new token has ended")
		}
		for i := range mostShown {
			time.Sleep(time.Millisecond)
			k.alive("one", name(i), issued)
		}
		time.Sleep(59 * time.Minute)
		for i := range mostShown {
			k.alive("one", name(i), issued)
			time.Sleep(time.Millisecond)
		}
		k.alive("other", name(0), issued)
		time.Sleep(2 * time.Minute) // longer than an hour after all were issued
		if !k.alive("one", name(mostShown), time.Now()) || k.alive("one", name(0), issued) {
			t.Error("one too many, and the first still counts")
		}
		if !k.alive("one", name(1), issued) || !k.alive("other", name(0), issued) {
			t.Error("another has ended, too")
		}
		if n := len(k.shown["one"]); n > mostShown {
			t.Errorf("%d are remembered", n)
		}
	})
}
