package httpapi

import (
	"net/http"

	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/kv"
)

// openSession answers POST /v1/sessions. One that nobody learns of, because the
// answer was lost, expires by itself.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	result, err := s.propose(ctx, r, kv.Command{Do: kv.OpenSession{}})
	if err != nil {
		return err
	}
	id := wire.ID(result.Session)
	w.Header().Set("Location", "/v1/sessions/"+id.String())
	return reply(w, http.StatusCreated, wire.Session{ID: id})
}

// closeSession answers DELETE /v1/sessions/{id}.
func (s *Server) closeSession(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	id, err := pathID(r)
	if err != nil {
		return err
	}
	if _, err := s.propose(ctx, r, kv.Command{Do: kv.CloseSession{Session: kv.SessionID(id)}}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pathID returns the {id} of the path.
func pathID(r *http.Request) (wire.ID, error) {
	id, err := wire.ParseID(r.PathValue("id"))
	if err != nil {
		return 0, problem(wire.Malformed, err.Error())
	}
	if id == 0 {
		return 0, problem(wire.Malformed, "the ID zero names nothing")
	}
	return id, nil
}
