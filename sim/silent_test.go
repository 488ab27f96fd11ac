package sim_test

import (
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// silent is a transcript that nobody reads.
type silent struct{}

func (silent) Note(time.Duration, raft.NodeID, string)  {}
func (silent) Event(time.Duration, *raft.Event)         {}
func (silent) Delivered(time.Duration, *codec.Envelope) {}
