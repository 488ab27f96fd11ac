package explore

import (
	"slices"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// settled is called after every input to a node's core. It takes the effects and
// carries them out as far as they need not wait: messages lie on the wire then,
// writes before the disk.
func (w *world) settled(n *node) error {
	if err := w.observe(n); err != nil {
		return err
	}
	for again := true; again; {
		fx := n.core.Take()
		if err := w.take(n, &fx); err != nil {
			return err
		}
		// What comes with no write, and no write before it, has nothing to wait for.
		for again = false; len(n.queue) > 0 && (!w.held || n.queue[0].write.Empty()); again = true {
			if err := w.sync(n); err != nil {
				return err
			}
		}
	}
	return w.judge(n)
}

func (w *world) take(n *node, fx *raft.Effects) error {
	for i := range fx.Send {
		if err := w.put(n, w.pack(fx.Send[i])); err != nil {
			return err
		}
	}
	for _, r := range fx.Reads {
		if err := n.answer(r); err != nil {
			return err
		}
	}
	if fx.Install != nil {
		n.taken = fx.Install.ID.Index
	}
	q := &queued{write: fx.Write, id: fx.WriteID}
	for i := range fx.SendAfter {
		q.after = append(q.after, w.pack(fx.SendAfter[i]))
	}
	if fx.Commit > n.taken {
		if fx.Install == nil && fx.Commit > end(&n.disk).Index {
			return finding("node %d is to apply %d, and its disk ends at %d", n.id, fx.Commit, end(&n.disk).Index)
		}
		q.apply, n.taken = fx.Commit, fx.Commit
	}
	if q.write.Empty() && len(q.after) == 0 && q.apply == 0 {
		return nil
	}
	var err error
	if n.log, err = added(n.log, q.write); err != nil {
		return finding("the writes of node %d do not connect", n.id)
	}
	n.queue = append(n.queue, q)
	return w.inForce(n) // before the next write may commit what should not be there
}

// sync makes the oldest write durable, and does what waited for it.
func (w *world) sync(n *node) error {
	q := n.queue[0]
	n.queue = n.queue[1:]
	var err error
	if n.disk, err = added(n.disk, q.write); err != nil {
		return finding("the writes of node %d do not connect", n.id)
	}
	for _, p := range q.after {
		if err := w.put(n, p); err != nil {
			return err
		}
	}
	if q.apply != 0 {
		n.core.Applied(q.apply)
	}
	if !q.write.Empty() {
		n.core.Persisted(q.id)
	}
	return w.observe(n)
}

// put lays a message on the wire.
func (w *world) put(n *node, p *packet) error {
	if p.Kind == raft.Heartbeat {
		n.round = max(n.round, p.Round)
	}
	if err := n.backs(&p.Message); err != nil {
		return err
	}
	same := func(other *packet) bool { return other.hashes[0] == p.hashes[0] }
	if int(p.To) <= len(w.nodes) && !slices.ContainsFunc(w.wire, same) {
		w.wire = append(w.wire, p)
	}
	return nil
}

// answer takes the answer to a read.
func (n *node) answer(r raft.Read) error {
	i := slices.IndexFunc(n.asked, func(q question) bool { return q.token == r.Token })
	if i < 0 {
		return finding("node %d has an answer to a read that nobody asked, or asked before it crashed", n.id)
	}
	least := n.asked[i].least
	n.asked = slices.Delete(n.asked, i, i+1)
	if r.Index != 0 && r.Index < least {
		return finding("node %d answers a read at %d, and %d was committed when it was asked", n.id, r.Index, least)
	}
	return nil
}

// perform does what an action says, to a state that is the caller's own.
func (w *world) perform(a action) error {
	if a.kind == Drop {
		w.wire = slices.Delete(w.wire, int(a.arg), int(a.arg)+1)
		return nil
	}
	n, peer := w.own(a.node), raft.NodeID(a.arg)
	switch a.kind {
	case Deliver, Duplicate:
		p := w.wire[a.arg]
		if a.kind == Deliver {
			w.wire = slices.Delete(w.wire, int(a.arg), int(a.arg)+1)
		}
		if err := n.core.Step(p.Message); err != nil {
			return finding("node %d refuses at the door: %v", n.id, err)
		}
	case Tick:
		n.core.Tick()
	case Campaign:
		n.core.Campaign()
	case Sync:
		if err := w.sync(n); err != nil {
			return err
		}
	case Restart:
		return w.start(n)
	case Lose:
		return w.lose(n)
	case Propose:
		_, _ = n.core.Propose(command(w.spent[Propose] - 1)) // refused: then nothing has happened
	case Change:
		w.setup.Changes[a.arg].ask(n.core)
	case Transfer:
		_ = n.core.Transfer(peer)
	case Compact:
		_ = n.core.Compact(n.seen.Applied)
	case Read:
		w.ask(n)
	case Unreachable:
		n.core.Unreachable(peer)
	case Silence:
		n.core.Silent(peer, electionTicks)
	case SnapshotFailed:
		n.core.SnapshotSent(peer, 0)
	}
	return w.settled(n)
}

// command is what the nth proposal of a history says, n from 0.
func command(n uint8) []byte { return []byte{'a' + n} }

// ask begins a read. Its answer must not be older than what any node knows to be
// committed now.
func (w *world) ask(n *node) {
	if token, err := n.core.Read(); err == nil {
		n.asked = append(n.asked, question{token, raft.Index(len(w.past.committed))})
	}
}

// ask offers a leader another membership. It may refuse.
func (c *Wish) ask(core *raft.Raft) {
	if c.Leave {
		_, _ = core.Leave()
		return
	}
	wish := raft.Reconfiguration{Changes: c.Changes, Joint: c.Joint, Stay: c.Stay}
	_, _ = core.Reconfigure(wish)
}

// change is a step of a Wish about one node.
func change(kind membership.ChangeKind, id raft.NodeID) membership.Change {
	return membership.Change{Kind: kind, Member: membership.Member{ID: id}}
}
