package quorate

import (
	"sync/atomic"

	"github.com/quorate-db/quorate/raft"
)

// pending is the memory that commands take on this host between the inbox and the
// state machines: what its leaders hold that waits for a majority, and what waits for
// state machines here, whoever leads. Each group has bounds of its own for both, but
// there may be thousands of groups.
type pending struct {
	limit int64        // bytes
	bytes atomic.Int64 // of all groups
}

// takes reports whether a group may have more bytes pending than its own. One half of
// the limit is for who comes first. The other is shared out evenly, so that groups which
// have lost their majority cannot keep all others from going on, and so that both
// together are never more than the limit. A group with nothing pending is allowed one
// command in any case: its share could be smaller than that.
func (p *pending) takes(own, fresh, more int64, groups int) bool {
	half := p.limit / 2
	return own == 0 || p.bytes.Load()+fresh+more <= half || own+more <= half/int64(max(1, groups))
}

const maxUncommittedBytes = 64 << 20 // that may wait for a majority in one group

// hasRoom reports whether the group may be given a command of so many bytes. Fresh is
// what its core has taken since weigh was called. Any goroutine may ask, but only the
// loop is told what will still be true when it acts.
func (g *Group) hasRoom(fresh, more int64) bool {
	if g.machine.behind() {
		return false
	}
	own := g.uncommitted.Load() + fresh
	if own > 0 && own+more > maxUncommittedBytes {
		return false // as the core would say
	}
	return g.host.hasRoom(own+g.machine.heavy.Load(), fresh, more)
}

func (h *Host) hasRoom(own, fresh, more int64) bool {
	return h.pending.takes(own, fresh, raft.EntryOverhead+more, len(h.all()))
}

// fresh is what the group's core has taken since weigh was called, in bytes.
func (g *Group) fresh(core *raft.Raft) int64 {
	return int64(core.Uncommitted()) - g.uncommitted.Load()
}

// weigh notes what waits for a majority in the group, if this node leads it. The loop
// calls it whenever that may have changed.
func (g *Group) weigh(bytes int64) {
	if was := g.uncommitted.Load(); was != bytes {
		g.uncommitted.Store(bytes)
		g.host.pending.bytes.Add(bytes - was)
	}
}
