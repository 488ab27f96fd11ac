package transport

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
)

// complaints logs what strangers can cause, and so not all of it: a burst, then
// one line a second. The next line says how many were left out.
type complaints struct {
	clock  env.Clock
	logger *slog.Logger

	mu     sync.Mutex
	since  time.Time // of the current second
	lines  int       // in it
	silent int       // left out
}

const linesPerSecond = 10

func (c *complaints) warn(text string, args ...any) {
	c.mu.Lock()
	now := c.clock.Now()
	if now.Sub(c.since) >= time.Second {
		c.since, c.lines = now, 0
	}
	c.lines++
	if c.lines > linesPerSecond {
		c.silent++
		c.mu.Unlock()
		return
	}
	if c.silent > 0 {
		args = append(args, "left out", c.silent)
		c.silent = 0
	}
	c.mu.Unlock()
	c.logger.Warn(text, args...)
}

// blame counts and logs why a connection was closed if the peer broke the rules;
// that a connection broke is nobody's fault.
func (t *Transport) blame(conn net.Conn, err error) {
	if !errors.Is(err, errViolation) {
		return
	}
	t.counters.violations.Add(1)
	t.log.warn("closed a connection; its other end is no node of quorate, or is not well", "remote", conn.RemoteAddr().String(), "error", err.Error())
}

// observe merges a peer's clock into ours.
func (t *Transport) observe(peer raft.NodeID, clock env.Timestamp) {
	if !t.hlc.Observe(clock) {
		t.log.warn("the clock of a peer is more than a minute ahead of ours", "peer", name(peer), "its time", clock.String())
	}
}
