package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/quorate-db/quorate/server/api/wire"
)

// Session makes writes count once, however often they have to be sent
// (dissertation 6.3): it numbers them, and the store answers a number that it
// has seen with the first answer. One that stays idle for long expires, and its
// next write ends with ErrSessionExpired.
//
// A session may be used by many goroutines; their writes go one after the other.
// Open several sessions to write in parallel.
type Session struct {
	client *Client
	id     wire.ID

	// turn holds the number of the last write. Whoever takes it out may write;
	// unlike a mutex it can be waited for with a deadline. One write at a time
	// keeps the numbers in order: the store refuses a number below one it has
	// forgotten.
	turn chan uint64
}

// OpenSession asks the cluster for a session. An answer that got lost leaves
// behind a session that expires, so it is safe to ask again.
func (c *Client) OpenSession(ctx context.Context) (*Session, error) {
	resp, err := c.do(ctx, request{method: http.MethodPost, path: "/v1/sessions", repeatable: true})
	if err != nil {
		return nil, err
	}
	var opened wire.Session
	if err := resp.decode(&opened); err != nil {
		return nil, err
	}
	s := &Session{client: c, id: opened.ID, turn: make(chan uint64, 1)}
	s.turn <- 0
	return s, nil
}

// ID is the session's name, unique in the cluster.
func (s *Session) ID() uint64 { return uint64(s.id) }

// Put writes the key and returns the revision of the write.
func (s *Session) Put(ctx context.Context, key, value []byte, conditions ...Condition) (uint64, error) {
	w, err := s.write(ctx, putRequest(key, value, conditions))
	return w.Revision, err
}

// Delete removes the key. It reports whether the key existed, and the store's
// revision afterwards.
func (s *Session) Delete(ctx context.Context, key []byte, conditions ...Condition) (deleted bool, revision uint64, err error) {
	w, err := s.write(ctx, deleteRequest(key, conditions))
	return w.Deleted != nil && *w.Deleted, w.Revision, err
}

func (s *Session) write(ctx context.Context, rq request) (wire.Written, error) {
	select {
	case <-ctx.Done():
		return wire.Written{}, fmt.Errorf("the session's write before this one took too long: %w", ctx.Err())
	case last := <-s.turn:
		sequence := last + 1
		defer func() { s.turn <- sequence }()
		rq.header.Set(wire.HeaderSession, s.id.String())
		rq.header.Set(wire.HeaderSequence, strconv.FormatUint(sequence, 10))
		rq.repeatable = true
		return s.client.write(ctx, rq)
	}
}

// Close ends the session, so that the store can forget it at once.
func (s *Session) Close(ctx context.Context) error {
	_, err := s.client.do(ctx, request{
		method:     http.MethodDelete,
		path:       "/v1/sessions/" + s.id.String(),
		repeatable: true,
	})
	if errors.Is(err, ErrSessionExpired) {
		return nil
	}
	return err
}
