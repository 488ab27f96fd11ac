package sim

import "github.com/quorate-db/quorate/raft"

// budget is what the log of a replica may take of its node's memory besides its part of
// Options.LogBytes.
type budget struct {
	base  raft.EntryID // after which the log begins
	bytes uint64       // that the log has
	owed  uint64       // the most that was not applied since it began there: no compaction lets go of that
	gulp  uint64       // the most that came at once in this life
}

// recovered is the budget of a log that was found on a disk. All of it is owed: a crash may
// have brought back what was compacted away.
func recovered(saved *raft.Saved) budget {
	bytes := raft.SizeOf(saved.Entries)
	return budget{base: saved.Base.ID, bytes: bytes, owed: bytes}
}

// note follows the log.
func (b *budget) note(core *raft.Raft, applied raft.Index) {
	base, bytes := core.Base(), core.LogBytes()
	if base != b.base {
		b.base, b.owed = base, 0
	}
	b.owed = max(b.owed, bytes-raft.SizeOf(core.Entries(base.Index, applied, 1<<40)))
	if bytes > b.bytes {
		b.gulp = max(b.gulp, bytes-b.bytes)
	}
	b.bytes = bytes
}

// weigh looks at what the logs of all groups of a node take together (I17). Half of the
// limit comes on top: what is kept for followers, for those that are sent a snapshot, and
// what comes while one of the own state is written.
func (j *judge) weigh(n *node, r *replica, core *raft.Raft) {
	limit := n.sim.cfg.LogBytes
	if limit == 0 {
		return
	}
	r.budget.note(core, r.applied)
	allowed := limit + limit/2
	for _, r := range n.replicas {
		allowed += int64(r.budget.owed + r.budget.gulp)
	}
	if held := n.host.Vitals().LogBytes; held > allowed {
		j.fail(n, broken("I17", "the logs of node %d have %d bytes; %d are wanted, and %d allowed", n.id, held, limit, allowed))
	}
}
