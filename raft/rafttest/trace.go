package rafttest

import (
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

func (c *Cluster) tell(format string, args ...any) {
	if c.Trace != nil {
		c.Trace(fmt.Sprintf(format, args...))
	}
}

// tellStep tells what a step has made of the node.
func (c *Cluster) tellStep(n *Node) {
	if c.Trace == nil {
		return
	}
	now := n.Core.Status()
	if now.Role != n.seen.Role {
		c.tell("%d becomes %v in term %d", n.ID, now.Role, now.Term)
	}
	if now.Asleep != n.seen.Asleep {
		c.tell("%d %s", n.ID, word(now.Asleep, "falls asleep", "wakes"))
	}
	if n.seen.Injured && !now.Injured {
		c.tell("%d is healed", n.ID)
	}
	if now.Commit > n.seen.Commit {
		c.tell("%d commits %d", n.ID, now.Commit)
	}
	n.seen = now
}

// tellEvents tells by which rules the steps since the last Take went.
func (c *Cluster) tellEvents(fx *raft.Effects) {
	if c.Event == nil {
		return
	}
	for _, e := range fx.Trace {
		c.Event(e)
	}
}

// tellEffects tells what leaves at once and what goes to the disk.
func (c *Cluster) tellEffects(n *Node, fx *raft.Effects, q *queued) {
	if c.Trace == nil {
		return
	}
	for i := range fx.Send {
		c.tell("%s", Show(&fx.Send[i]))
	}
	for _, r := range fx.Reads {
		if r.Index == 0 {
			c.tell("%d refuses read %d", n.ID, short(r.Token))
		} else {
			c.tell("%d answers read %d at %d", n.ID, short(r.Token), r.Index)
		}
	}
	if fx.Write.Empty() {
		return
	}
	q.text = showWrite(&fx.Write, n.written)
	n.written = fx.State
	if n.Synced {
		c.tell("%d writes %s", n.ID, q.text)
	} else {
		c.tell("%d writes, held: %s", n.ID, q.text)
	}
}

// tellSynced tells what a write that has become durable lets go.
func (c *Cluster) tellSynced(n *Node, q *queued) {
	if c.Trace == nil {
		return
	}
	if q.text != "" && !n.Synced {
		c.tell("%d synced %s", n.ID, q.text)
	}
	for i := range q.after {
		c.tell("then %s", Show(&q.after[i]))
	}
	if q.load != nil {
		c.tell("%d loads snapshot %v", n.ID, q.load.ID)
	}
	if len(q.apply) > 0 {
		c.tell("%d applies %s", n.ID, showEntries(q.apply))
	}
}
