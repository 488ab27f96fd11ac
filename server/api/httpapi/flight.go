package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
)

// flight answers GET /v1/flight with what went lately into this node's core, for
// quorate replay. It never waits for other nodes.
func (s *Server) flight(w http.ResponseWriter, r *http.Request) error {
	_, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	var file bytes.Buffer
	if err := s.Flight(&file); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", s.Name+".flight"))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(file.Bytes()) // the client may be gone
	return nil
}
