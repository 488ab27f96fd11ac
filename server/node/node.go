// Package node puts a server together: a Host that runs the group, the key-value
// state machine, and the HTTP door.
package node

import (
	"context"
	"log/slog"
)

// Ready is the message that Run logs, with attribute "url", once clients are
// served: the node has seen a leader and applied what was committed then.
const Ready = "ready to serve client requests"

// Run runs a node until ctx ends, then hands leadership over, flushes and
// returns nil. An error is one sentence for the user: why the node could not be
// started, or had to stop.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error { panic("soon") }
