package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/quorate-db/quorate/server/backup"
)

// snapshot answers GET /v1/snapshot with this node's store as of now, in the form of
// package backup. It never waits for other nodes.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) error {
	_, cancel, _, err := s.query(r)
	if err != nil {
		return err
	}
	defer cancel()
	view, err := s.Machine.Snapshot()
	if err != nil {
		return err
	}
	defer view.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if _, err := backup.Write(&patient{w, http.NewResponseController(w)}, view); err != nil {
		s.Logger.Warn("a snapshot was not sent to its end", "error", err)
		panic(http.ErrAbortHandler) // cut off, so that nobody takes a part for the whole
	}
	return nil
}

// patient gives a client time for each part rather than for the whole, which may be
// any number of bytes.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(maxTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}
