package quorate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/flight"
	"github.com/quorate-db/quorate/raft"
)

// loop is the state of the one goroutine that feeds the engine and carries out
// what it answers. It never waits for a disk, a network or a state machine.
type loop struct {
	engine engine.Engine
	batch  engine.Batch
	work   work
	asking []*Group // with readers for which no read index has been asked yet
	ticks  uint64
	ticked time.Time // when the last tick was counted
	life   liveness
	minded []*Group // with something to be looked at on each tick, in any order
	book   addressBook
	stall  stall
	gate   gate
	flight *flight.Recorder // nil: nothing is recorded

	warnings warnings
}

// gate lets proposals in batch by batch. While a write is under way those that
// come gather: their own write could not begin before it ends, and a round for each
// few of them would cost followers, frames and disks as much as one for all. An
// idle disk keeps nobody waiting, nor does one that stands still.
type gate struct {
	written uint64 // writes that had ended when proposals were let in last
	ticks   uint64 // and ticks that had passed
}

// open reports whether proposals may go in now.
func (g *gate) open(current, written, ticks uint64) bool {
	if current != 0 && written == g.written && ticks == g.ticks {
		return false
	}
	*g = gate{written, ticks}
	return true
}

// stallTimeouts is how many election timeouts one write may take before the disk
// is taken for stalled.
const stallTimeouts = 3

// stall counts for how many ticks the same write has been under way.
type stall struct {
	write uint64
	ticks int
}

func (s *stall) tick(write uint64) int {
	if write == 0 || write != s.write {
		*s = stall{write: write}
		return 0
	}
	s.ticks++
	return s.ticks
}

// run is that goroutine.
func (h *Host) run() {
	ticker := h.cfg.Env.NewTicker(h.cfg.tick())
	defer ticker.Stop()
	defer close(h.silent)
	for {
		if h.cfg.Env.Wait(ticker, h.inbox.wake, nil, nil) == 0 {
			h.tick()
		}
		h.cfg.Env.Yield()
		last := h.inbox.isClosed() // what came in before that is still looked at
		h.turn(last)
		if last {
			return
		}
	}
}

// turn feeds everything that waits to the engine and carries out one batch. The
// last one leaves nothing for another.
func (h *Host) turn(last bool) {
	l := &h.loop
	h.inbox.take(&l.work, last || l.gate.open(h.disk.current.Load(), h.disk.written.Load(), l.ticks))
	// Not the other way round: a read may be answered by a lease that was valid once it
	// had come. Had the process stood still in between, one that came later could be.
	now := h.cfg.Env.Now()
	h.mindClock(now)
	if l.flight != nil {
		l.flight.Clock(uint64(now.UnixMicro()))
	}
	for _, a := range l.work.applied {
		// A group that is gone needs no report.
		_ = l.engine.Note(a.group, func(core *raft.Raft) bool { return core.Applied(a.at) })
	}
	for _, task := range l.work.tasks {
		task()
	}
	for i := range l.work.messages {
		h.step(&l.work.messages[i])
	}
	for rest := l.work.proposals; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].group == rest[0].group {
			n++
		}
		h.offer(rest[:n])
		rest = rest[n:]
	}
	h.askReads()
	l.engine.Drain(&l.batch)
	h.carry(&l.batch)
}

// mindClock tells the cores if ticks are late, since a lease is counted in them: a
// process that was stopped for a while must not take an old one for valid.
func (h *Host) mindClock(now time.Time) {
	if !h.cfg.Lease || !h.loop.late(now, h.cfg.tick()) {
		return
	}
	h.loop.engine.Awake(func(_ GroupID, core *raft.Raft) { core.Slept() }) // who sleeps has no lease
}

// late reports whether the last tick is longer ago than it should be.
func (l *loop) late(now time.Time, tick time.Duration) bool {
	return elapsed(l.ticked, now) > tick+tick/4
}

func (h *Host) tick() {
	now := h.cfg.Env.Now()
	h.mindClock(now)
	h.loop.ticked = now
	h.loop.ticks++
	h.loop.engine.Tick()
	h.loop.book.tick(h)
	stalled := h.loop.stall.tick(h.disk.current.Load())
	h.lookAround(stalled)
	if stalled == stallTimeouts*h.cfg.electionTicks() {
		// Heartbeats do not wait for the disk, so that the followers cannot tell.
		h.loop.engine.Each(func(_ GroupID, core *raft.Raft) { core.Resign() })
	}
	h.letOthersLead()
	h.logs.tick(h)
	h.loop.life.tick(h)
	h.mind()
	if h.loop.ticks%trimTicks == 0 {
		h.loop.work, h.loop.batch = work{}, engine.Batch{}
		h.inbox.trim()
	}
}

// trimTicks is how long the largest turn of late decides how much memory the next ones
// are given beforehand: thousands of groups may have had something to do at once, and then
// nothing for hours. To find out anew costs less than a turn does.
const trimTicks = 100

// mind looks after the groups that have asked for it.
func (h *Host) mind() {
	minded := h.loop.minded
	slices.SortFunc(minded, func(a, b *Group) int { return cmp.Compare(a.id, b.id) })
	h.loop.minded = nil
	for _, g := range minded {
		g.minded = false
		g.reads.expire(h, g)
		g.campaignEarly()
		g.noteHealing()
		if g.early.tick != 0 || g.injured || g.reads.open() {
			g.mindMe()
		}
	}
}

// mindMe lets the loop look at this group at the next tick.
func (g *Group) mindMe() {
	if !g.minded {
		g.minded = true
		g.host.loop.minded = append(g.host.loop.minded, g)
	}
}

// early is a campaign that is to come before the core's own timer runs out.
type early struct {
	tick uint64    // when; zero: none
	term raft.Term // in which the leader was lost; in a later one somebody else campaigns already
}

// startEarly lets this node campaign so many ticks from now, if no leader is heard by
// then: soon after a start, or after the leader was found to be gone.
func (g *Group) startEarly(core *raft.Raft, ticks uint64) {
	_, term := core.Leader()
	g.early = early{g.host.loop.ticks + ticks, term}
	g.mindMe()
}

// campaignEarly asks for pre-votes when it is time to, if no leader was heard. To wait
// as long as for one that fell silent would only delay clients; pre-vote protects one
// that lives.
func (g *Group) campaignEarly() {
	h, e := g.host, g.early
	if e.tick == 0 || h.loop.ticks < e.tick {
		return
	}
	g.early = early{}
	_ = h.loop.engine.Do(g.id, func(core *raft.Raft) error { // a group that has stopped starts nothing
		if leader, term := core.Leader(); leader == 0 && term == e.term {
			core.Campaign()
		}
		return nil
	})
}

// step hands a message to its core. Entries for a state machine that is far behind,
// or for a log that must not grow for now, are dropped, as a network could: memory
// is bounded, and the leader's window waits for the acknowledgement.
func (h *Host) step(m *codec.Envelope) {
	h.hear(m)
	if m.Group == nodeGroup || h.spared(&m.Message) {
		return
	}
	if len(m.Message.Span.Entries) > 0 {
		if g := h.group(m.Group); g != nil && (g.machine.behind() || g.crammed(g.footprint.bytes)) {
			return
		}
	}
	if err := h.loop.engine.Step(m); err != nil {
		h.cfg.Logger.Debug("a message was refused", "from", fmt.Sprintf("%016x", uint64(m.Message.From)), "group", m.Group, "err", err)
	}
}

// carry does what the batch says, in its order. What must wait for the disk goes
// to the writer; the loop goes on.
func (h *Host) carry(b *engine.Batch) {
	for _, m := range b.Leaders {
		h.tell(Event{Kind: LeaderChanged, Group: m.Group, Node: m.Node, Term: m.Term})
		if g := h.group(m.Group); g != nil {
			g.setLeader(m)
		}
		if m.Node == h.id {
			_ = h.loop.engine.Do(m.Group, func(core *raft.Raft) error { // a group that is gone needs to know nobody
				h.loop.life.introduce(core, h.cfg.electionTicks())
				return nil
			})
		}
	}
	for _, m := range b.Members {
		h.tell(Event{Kind: MembersChanged, Group: m.Group, Members: m.Config.Members})
		h.loop.book.set(h, m)
	}
	h.send(b.Send)
	for _, a := range b.Apply {
		if g := h.group(a.Group); g != nil {
			g.machine.put(job{entries: a.Entries})
		}
	}
	for _, read := range b.Reads {
		if g := h.group(read.Group); g != nil {
			g.reads.answer(g, read.Read)
		}
	}
	if b.Promises() {
		h.disk.put(b)
	}
	for _, f := range b.Fenced {
		h.fenced(f)
	}
}

// send hands messages to the transport; snapshots travel apart, as streams.
func (h *Host) send(messages []codec.Envelope) {
	h.loop.life.speak(messages, h.loop.ticks)
	h.peers.Send(slices.DeleteFunc(messages, func(m codec.Envelope) bool {
		snapshot := m.Message.Kind == raft.InstallSnapshot
		if snapshot {
			h.sendSnapshot(m)
		}
		return snapshot
	}))
}

// addressBook tells the transport where members are to be found. A member that
// has left every group is forgotten a little later, so that the message that
// tells it so still leaves.
type addressBook struct {
	groups  map[GroupID][]Member
	shared  map[NodeID]int    // in how many of the groups a node is
	leaving map[NodeID]uint64 // to be forgotten at this tick
}

// partingTicks is how long a connection outlives a membership.
const partingTicks = 200

func (b *addressBook) set(h *Host, m engine.Members) {
	if b.groups == nil {
		b.groups, b.shared, b.leaving = map[GroupID][]Member{}, map[NodeID]int{}, map[NodeID]uint64{}
	}
	for _, old := range b.groups[m.Group] {
		if b.shared[old.ID]--; b.shared[old.ID] == 0 {
			delete(b.shared, old.ID)
			b.leaving[old.ID] = h.loop.ticks + partingTicks
		}
	}
	b.groups[m.Group] = m.Config.Members
	for _, member := range m.Config.Members {
		b.shared[member.ID]++
		delete(b.leaving, member.ID)
	}
	for _, member := range m.Config.Members {
		if member.ID == h.id {
			continue
		}
		h.loop.life.meet(member.ID, h.loop.ticks)
		if member.Address != "" {
			h.peers.SetPeer(member.ID, member.Address)
		}
	}
}

// forget takes out a group that is no more on this host.
func (b *addressBook) forget(h *Host, group GroupID) {
	b.set(h, engine.Members{Group: group})
	delete(b.groups, group)
}

// has reports whether a node is in a group, or was until lately.
func (b *addressBook) has(id NodeID) bool {
	_, leaving := b.leaving[id]
	return leaving || b.shared[id] > 0
}

func (b *addressBook) tick(h *Host) {
	if len(b.leaving) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(b.leaving)) {
		if b.leaving[id] <= h.loop.ticks {
			h.peers.RemovePeer(id)
			delete(b.leaving, id)
		}
	}
}
