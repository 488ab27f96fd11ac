package client

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/server/api/wire"
)

func TestClusterCallsAreRequests(t *testing.T) {
	var got string
	c := connect(t, Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = r.Method + " " + r.URL.Path + " " + string(body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/transfer"):
			_ = json.NewEncoder(w).Encode(wire.Transferred{Leader: 2})
		case r.Method == http.MethodGet:
			_ = json.NewEncoder(w).Encode(wire.Members{ClusterID: 1, Members: []wire.Member{{ID: 0xa}}})
		default:
			_ = json.NewEncoder(w).Encode(wire.Member{ID: 0xa, Name: "n"})
		}
	}))
	add := wire.AddMember{Name: "n", PeerURL: "http://h:1"}
	for want, call := range map[string]func() error{
		"GET /v1/members ": func() error {
			m, err := c.Members(t.Context())
			if err == nil && (m.ClusterID != 1 || m.Members[0].ID != 0xa) {
				t.Errorf("members are %+v", m)
			}
			return err
		},
		`POST /v1/members {"name":"n","peer_url":"http://h:1"}`: func() error {
			m, err := c.AddMember(t.Context(), add)
			if err == nil && m.ID != 0xa {
				t.Errorf("added %+v", m)
			}
			return err
		},
		`PUT /v1/members/000000000000000a {"name":"n","peer_url":"http://h:1"}`: func() error {
			_, err := c.UpdateMember(t.Context(), 0xa, add)
			return err
		},
		"POST /v1/members/000000000000000a/promote ": func() error { return c.PromoteMember(t.Context(), 0xa) },
		"DELETE /v1/members/000000000000000a ":       func() error { return c.RemoveMember(t.Context(), 0xa) },
		`POST /v1/leader/transfer {"to":"0000000000000002"}`: func() error {
			leader, err := c.TransferLeader(t.Context(), 2)
			if err == nil && leader != 2 {
				t.Errorf("leader is %v", leader)
			}
			return err
		},
	} {
		if err := call(); err != nil || got != want {
			t.Errorf("sent %s, want %s (%v)", got, want, err)
		}
	}
}
