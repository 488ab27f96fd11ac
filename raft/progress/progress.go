// Package progress is one follower as its leader sees it.
package progress

import "fmt"

// State is how a leader sends to a follower.
type State uint8

// Probe looks for the last matching entry, one message at a time. Replicate
// streams within a window. Snapshot waits for a snapshot to arrive.
const (
	Probe State = iota
	Replicate
	Snapshot
)

func (s State) String() string {
	if s > Snapshot {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return [...]string{"probe", "replicate", "snapshot"}[s]
}
