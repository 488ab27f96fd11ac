package httpapi

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
)

// status answers GET /v1/status from what this node knows: it never waits. The hash
// is a walk over all keys, and counts as a request in progress.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	_, cancel, query, err := s.query(r, "hash")
	if err != nil {
		return err
	}
	defer cancel()
	out := statusOf(s.Cluster.Status())
	out.Name, out.ClusterID, out.Version = s.Name, s.ClusterID, s.Version
	switch query.Get("hash") {
	case "", "false":
	case "true":
		return s.admitted(func(w http.ResponseWriter, _ *http.Request) error {
			if out.Hash, err = s.hash(); err != nil {
				return err
			}
			return reply(w, http.StatusOK, out)
		})(w, r)
	default:
		return problem(wire.Malformed, fmt.Sprintf("hash=%q: it is true or false", query.Get("hash")))
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) hash() (*wire.StateHash, error) {
	d, err := s.Machine.Hash()
	if err != nil {
		return nil, err
	}
	return &wire.StateHash{Hash: wire.ID(d.Sum).String(), Applied: uint64(d.Applied), Revision: uint64(d.Revision)}, nil
}

func statusOf(st quorate.Status) wire.Status {
	self, known := st.Config.Find(st.ID)
	out := wire.Status{
		ID:      wire.ID(st.ID),
		Role:    st.Role.String(),
		Learner: known && self.Role == membership.Learner,
		Term:    uint64(st.Term),
		Leader:  wire.ID(st.Leader),
		Log: wire.Log{
			Commit:    uint64(st.Commit),
			Applied:   uint64(st.Applied),
			Durable:   uint64(st.Durable),
			Last:      uint64(st.Last.Index),
			Compacted: uint64(st.Base.Index),
		},
	}
	if st.Err != nil {
		out.Error = oneLine(st.Err.Error())
	}
	for _, p := range st.Peers {
		m, _ := st.Config.Find(p.ID)
		out.Followers = append(out.Followers, wire.Follower{
			ID:       wire.ID(p.ID),
			Name:     members.InfoOf(m).Name,
			State:    p.State.String(),
			Match:    uint64(p.Match),
			Next:     uint64(p.Next),
			InFlight: p.InFlight,
			Paused:   p.Paused,
			Active:   p.Active,
		})
	}
	return out
}

// version answers GET /version.
func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, wire.Version{
		EtcdServer: wire.EtcdVersion, EtcdCluster: wire.EtcdMinor, Storage: wire.EtcdMinor,
		Version: s.Version, Go: runtime.Version(),
	})
}
