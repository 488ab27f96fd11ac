package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
)

// members answers GET /v1/members.
func (s *Server) members(w http.ResponseWriter, r *http.Request) error {
	_, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	return reply(w, http.StatusOK, MembersOf(s.ClusterID, s.PeerScheme, s.Cluster.Status()))
}

// MembersOf is what is told of the members of a cluster; scheme is that of peer URLs.
func MembersOf(cluster wire.ID, scheme string, status quorate.Status) *wire.Members {
	out := &wire.Members{
		ClusterID: cluster,
		Index:     uint64(status.ConfigIndex),
		Committed: status.ConfigIndex <= status.Commit,
		Members:   []wire.Member{},
	}
	for _, m := range status.Config.Members {
		out.Members = append(out.Members, memberOf(m, scheme, status.Leader))
	}
	return out
}

func memberOf(m quorate.Member, scheme string, leader raft.NodeID) wire.Member {
	info := members.InfoOf(m)
	return wire.Member{
		ID:         wire.ID(m.ID),
		Name:       info.Name,
		Role:       m.Role.String(),
		PeerURL:    scheme + "://" + m.Address,
		ClientURLs: info.ClientURLs,
		Leader:     m.ID == leader,
	}
}

// addMember answers POST /v1/members: the member joins as a learner.
func (s *Server) addMember(w http.ResponseWriter, r *http.Request) error {
	var add wire.AddMember
	if err := body(w, r, &add); err != nil {
		return err
	}
	if add.ID == 0 {
		add.ID = wire.ID(members.DrawID())
	}
	described, err := s.described(add)
	if err != nil {
		return err
	}
	err = s.change(r, func(ctx context.Context) error { return members.Add(ctx, s.Cluster, described, s.Limits.Learners) })
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/members/"+add.ID.String())
	return reply(w, http.StatusCreated, memberOf(described, s.PeerScheme, 0))
}

// updateMember answers PUT /v1/members/{id}: the member has another name or other
// addresses. A member that starts says so itself.
func (s *Server) updateMember(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	var update wire.AddMember
	if err := body(w, r, &update); err != nil {
		return err
	}
	update.ID = id
	described, err := s.described(update)
	if err != nil {
		return err
	}
	if err := s.changeOne(r, membership.Update, described); err != nil {
		return err
	}
	status := s.Cluster.Status()
	if now, ok := status.Config.Find(described.ID); ok {
		described.Role = now.Role
	}
	return reply(w, http.StatusOK, memberOf(described, s.PeerScheme, status.Leader))
}

// described is the member that a request describes, as the log records it.
func (s *Server) described(add wire.AddMember) (quorate.Member, error) {
	address, err := s.peerAddress(add.PeerURL)
	if err != nil {
		return quorate.Member{}, err
	}
	if add.Name == "" {
		return quorate.Member{}, problem(wire.Malformed, "the member has no name: give it one")
	}
	stays := add.Learner
	for _, m := range s.Cluster.Status().Config.Members {
		if wire.ID(m.ID) == add.ID {
			stays = members.StaysLearner(m)
		}
		if members.InfoOf(m).Name == add.Name && wire.ID(m.ID) != add.ID {
			return quorate.Member{}, problem(wire.NameUsed, fmt.Sprintf("the member %v is named %s already: remove it first, or choose another name",
				wire.ID(m.ID), printable(add.Name)))
		}
	}
	return quorate.Member{
		ID:      quorate.NodeID(add.ID),
		Role:    membership.Learner,
		Address: address,
		Info:    members.Info{Name: add.Name, ClientURLs: add.ClientURLs, StaysLearner: stays}.String(),
	}, nil
}

func (s *Server) peerAddress(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Port() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", problem(wire.Malformed, fmt.Sprintf("peer_url %s: write it like %s://10.0.0.4:2380", printable(raw), s.PeerScheme))
	}
	if u.Scheme != s.PeerScheme {
		return "", problem(wire.Malformed, fmt.Sprintf("peer_url %s: the members of this cluster speak %s to each other, and each must", printable(raw), s.PeerScheme))
	}
	return u.Host, nil
}

// promoteMember answers POST /v1/members/{id}/promote.
func (s *Server) promoteMember(w http.ResponseWriter, r *http.Request) error {
	return s.changeByID(w, r, membership.Promote)
}

// removeMember answers DELETE /v1/members/{id}.
func (s *Server) removeMember(w http.ResponseWriter, r *http.Request) error {
	return s.changeByID(w, r, membership.Remove)
}

func (s *Server) changeByID(w http.ResponseWriter, r *http.Request, kind membership.ChangeKind) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if err := s.changeOne(r, kind, quorate.Member{ID: quorate.NodeID(id)}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeOne changes one member that is there.
func (s *Server) changeOne(r *http.Request, kind membership.ChangeKind, m quorate.Member) error {
	return s.change(r, func(ctx context.Context) error {
		return members.Change(ctx, s.Cluster, membership.Change{Kind: kind, Member: m})
	})
}

// change changes the membership.
func (s *Server) change(r *http.Request, change func(context.Context) error) error {
	ctx, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	if err := s.stillRoot(ctx, r); err != nil {
		return err
	}
	return maybeDone(change(ctx))
}

// transfer answers POST /v1/leader/transfer.
func (s *Server) transfer(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	var t wire.Transfer
	if err := body(w, r, &t); err != nil {
		return err
	}
	if err := s.stillRoot(ctx, r); err != nil {
		return err
	}
	if err := s.Cluster.Transfer(ctx, quorate.NodeID(t.To)); err != nil {
		return err
	}
	return reply(w, http.StatusOK, wire.Transferred{Leader: wire.ID(s.Cluster.Status().Leader)})
}

// maxJSON is the largest JSON body, in bytes.
const maxJSON = 64 << 10

// body reads a JSON body; an empty one leaves out as it is.
func body(w http.ResponseWriter, r *http.Request, out any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(wire.Malformed, fmt.Sprintf("the body has more than %d bytes", maxJSON))
	}
	if err != nil {
		return problem(wire.Malformed, "the body was cut short and nothing was done: "+oneLine(err.Error()))
	}
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return problem(wire.Malformed, "the body is not the JSON that is expected here: "+oneLine(err.Error()))
	}
	return nil
}
