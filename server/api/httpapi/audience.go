package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/quorate-db/quorate/server/kv"
)

// audience is who may use a path while rights are enforced, as in package etcdv3.
type audience int

const (
	forRoot  audience = iota // also whatever is not in the table
	forUsers                 // whoever has said who it is
	byRights                 // the store decides, by the key
	forAll
)

// audiences are said for a path, or for a method at it. The etcd API has its own.
var audiences = map[string]audience{
	keyPath + "{key}":   byRights,
	"/v1/kv":            byRights,
	"/v1/sessions":      forUsers,
	"/v1/sessions/{id}": forUsers,
	"/v1/status":        forUsers,
	"GET /v1/members":   forUsers,
	"/version":          forAll,
	"/metrics":          forAll,
	"/health":           forAll,
	"/livez":            forAll,
	"/livez/{check}":    forAll,
	"/readyz":           forAll,
	"/readyz/{check}":   forAll,
	"/":                 forAll, // there is nothing
	"/v3/":              forAll,
	"/v3beta/":          forAll,
}

func audienceOf(route, method string) audience {
	if who, said := audiences[method+" "+route]; said {
		return who
	}
	if strings.HasPrefix(route, "/v3/") {
		return forAll
	}
	return audiences[route]
}

// admit refuses who may not use a path, whatever it names.
func (s *Server) admit(route string, r *http.Request) error {
	who := audienceOf(route, r.Method)
	if who == forAll || who == byRights {
		return nil
	}
	by, err := s.caller(r)
	if err != nil {
		return err
	}
	if who == forUsers {
		return s.Machine.For(by).Known()
	}
	return s.Machine.For(by).Admin()
}

// stillRoot refuses who may not do everything as the cluster has it now. What the log
// does not check when it is applied must not be let in by a node that is behind.
func (s *Server) stillRoot(ctx context.Context, r *http.Request) error {
	if _, err := s.Log.Read(ctx); err != nil {
		return err
	}
	by, err := s.caller(r)
	if err != nil {
		return err
	}
	return s.Machine.For(by).Admin()
}

// caller finds out who asks. Who shows no token is nobody.
func (s *Server) caller(r *http.Request) (kv.Caller, error) {
	shown := r.Header.Get("Authorization")
	if shown == "" {
		return kv.Caller{}, nil
	}
	return s.Keeper.Caller(strings.TrimPrefix(shown, "Bearer "))
}
