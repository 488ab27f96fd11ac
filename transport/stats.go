package transport

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/timing"
)

// State is what our connection to a peer is doing.
type State int32

// The states: being made; in use; broken or not made, to be tried again soon.
const (
	Dialing State = iota
	Connected
	Waiting
)

func (s State) String() string {
	if s < Dialing || s > Waiting {
		return fmt.Sprintf("state(%d)", int32(s))
	}
	return [...]string{"dialing", "connected", "waiting"}[s]
}

// Stats is a copy of the transport's counters, all since Listen.
type Stats struct {
	Peers       []PeerStats // sorted by ID
	Refused     uint64      // incoming connections turned away: strangers, wrong clusters, too many
	Violations  uint64      // connections closed because of what came over them
	Insecure    uint64      // connections, of both directions, that failed for want of good credentials
	Unaddressed uint64      // messages dropped because their receiver is unknown
}

// PeerStats is one peer. Its counters start anew if it is removed and set again.
type PeerStats struct {
	ID        raft.NodeID
	Address   string
	Learned   bool // the address is the peer's own word, not from SetPeer
	State     State
	Sent      uint64        // bytes
	Received  uint64        // bytes
	Dropped   uint64        // messages to it: no room, or no connection
	Missed    uint64        // frames that it sent and we did not get
	Repeated  uint64        // frames that came twice and were ignored
	RoundTrip time.Duration // of the last ping, queues included; zero before the first
	LastError string        // why it was last not reached; empty if never

	RoundTrips timing.Histogram // of all pings that were answered
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats {
	s := Stats{
		Refused:     t.counters.refused.Load(),
		Violations:  t.counters.violations.Load(),
		Unaddressed: t.counters.unaddressed.Load(),
		Insecure:    t.counters.insecure.Load(),
	}
	t.mu.Lock()
	for _, l := range t.links {
		s.Peers = append(s.Peers, l.peerStats())
	}
	t.mu.Unlock()
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (l *link) peerStats() PeerStats {
	address, fixed := l.dialAddress()
	p := PeerStats{
		ID:        l.id,
		Address:   address,
		Learned:   !fixed,
		State:     State(l.stats.state.Load()),
		Sent:      l.stats.sent.Load(),
		Received:  l.stats.received.Load(),
		Dropped:   l.queue.droppedMessages(),
		Missed:    l.stats.missed.Load(),
		Repeated:  l.stats.repeats.Load(),
		RoundTrip: time.Duration(l.stats.roundTrips.last.Load()),

		RoundTrips: l.stats.roundTrips.all.Now(),
	}
	if text := l.stats.lastError.Load(); text != nil {
		p.LastError = *text
	}
	return p
}
