package sim

import (
	"bytes"
	"errors"
	"io"

	"github.com/quorate-db/quorate/raft"
)

// replayEvery is after how many decisions of a replica its recording is played, so that
// it costs little.
const replayEvery = 10_000

// replays plays what was recorded of a core: a new one must do the same, and end in the
// same state (R1).
func replays(n *node, core *raft.Raft) error {
	if core.Tape() == nil {
		return nil
	}
	p, err := raft.Play(core.Tape())
	for inputs := 0; err == nil; inputs++ {
		if err = p.Next(); err != nil && !errors.Is(err, io.EOF) {
			return broken("R1", "node %d does not do again what was recorded: input %d, %v: %v", n.id, inputs, &p.Input, err)
		}
	}
	if p == nil {
		return broken("R1", "node %d: the recorded state cannot be read: %v", n.id, err)
	}
	if !bytes.Equal(p.Core.AppendState(nil), core.AppendState(nil)) {
		return broken("R1", "node %d: after all that was recorded its core is in another state", n.id)
	}
	return nil
}
