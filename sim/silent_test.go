package sim_test

import (
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// silent is a transcript that nobody reads.
type silent struct{}

func (silent) Note(time.Duration, raft.NodeID, string)      {}
func (silent) Message(time.Duration, *codec.Envelope, bool) {}

func (silent) Event(time.Duration, raft.GroupID, *raft.Event, *membership.Config, raft.Index) {}
