package quorate

import (
	"fmt"
	"time"

	"github.com/quorate-db/quorate/raft"
)

// Event is something that has happened on a host, for those who watch it. Which fields
// a kind uses is said there; the others are zero.
type Event struct {
	Kind  EventKind
	At    time.Time
	Group GroupID // zero: the whole host

	Node    NodeID     // LeaderChanged, PeerUp, PeerDown, PeerRefused
	Term    raft.Term  // LeaderChanged
	Index   raft.Index // SnapshotTaken, SnapshotInstalled, LogCompacted: up to here
	Members []Member   // MembersChanged; not to be changed
	Err     error      // GroupStopped, PeerRefused
}

// EventKind says what has happened.
type EventKind uint8

// The kinds of events. Peers are watched only without Config.AlwaysAwake.
const (
	LeaderChanged     EventKind = iota + 1 // Node leads in Term; zero: nobody that this node knows
	MembersChanged                         // Members are in force; they may still be rolled back
	GroupStopped                           // on this node, because of Err
	SnapshotTaken                          // of this node's state, and stored
	SnapshotInstalled                      // from the leader, in place of this node's state
	LogCompacted                           // the log begins after Index now
	PeerDown                               // Node has said nothing for an election timeout
	PeerUp                                 // and now it has
	DiskStalled                            // one write takes longer than half of an election timeout
	DiskFull                               // or nearly: commands are refused here with ErrDiskFull
	DiskHasRoom                            // and now they are taken
	PeerRefused                            // Node has lost its disk, or runs on an old copy of it; Err says which
)

var eventNames = [...]string{
	"none", "leader changed", "members changed", "group stopped", "snapshot taken", "snapshot installed", "log compacted",
	"peer down", "peer up", "disk stalled", "disk full", "disk has room", "peer refused",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("event(%d)", uint8(k))
}

// tell passes an event on, unless nobody has taken those before: a host waits for no
// watcher.
func (h *Host) tell(e Event) {
	if h.cfg.Events == nil {
		return
	}
	e.At = h.cfg.Env.Now()
	select {
	case h.cfg.Events <- e:
	default:
		h.vitals.dropped.Add(1)
	}
}

// lookAround warns of what makes a node slow: a write that does not end, and now and then
// a peer that takes long to answer. It is called at each tick with how many ticks the
// write under way has taken.
func (h *Host) lookAround(stalled int) {
	patience := h.cfg.ElectionTimeout / 2
	if stalled == int(patience/h.cfg.tick()) {
		h.vitals.stalls.Add(1)
		h.tell(Event{Kind: DiskStalled})
		if h.loop.warnings.mayWarn(h.loop.ticks) {
			h.cfg.Logger.Warn("the disk takes long for a write", "longer_than", patience, "dir", h.cfg.Dir)
		}
	}
	if h.loop.ticks%lookTicks != 0 {
		return
	}
	for _, p := range h.peers.Stats().Peers {
		if p.RoundTrip <= patience {
			continue
		}
		h.vitals.slow.Add(1)
		if h.loop.warnings.mayWarn(h.loop.ticks) {
			h.cfg.Logger.Warn("a peer takes long to answer", "peer", fmt.Sprintf("%016x", uint64(p.ID)), "round_trip", p.RoundTrip, "longer_than", patience)
		}
	}
}

// lookTicks is how often peers are looked at: every 20 heartbeats.
const lookTicks = 20 * ticksPerHeartbeat

// warnings keeps a log readable: one in so many ticks.
type warnings struct{ next uint64 }

const warnTicks = 10 * lookTicks

func (w *warnings) mayWarn(now uint64) bool {
	if now < w.next {
		return false
	}
	w.next = now + warnTicks
	return true
}
