package httpapi

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
)

// The same rights hold here as for etcd's clients, and what is not said to be for
// somebody is for root.
func TestRightsHoldForPlainHTTP(t *testing.T) {
	n, web := serve(t, testLimits)
	hash, err := bcrypt.GenerateFromPassword([]byte("p"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []kv.ChangeRights{
		{Kind: kv.AddUser, User: kv.Root, Hash: hash}, {Kind: kv.GrantRole, User: kv.Root, Role: kv.Root},
		{Kind: kv.AddUser, User: "u", Hash: hash}, {Kind: kv.AddRole, Role: "r"}, {Kind: kv.GrantRole, User: "u", Role: "r"},
		{Kind: kv.GrantRight, Role: "r", Right: kv.Right{Key: []byte("a"), End: []byte("c"), Access: kv.MayRead | kv.MayWrite}},
		{Kind: kv.AddUser, User: "ex", Hash: hash}, {Kind: kv.GrantRole, User: "ex", Role: kv.Root},
		{Kind: kv.AddUser, User: "all", Hash: hash}, {Kind: kv.AddRole, Role: "all"}, {Kind: kv.GrantRole, User: "all", Role: "all"},
		{Kind: kv.GrantRight, Role: "all", Right: kv.Right{Key: []byte{0}, End: kv.NoEnd, Access: kv.MayRead}},
		{Kind: kv.StartGuard, Hash: auth.NewKey()},
	} {
		answer, err := n.Propose(t.Context(), kv.Command{Do: change}.Encode())
		if err != nil || answer.(*kv.Result).Code != kv.OK {
			t.Fatal(answer, err)
		}
	}
	keeper := auth.New(auth.Options{Machine: n.machine, TTL: time.Minute, Cost: bcrypt.MinCost})
	token := func(name string) string {
		text, err := keeper.Login(t.Context(), name, "p")
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
	root, u, exRoot := token(kv.Root), token("u"), token("ex")
	var before, after raft.Index
	n.set(func(n *oneNode) { before = n.index })
	do(t, web, "PUT", "/v1/kv/d", "").want(t, 401)
	do(t, web, "PUT", "/v1/kv/d", "", u).want(t, 403)
	n.set(func(n *oneNode) { after = n.index })
	if after != before {
		t.Errorf("%d commands of who may not write are in the log", after-before)
	}
	for _, c := range []struct {
		method, path             string
		byNobody, byUser, byRoot int
	}{
		{"PUT", "/v1/kv/a", 401, 200, 200},
		{"PUT", "/v1/kv/d", 401, 403, 200},
		{"GET", "/v1/kv/b", 401, 404, 404},
		{"GET", "/v1/kv/d", 401, 403, 200},
		{"GET", "/v1/kv?start=a&end=c", 401, 200, 200},
		{"GET", "/v1/kv?prefix=", 401, 403, 200},
		{"DELETE", "/v1/kv/d", 401, 403, 200},
		{"POST", "/v1/sessions", 401, 201, 201},
		{"GET", "/v1/status", 401, 200, 200},
		{"GET", "/v1/members", 401, 200, 200},
		{"POST", "/v1/members", 401, 403, 400},
		{"DELETE", "/v1/members/5", 401, 403, 404},
		{"PUT", "/v1/members/5", 401, 403, 400},
		{"POST", "/v1/members/5/promote", 401, 403, 404},
		{"POST", "/v1/leader/transfer", 401, 403, 200},
		{"GET", "/v1/flight", 401, 403, 200},
		{"GET", "/metrics", 200, 200, 200},
		{"GET", "/version", 200, 200, 200},
		{"GET", "/nothing", 404, 404, 404},
	} {
		if got := do(t, web, c.method, c.path, "").status; got != c.byNobody {
			t.Errorf("%s %s by nobody: %d, want %d", c.method, c.path, got, c.byNobody)
		}
		if got := do(t, web, c.method, c.path, "", u).status; got != c.byUser {
			t.Errorf("%s %s by a user: %d, want %d", c.method, c.path, got, c.byUser)
		}
		if got := do(t, web, c.method, c.path, "", root).status; got != c.byRoot {
			t.Errorf("%s %s by root: %d, want %d", c.method, c.path, got, c.byRoot)
		}
		if got := do(t, web, c.method, c.path, "", "Authorization: Bearer x").status; got != 401 && c.byNobody == 401 {
			t.Errorf("%s %s with a token that is made up: %d", c.method, c.path, got)
		}
	}
	// The log does not look at rights when members change, so a node that is behind
	// must not go by what it knows.
	n.set(func(n *oneNode) { n.missed = []kv.ChangeRights{{Kind: kv.DeleteUser, User: "ex"}} })
	do(t, web, "DELETE", "/v1/members/1", "", exRoot).want(t, 401)
	n.set(func(n *oneNode) {
		n.missed = []kv.ChangeRights{{Kind: kv.StopGuard}, {Kind: kv.StartGuard, Hash: auth.NewKey()}}
	})
	do(t, web, "POST", "/v1/leader/transfer", "", root).want(t, 401)
	if got := do(t, web, "GET", "/v1/kv", "", token("all")).status; got != 200 {
		t.Errorf("all keys by who may read all: %d", got)
	}
}
