//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

const (
	patience = 10 * time.Second       // for one operation
	staleBy  = 500 * time.Millisecond // how old some reads may be
)

// client does one operation after the other, as fast as its share of the rate allows.
type client struct {
	*child
	bytes *rand.ChaCha8
	rng   *rand.Rand
}

func newClient(c *child, number int) *client {
	var seed [32]byte
	for i, part := range []uint64{c.Seed, uint64(c.Writer), uint64(number)} {
		binary.LittleEndian.PutUint64(seed[8*i:], part)
	}
	bytes := rand.NewChaCha8(seed)
	return &client{child: c, bytes: bytes, rng: rand.New(bytes)}
}

func (c *client) run(ctx context.Context) {
	mean := time.Duration(float64(c.Clients) / c.Rate * float64(time.Second))
	for next := time.Now(); ; {
		next = next.Add(time.Duration(c.rng.ExpFloat64() * float64(mean)))
		if late := time.Now().Add(-time.Second); next.Before(late) {
			next = late // what could not be done is not done all at once
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
			c.once()
		case <-ctx.Done():
			return
		}
	}
}

// operations are what clients do, each so often of 1000 times.
var operations = []struct {
	name  string
	often int
	do    func(*client, context.Context, *ward) error
}{
	{"propose", 580, (*client).propose},
	{"read", 170, (*client).read},
	{"stale read", 150, (*client).readWithin},
	{"look", 80, (*client).look},
	{"transfer", 15, (*client).transfer},
	{"change", 5, (*client).change},
}

// isOperation tells operations from events.
func isOperation(what string) bool {
	for _, op := range operations {
		if op.name == what {
			return true
		}
	}
	return false
}

func (c *client) once() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, at := c.draw(), c.rng.IntN(1000)
	for _, op := range operations {
		if at -= op.often; at < 0 {
			c.note(op.name, op.do(c, ctx, w))
			if ctx.Err() != nil {
				slog.Warn("an operation took too long", "operation", op.name, "group", w.id, "status", fmt.Sprintf("%+v", w.Status()))
			}
			return
		}
	}
}

// draw returns a group: often one of a few, so that most have much time to sleep.
func (c *client) draw() *ward {
	if c.rng.IntN(100) < 40 {
		return c.wards[c.rng.IntN(max(1, len(c.wards)/128))]
	}
	return c.wards[c.rng.IntN(len(c.wards))]
}

// propose proposes a command of 16 B to 64 KiB, mostly small.
func (c *client) propose(ctx context.Context, w *ward) error {
	w.mu.Lock()
	w.numbers++
	this := write{uint32(w.id), w.numbers}
	w.mu.Unlock()
	command := make([]byte, 16<<min(c.rng.IntN(13), c.rng.IntN(13)))
	_, _ = c.bytes.Read(command) // it always succeeds
	putHeader(command, c.Writer, this.Number)
	result, err := w.Propose(ctx, command)
	switch {
	case err == nil && result != this.Number:
		c.breaks(writesFalse, "group %d, command %d: the result is %v", w.id, this.Number, result)
	case err == nil:
		w.mu.Lock()
		w.latest, w.since = this.Number, time.Now()
		w.mu.Unlock()
		c.say(line{Done: &this})
	case !errors.Is(err, quorate.ErrUnknownOutcome):
		c.say(line{Refused: &this})
	}
	return err
}

func (w *ward) acknowledged() (number uint32, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.since
}

// read must show what was acknowledged before.
func (c *client) read(ctx context.Context, w *ward) error {
	number, _ := w.acknowledged()
	_, err := w.Read(ctx)
	if err == nil && number > 0 && !w.book.holds(c.Writer, number) {
		c.breaks(readsStale, "group %d: a read does not show command %d, which was acknowledged before", w.id, number)
	}
	return err
}

// readWithin must show what was acknowledged so long before.
func (c *client) readWithin(ctx context.Context, w *ward) error {
	number, since := w.acknowledged()
	old := time.Since(since) > staleBy
	_, err := w.ReadWithin(ctx, staleBy)
	if err == nil && number > 0 && old && !w.book.holds(c.Writer, number) {
		c.breaks(readsStale, "group %d: a read within %v does not show command %d, acknowledged before that", w.id, staleBy, number)
	}
	return err
}

// look asks for all that there is to see, and restores what a change has left behind
// whose node did not live to end it.
func (c *client) look(ctx context.Context, w *ward) error {
	s := w.Status()
	if s.Err != nil {
		return s.Err
	}
	if s.Applied > s.Commit || s.Commit > s.Last.Index || s.Base.Index > s.Applied {
		c.breaks(groupsStopped, "group %d: a status that cannot be: %+v", w.id, s.Status)
	}
	if s.Leader == s.ID && !whole(s.Config) {
		return c.restore(ctx, w)
	}
	if err := c.host.Dump(w.id, io.Discard); !errors.Is(err, quorate.ErrNotRecorded) {
		return err
	}
	return nil
}

func (c *client) transfer(ctx context.Context, w *ward) error {
	return w.Transfer(ctx, quorate.NodeID(c.rng.IntN(replicas+1))) // zero: to whom it may be
}

// change takes the vote or the membership from another node, one way or the other,
// unless somebody else has changed something since, and gives both back.
func (c *client) change(ctx context.Context, w *ward) error {
	s := w.Status()
	if whole(s.Config) && s.Err == nil {
		other := quorate.NodeID((c.Node+c.rng.IntN(replicas-1))%replicas + 1)
		kind := []membership.ChangeKind{membership.Remove, membership.Demote}[c.rng.IntN(2)]
		err := w.Reconfigure(ctx, raft.Reconfiguration{
			Changes: []membership.Change{{Kind: kind, Member: quorate.Member{ID: other}}},
			Joint:   c.rng.IntN(2) == 0, Expect: s.ConfigIndex,
		})
		if err != nil {
			return err
		}
	}
	return c.restore(ctx, w)
}

// kinds are the errors that faults lead to.
var kinds = []struct {
	err  error
	name string
}{
	{quorate.ErrUnknownOutcome, "unknown"},
	{quorate.ErrNoLeader, "no leader"},
	{quorate.ErrBusy, "busy"},
	{quorate.ErrDiskFull, "disk full"},
	{quorate.ErrNotTakenOver, "not taken over"},
	{quorate.ErrClosed, "closed"},
	{raft.ErrStaleChange, "stale"},
	{raft.ErrChangePending, "change pending"},
	{raft.ErrNotCaughtUp, "not caught up"},
	{raft.ErrTooFewVoters, "too few voters"},
	{raft.ErrNotVoter, "no such voter"},
	{membership.ErrKnown, "known"},
	{membership.ErrUnknown, "no member"},
	{membership.ErrNotLearner, "voter already"},
	{context.DeadlineExceeded, "too late"},
}

// note counts how an operation ended. Errors of no known kind are told in full, to
// the file of what the node says.
func (c *child) note(what string, err error) {
	if err == nil {
		c.count(what)
		return
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			c.count(what + ": " + k.name)
			return
		}
	}
	slog.Warn("an operation failed", "operation", what, "err", err)
	c.count(what + ": other")
}
