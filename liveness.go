package quorate

import (
	"cmp"
	"slices"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
)

// liveness is what the loop knows of the nodes with which it shares groups. Groups
// that sleep hear nothing from their leaders; instead the nodes hear from each other,
// one heartbeat for all groups, and only where nothing else was said.
//
// A node's heartbeat is a Heartbeat of group zero, which is no group. Its Round is the
// node's generation: it differs after each start, and after a group has stopped
// there, so that nobody sleeps under a leader that is no more. Whoever hears one from
// a node with which it knows of no common group answers it, by a HeartbeatReply.
type liveness struct {
	nodes      []*neighbour // by rising ID
	generation uint64
	words      []codec.Envelope // that are sent now
}

// neighbour is one other node.
type neighbour struct {
	id         NodeID
	heard      uint64 // the tick of its last word
	told       uint64 // the tick of our last word to it
	generation uint64 // as it last said; zero: it has not
	silent     bool   // not heard for an election timeout
}

// nodeGroup is the group of what nodes say to each other for themselves.
const nodeGroup GroupID = 0

func (l *liveness) search(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(l.nodes, id, func(n *neighbour, id NodeID) int { return cmp.Compare(n.id, id) })
}

// meet returns a node, which counts as heard now if it was not known.
func (l *liveness) meet(id NodeID, now uint64) *neighbour {
	at, found := l.search(id)
	if !found {
		l.nodes = slices.Insert(l.nodes, at, &neighbour{id: id, heard: now})
	}
	return l.nodes[at]
}

// hear takes note of a message: its sender is alive.
func (h *Host) hear(m *codec.Envelope) {
	if h.cfg.AlwaysAwake {
		return
	}
	n := h.loop.life.meet(m.Message.From, h.loop.ticks)
	n.heard = h.loop.ticks
	if n.silent {
		n.silent = false
		h.tell(Event{Kind: PeerUp, Node: n.id})
		h.loop.engine.LedBy(h.id, func(_ GroupID, core *raft.Raft) { core.Alive(n.id) })
	}
	if m.Group != nodeGroup {
		return
	}
	if h.loop.book.shared[n.id] == 0 && m.Message.Kind == raft.Heartbeat {
		// We know of no group that we share with it. It does: one that has invited us
		// and then slept while we could not be reached, say. It has to know that we live.
		h.loop.life.word(h, n, raft.HeartbeatReply)
		h.loop.life.say(h)
	}
	if m.Message.Round == n.generation {
		return
	}
	n.generation = m.Message.Round
	for _, leader := range []NodeID{n.id, h.id} {
		h.loop.engine.LedBy(leader, func(_ GroupID, core *raft.Raft) { core.Silent(n.id, 0) })
	}
}

// speak takes note of whom we send messages to.
func (l *liveness) speak(messages []codec.Envelope, now uint64) {
	var n *neighbour
	for i := range messages {
		if to := messages[i].Message.To; n == nil || n.id != to {
			n = l.meet(to, now)
		}
		n.told = now
	}
}

// tick sends heartbeats to those who have heard nothing from us for an interval, and
// tells the groups of nodes that have fallen silent.
func (l *liveness) tick(h *Host) {
	if h.cfg.AlwaysAwake {
		return
	}
	now := h.loop.ticks
	for _, n := range l.nodes {
		// To all in the same tick: if we fall silent, all shall know at the same time.
		if h.loop.book.shared[n.id] > 0 && now%ticksPerHeartbeat == 0 && now-n.told > ticksPerHeartbeat/2 {
			n.told = now
			l.word(h, n, raft.Heartbeat)
		}
		if silence := now - n.heard; !n.silent && silence > uint64(h.cfg.electionTicks()) {
			n.silent = true
			h.tell(Event{Kind: PeerDown, Node: n.id})
			h.loop.engine.LedBy(n.id, func(id GroupID, core *raft.Raft) {
				core.Silent(n.id, int(silence))
				h.succeed(id, core, n.id)
			})
			h.loop.engine.LedBy(h.id, func(_ GroupID, core *raft.Raft) { core.Silent(n.id, int(silence)) })
		}
	}
	// Members come and go; whoever is heard again, or becomes one, is met anew.
	l.nodes = slices.DeleteFunc(l.nodes, func(n *neighbour) bool { return n.silent && !h.loop.book.has(n.id) })
	l.say(h)
}

// word is a heartbeat for a node, or the answer to one. It is sent by say.
func (l *liveness) word(h *Host, n *neighbour, kind raft.Kind) {
	l.words = append(l.words, codec.Envelope{Group: nodeGroup, Message: raft.Message{
		Kind: kind, From: h.id, To: n.id, Round: l.generation,
	}})
}

func (l *liveness) say(h *Host) {
	if len(l.words) > 0 {
		h.peers.Send(l.words)
		l.words = l.words[:0]
	}
}

// introduce tells a core that begins to lead who is silent: it need not wait for them.
func (l *liveness) introduce(core *raft.Raft, patience int) {
	for _, n := range l.nodes {
		if n.silent {
			core.Silent(n.id, patience)
		}
	}
}

// lost passes on that a connection to a peer broke or was not made. If it was refused the
// peer's process is gone (after a reset the next attempt, at once, tells), and the groups
// that it led need not wait until its silence has lasted an election timeout.
func (h *Host) lost(peer NodeID, refused bool) {
	h.loop.engine.Awake(func(_ GroupID, core *raft.Raft) { core.Unreachable(peer) })
	if refused {
		h.loop.engine.LedBy(peer, func(id GroupID, core *raft.Raft) {
			core.Forget(peer)
			h.succeed(id, core, peer)
		})
	}
}

// succeed lets this node campaign soon if its group has lost the leader. Each member
// has its turn, in an order that differs from group to group: those that campaign at
// the same time could only take votes from each other.
func (h *Host) succeed(id GroupID, core *raft.Raft, lost NodeID) {
	if leader, _ := core.Leader(); leader != 0 {
		return
	}
	rank := func(node NodeID) uint64 { return (uint64(node) ^ uint64(id)*golden) * golden }
	config, _ := core.Members()
	turn := uint64(0)
	for _, m := range config.Members {
		if m.ID != lost && config.Voter(m.ID) && rank(m.ID) < rank(h.id) {
			turn++
		}
	}
	// Where many groups elect at once each takes longer, so turns are longer, too.
	many := min(uint64(len(h.all()))/groupsPerTick, uint64(h.cfg.electionTicks())/2)
	h.group(id).startEarly(core, 1+turn*(ticksPerTurn+many)+uint64(id)*golden>>32%(many+1))
}

const (
	golden = 0x9e3779b97f4a7c15

	// Two hosts learn of a loss up to a heartbeat apart: one has had the last, and the
	// other has not. A turn is longer, or they would campaign at the same time.
	ticksPerTurn = ticksPerHeartbeat + 3

	groupsPerTick = 256 // on a host, and then campaigns are spread over one tick more
)
