package quorate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/engine"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Group is one replicated state machine on this node. Its methods may be called
// from any goroutine, on any node of the group.
type Group struct {
	id          GroupID
	host        *Host
	machine     *machine
	waiting     waiting
	uncommitted atomic.Int64 // bytes that wait for a majority, if this node leads; written by the loop
	footprint   footprint
	reads       reads        // owned by the loop
	readers     atomic.Int64 // callers of Read
	witness     witness
	sample      sample
	sending     snapshots // transfers to followers, owned by the loop
	early       early     // a campaign that is to come, owned by the loop
	way         way       // to another leader, owned by the loop
	minded      bool      // is in loop.minded
	injured     bool      // its log had lost something when it started; owned by the loop

	mu     sync.Mutex
	leader engine.Leader
	moved  chan struct{} // closed when leader changes; made when somebody waits for it
	ended  chan struct{} // closed when the group has stopped on this node; likewise
	err    error         // why
}

func newGroup(h *Host, cfg GroupConfig) *Group {
	g := &Group{id: cfg.ID, host: h}
	g.machine = newMachine(g, cfg.StateMachine)
	return g
}

// Propose replicates the command and returns what this node's state machine
// made of it. It waits for a leader as long as ctx allows. If ctx ends after the
// command was on its way, the error wraps ErrUnknownOutcome; any other error
// says that it was certainly not carried out.
func (g *Group) Propose(ctx context.Context, command []byte) (any, error) {
	if len(command) > g.host.cfg.MaxCommandBytes {
		return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, g.host.cfg.MaxCommandBytes)
	}
	if ctx.Err() != nil {
		return nil, tooLate(ctx)
	}
	for {
		result, err := g.proposeOnce(ctx, 0, command)
		if !errors.Is(err, errNotMade) {
			return result, err
		}
		if err := g.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// Why a proposal was not made, or will never be carried out: it may be made again
// at once. These never leave the package.
var (
	errNotMade    = errors.New("not proposed")
	errPassedOver = fmt.Errorf("%w: a later term began without it", errNotMade)
)

// ticketSize is what a command carries in front of it through the log: the
// ticket by which the node that proposed it knows it again.
const ticketSize = 8

// proposeOnce makes one attempt; with a term, only if this node leads it.
func (g *Group) proposeOnce(ctx context.Context, only raft.Term, command []byte) (any, error) {
	leader, size := g.currentLeader(), ticketSize+len(command)
	here := leader.Node == g.host.id
	// Before anything is copied or locked.
	if !g.makeRoom(here, size) {
		return nil, ErrBusy
	}
	p, err := g.waiting.open(g.host.tickets.Add(1))
	if err != nil {
		if here {
			g.host.inbox.release(size)
		}
		return nil, err
	}
	data := make([]byte, ticketSize, size)
	binary.LittleEndian.PutUint64(data, p.ticket)
	data = append(data, command...)
	switch {
	case here:
		g.sample.begin(g.host, p.ticket)
		if err = g.host.inbox.propose(proposal{group: g, entry: p, data: data, only: only}); err != nil {
			g.sample.offered(g.host, p.ticket, raft.EntryID{}, err)
		}
	case only != 0:
		err = errNotMade
	case g.host.disk.room.none():
		err = ErrDiskFull // it would not be seen to come by
	default:
		err = g.forward(ctx, leader, p, data)
	}
	if errors.Is(err, ErrUnknownOutcome) {
		return g.waitLost(ctx, p, err)
	}
	if err != nil {
		g.waiting.refuse(p, err)
	}
	return g.wait(ctx, p)
}

// makeRoom reports whether a command of so many bytes may be made. If it is for the
// leader here, room in the inbox is reserved for it.
func (g *Group) makeRoom(here bool, bytes int) bool {
	if !here {
		return g.host.hasRoom(g.machine.heavy.Load(), 0, int64(bytes))
	}
	return g.hasRoom(0, int64(bytes)) && g.host.inbox.reserve(bytes)
}

// waitLost waits for a proposal that may never have reached its leader. If it has
// not come by when a read that began later is answered, nobody knows whether it
// still will.
func (g *Group) waitLost(ctx context.Context, p *waiter, why error) (any, error) {
	_, err := g.Read(ctx)
	g.waiting.cancel(p)
	if p.over() {
		return p.result, p.err
	}
	return nil, errors.Join(why, err)
}

// wait returns what becomes of a proposal.
func (g *Group) wait(ctx context.Context, p *waiter) (any, error) {
	if g.host.cfg.Env.Wait(nil, p.done, ctx.Done(), nil) == 1 {
		return p.result, p.err
	}
	made := g.waiting.cancel(p)
	if p.over() {
		return p.result, p.err
	}
	if made {
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	}
	return nil, tooLate(ctx)
}

// tooLate is what a caller is told whose context ended before anything was done for it.
func tooLate(ctx context.Context) error { return fmt.Errorf("%w: %w", ErrTooLate, ctx.Err()) }

// offer proposes commands of one group to its core, as one input. It is called by
// the loop.
func (h *Host) offer(some []proposal) {
	g, n := some[0].group, 0
	err := h.loop.engine.Do(g.id, func(core *raft.Raft) error {
		leader, term := core.Leader()
		if leader != h.id {
			term = 0
		}
		g.waiting.offered(some, term)
		for ; n < len(some); n++ {
			some[n].settle(some[n].offer(core))
		}
		g.weigh(int64(core.Uncommitted()))
		g.noteLog(int64(core.LogBytes()))
		return nil
	})
	for ; n < len(some); n++ {
		some[n].settle(raft.EntryID{}, err)
	}
}

func (p *proposal) offer(core *raft.Raft) (raft.EntryID, error) {
	if err := p.group.mayTake(core, len(p.data)); err != nil {
		return raft.EntryID{}, err
	}
	return core.ProposeIn(p.term, p.data)
}

// mayTake says why this node takes no command of so many bytes at the moment; nil: it
// does.
func (g *Group) mayTake(core *raft.Raft, bytes int) error {
	if !g.hasRoom(g.fresh(core), int64(bytes)) {
		return ErrBusy
	}
	if leader, _ := core.Leader(); leader == g.host.id && g.host.disk.room.short() {
		g.giveWay(core)
		return ErrDiskFull
	}
	if g.crammed(int64(core.LogBytes())) {
		return ErrBusy
	}
	return nil
}

// settle says what became of an offer: to a caller here only if it was refused, to
// another node in any case.
func (p *proposal) settle(id raft.EntryID, err error) {
	p.group.sample.offered(p.group.host, p.ticket(), id, err)
	if p.entry == nil {
		p.answer(encodeAnswer(asRefusal(err)))
		return
	}
	if err != nil {
		p.group.waiting.refuse(p.entry, asRefusal(err))
	}
}

// asRefusal says what a refusal of the core means to a caller. In all cases
// nothing has been appended.
func asRefusal(err error) error {
	switch broken := (raft.Violation{}); {
	case errors.Is(err, engine.ErrNoGroup), errors.As(err, &broken):
		return fmt.Errorf("%w: %w", ErrStopped, err)
	case errors.Is(err, raft.ErrBusy), errors.Is(err, ErrBusy):
		return ErrBusy
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrTransferring), errors.Is(err, raft.ErrNoLeader),
		errors.Is(err, raft.ErrTooEarly):
		return fmt.Errorf("%w: %w", errNotMade, err)
	default:
		return err
	}
}

// pause waits until the leader changes, or a moment if it does not. An error says that
// there is nothing to wait for: a group that has stopped here hears of no leader any more.
func (g *Group) pause(ctx context.Context) error {
	g.mu.Lock()
	if g.moved == nil {
		g.moved = make(chan struct{})
	}
	moved := g.moved
	g.mu.Unlock()
	timer := g.host.cfg.Env.NewTimer(g.host.cfg.HeartbeatInterval / 2)
	defer timer.Stop()
	switch g.host.cfg.Env.Wait(timer, moved, ctx.Done(), g.host.ctx.Done()) {
	case 2:
		return fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	case 3:
		return g.host.closed()
	}
	return g.waiting.why()
}

// Read returns once this node's state machine has applied everything that was
// committed when Read was called: what it says then is linearizable (§6.4 d). The
// index returned is one that it has reached.
func (g *Group) Read(ctx context.Context) (raft.Index, error) {
	if g.readers.Add(1) > maxWaiting {
		g.readers.Add(-1)
		return 0, ErrBusy
	}
	defer g.readers.Add(-1)
	began := g.host.cfg.Env.Now()
	r := &readRequest{done: make(chan struct{})}
	if !g.host.inbox.do(func() { g.reads.add(g, r) }) {
		return 0, g.host.closed()
	}
	switch g.host.cfg.Env.Wait(nil, r.done, g.host.silent, ctx.Done()) {
	case 1:
		if r.err == nil {
			g.witness.note(began, r.index)
		}
		return r.index, r.err
	case 2:
		return 0, g.host.closed()
	default:
		r.gone.Store(true)
		g.waiting.leave(r)
		return 0, fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	}
}

// Change changes the membership by one member and returns when that is
// committed. New members join as learners; promote them once they have caught
// up. Errors of raft and membership say why a change was refused.
func (g *Group) Change(ctx context.Context, change membership.Change) error {
	return g.Reconfigure(ctx, raft.Reconfiguration{Changes: []membership.Change{change}})
}

// Reconfigure changes the membership by any number of members and returns when
// the last configuration that this needs is committed: of a joint one, only with
// wish.Stay. Set wish.Expect to the ConfigIndex of a Status to act only if nobody
// else has changed the membership since.
func (g *Group) Reconfigure(ctx context.Context, wish raft.Reconfiguration) error {
	return g.insist(ctx, func(leader engine.Leader) error {
		if leader.Node != g.host.id {
			return g.call(ctx, leader, callReconfigure, codec.AppendReconfiguration(nil, &wish))
		}
		err := g.change(ctx, func(core *raft.Raft) (raft.EntryID, error) { return core.Reconfigure(wish) })
		if err != nil || wish.Stay {
			return err
		}
		return g.untilLeft(ctx)
	})
}

// Leave ends a joint configuration that was entered with Stay.
func (g *Group) Leave(ctx context.Context) error {
	return g.insist(ctx, func(leader engine.Leader) error {
		if leader.Node != g.host.id {
			return g.call(ctx, leader, callLeave, nil)
		}
		return g.change(ctx, (*raft.Raft).Leave)
	})
}

// insist tries again for as long as nothing has been done.
func (g *Group) insist(ctx context.Context, try func(engine.Leader) error) error {
	for {
		err := try(g.currentLeader())
		if !errors.Is(err, errNotMade) {
			return err
		}
		if err := g.pause(ctx); err != nil {
			return err
		}
	}
}

// change makes a change of the membership as the leader and returns when its
// entry is committed.
func (g *Group) change(ctx context.Context, propose func(*raft.Raft) (raft.EntryID, error)) error {
	p, err := g.waiting.open(g.host.tickets.Add(1))
	if err != nil {
		return err
	}
	err = g.do(func(core *raft.Raft) error {
		id, err := propose(core)
		if err == nil {
			g.waiting.appended(p, id)
		}
		return err
	})
	if err != nil {
		g.waiting.refuse(p, asRefusal(err))
	}
	_, err = g.wait(ctx, p)
	return err
}

// untilLeft waits until no joint configuration is in force or pending here. Something has
// been done already: whatever keeps it from seeing the end, that is not certain to be none.
func (g *Group) untilLeft(ctx context.Context) error {
	for {
		s := g.Status()
		if s.Err == nil && !s.Config.Joint() && s.ConfigIndex <= s.Commit {
			return nil
		}
		err := s.Err
		if err == nil {
			err = g.pause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
		}
	}
}

// Transfer hands leadership to the given voter, or, if zero, to the one most up
// to date, and returns when that one, or another node, leads.
func (g *Group) Transfer(ctx context.Context, to NodeID) error {
	var old engine.Leader
	err := g.insist(ctx, func(leader engine.Leader) error {
		old = leader
		switch leader.Node {
		case 0:
			return errNotMade
		case to:
			return nil
		case g.host.id:
			return asRefusal(g.do(func(core *raft.Raft) error { return core.Transfer(to) }))
		default:
			return g.call(ctx, leader, callTransfer, binary.LittleEndian.AppendUint64(nil, uint64(to)))
		}
	})
	if err != nil || old.Node != g.host.id || old.Node == to {
		return err
	}
	return g.untilTakenOver(ctx, old)
}

// Campaign lets this node ask for votes now, rather than when the leader has been
// silent for an election timeout. With a leader alive nobody grants them.
func (g *Group) Campaign() error {
	return g.do(func(core *raft.Raft) error { core.Campaign(); return nil })
}

// untilTakenOver waits until another node leads than the given one, this one.
func (g *Group) untilTakenOver(ctx context.Context, old engine.Leader) error {
	for {
		if err := g.pause(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrNotTakenOver, err)
		}
		// Before the leader is looked at: a core that has just stepped down transfers
		// nothing either, and the loop says so before it answers the next question.
		idle := g.Status().Transferring == 0
		switch now := g.currentLeader(); {
		case now.Node == old.Node && now.Term > old.Term, now.Term == old.Term && now.Node != old.Node,
			now == old && idle:
			return ErrNotTakenOver // we have stepped down or lead again, or the core has given up (TR2)
		case now.Term > old.Term && now.Node != 0:
			return nil
		}
	}
}

// Status is a copy of what this node knows. It never waits for other nodes.
func (g *Group) Status() Status {
	var s Status
	s.ID = g.host.id
	err := g.look(func(core *raft.Raft) { s.Status = core.Status() })
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.Err = g.err; s.Err == nil {
		s.Err = err
	}
	return s
}

// Leader returns the leader of this node's term, zero while none is known, and the
// term. Unlike Status it does not wait for the host's loop.
func (g *Group) Leader() (NodeID, raft.Term) {
	leader := g.currentLeader()
	return leader.Node, leader.Term
}

// do runs an input of the core on the loop.
func (g *Group) do(input func(*raft.Raft) error) error {
	return g.onLoop(func(e *engine.Engine) error { return e.Do(g.id, input) })
}

// look reads the core on the loop, which makes nothing necessary: who asks often costs
// little, and wakes nobody.
func (g *Group) look(read func(*raft.Raft)) error {
	return g.onLoop(func(e *engine.Engine) error {
		return e.Note(g.id, func(core *raft.Raft) (stirred bool) { read(core); return false })
	})
}

func (g *Group) onLoop(task func(*engine.Engine) error) error {
	err := g.host.ask(func() error { return task(&g.host.loop.engine) })
	if errors.Is(err, ErrClosed) {
		return g.host.closed()
	}
	return err
}

// Stopped is closed once the group has stopped on this node, although the host
// goes on: its state machine has failed, say. Status tells why. It can be started
// again only with the host.
func (g *Group) Stopped() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended == nil {
		g.ended = make(chan struct{})
		if g.err != nil {
			close(g.ended)
		}
	}
	return g.ended
}

// lasting returns a context that ends once the group has stopped on this node, or the host
// is closed.
func (g *Group) lasting() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(g.host.ctx)
	g.host.start(func() {
		g.host.cfg.Env.Wait(nil, g.Stopped(), ctx.Done(), nil)
		cancel()
	})
	return ctx, cancel
}

func (g *Group) currentLeader() engine.Leader {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leader
}

func (g *Group) leading() bool { return g.currentLeader().Node == g.host.id }

// setLeader tells everybody who waits for a leader.
func (g *Group) setLeader(leader engine.Leader) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader = leader
	if g.moved != nil {
		close(g.moved)
		g.moved = nil
	}
}

// stop ends the group on this node: its state can no longer be trusted.
func (g *Group) stop(err error) {
	g.mu.Lock()
	first := g.err == nil
	if first {
		g.err = err
		if g.ended != nil {
			close(g.ended)
		}
	}
	g.mu.Unlock()
	if first {
		g.host.tell(Event{Kind: GroupStopped, Group: g.id, Err: err})
	}
	if !errors.Is(err, ErrRemoved) {
		g.host.cfg.Logger.Error("a group has stopped on this node", "group", g.id, "err", err)
	}
	g.machine.endIntake()
	g.sample.end(g.host)
	g.waiting.end(fmt.Errorf("%w: %w", ErrUnknownOutcome, err), fmt.Errorf("%w: %w", ErrStopped, err))
}
