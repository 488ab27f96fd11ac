package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quorate-db/quorate"
)

// Errors beside those of [quorate.Group.Propose].
var (
	// ErrExpired says that the session is open no more: it was closed, or so many
	// others were used since that it was dropped. Open another one.
	ErrExpired = errors.New("session: it is not open any more")

	errForeign  = errors.New("session: the command was not made by this package: propose it by a Client, or as Plain")
	errAnswered = errors.New("session: the command was given up, and comes too late")
)

// Group is what a [Client] needs of a [quorate.Group] whose machine is a [Machine].
type Group interface {
	Propose(ctx context.Context, command []byte) (any, error)
}

// Client proposes the commands of one session. Its methods may be called from any
// goroutine.
type Client struct {
	group Group
	id    ID

	mu    sync.Mutex
	next  uint64              // number of the next command
	first uint64              // lowest number that is under way, or next
	over  map[uint64]struct{} // numbers above first that are not
	moved chan struct{}       // closed when first changes
}

// Open begins a session. One that was begun without our knowing stays open until it is
// the one unused for longest.
func Open(ctx context.Context, g Group) (*Client, error) {
	result, err := propose(ctx, g, command{kind: open})
	if err != nil {
		return nil, err
	}
	id, ok := result.(ID)
	if !ok {
		return nil, fmt.Errorf("session: the group answered %T: its state machine must be a session.Machine", result)
	}
	return &Client{group: g, id: id, next: 1, first: 1, over: map[uint64]struct{}{}, moved: make(chan struct{})}, nil
}

// ID names the session.
func (c *Client) ID() ID { return c.id }

// Propose carries out a command exactly once, and returns the bytes of its result: it
// is proposed again while nobody knows what became of it. An error that wraps
// [quorate.ErrUnknownOutcome] says that ctx ended, or the session, or the group on this
// node, before that was known: the command was carried out once or never. Any other error says that it
// certainly was not.
//
// At most [Window] commands are under way; one more waits until the oldest is done.
func (c *Client) Propose(ctx context.Context, data []byte) ([]byte, error) {
	number, first, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer c.end(number)
	result, err := propose(ctx, c.group, command{kind: call, session: c.id, number: number, first: first, data: data})
	if err != nil {
		return nil, err
	}
	a, ok := result.(answer)
	if !ok {
		return nil, fmt.Errorf("%w: session: the group answered %T: its state machine must be a session.Machine", quorate.ErrUnknownOutcome, result)
	}
	return bytes.Clone(a.data), nil // the machine keeps its own
}

// Close ends the session: what was remembered for it is forgotten everywhere.
func (c *Client) Close(ctx context.Context) error {
	_, err := propose(ctx, c.group, command{kind: closing, session: c.id})
	return err
}

// begin waits for a number that the window covers.
func (c *Client) begin(ctx context.Context) (number, first uint64, err error) {
	for {
		c.mu.Lock()
		number, first = c.next, c.first
		if number-first < Window {
			c.next++
			c.mu.Unlock()
			return number, first, nil
		}
		moved := c.moved
		c.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("%w: %w", quorate.ErrBusy, ctx.Err())
		}
	}
}

// end says that nobody waits for the answer to a number any more.
func (c *Client) end(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over[number] = struct{}{}
	if number != c.first {
		return
	}
	for ; ; c.first++ {
		if _, over := c.over[c.first]; !over {
			break
		}
		delete(c.over, c.first)
	}
	close(c.moved)
	c.moved = make(chan struct{})
}

// isForNow reports whether a refusal may be another answer soon. It says nothing of the
// attempts before it.
func isForNow(err error) bool {
	return errors.Is(err, quorate.ErrBusy) || errors.Is(err, quorate.ErrDiskFull)
}

// pause waits a moment before the next attempt, unless ctx ends.
func pause(ctx context.Context) (again bool) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// propose proposes a command until it is known what became of it. To open and to close
// a session twice does no harm.
func propose(ctx context.Context, g Group, c command) (any, error) {
	data, unknown := c.encode(), error(nil)
	for {
		result, err := g.Propose(ctx, data)
		if no, refused := result.(refusal); refused && err == nil {
			err = no.error
		}
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, quorate.ErrUnknownOutcome) && ctx.Err() == nil:
			unknown = err
		case unknown != nil && isForNow(err) && pause(ctx):
		case unknown != nil && !errors.Is(err, quorate.ErrUnknownOutcome):
			return nil, fmt.Errorf("%w: %w", quorate.ErrUnknownOutcome, err)
		default:
			return nil, err
		}
	}
}
