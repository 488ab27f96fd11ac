package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// kind is one kind of action: how the rest of one is drawn, what it does, and how
// that is undone after its time.
type kind struct {
	draw func(p *Plan, a *Action, rng *rand.Rand)
	do   func(s *run, a *Action, n *node)
	undo func(s *run, a *Action, n *node) // nil: nothing is to be undone
	once bool                             // its nodes are one set, rather than each for itself
}

// actions are all kinds; kindsInOrder their names, sorted, so that a seed always
// draws the same.
var actions map[string]kind

var kindsInOrder []string

func init() {
	actions = map[string]kind{
		"crash":    {drawCrash, doCrash, doBoot, false},
		"fuse":     {drawFuse, doFuse, doBoot, false},
		"power":    {drawPower, doCrash, doBoot, false},
		"pause":    {drawPause, doPause, undoPause, false},
		"cut":      {drawCut, doCut, undoCut, true},
		"flap":     {drawLink, doFlap, undoCut, true},
		"clog":     {drawLink, doClog, nil, true},
		"stall":    {drawNothing, doStall, nil, false},
		"fail":     {drawFail, doFail, nil, false},
		"full":     {drawNothing, doFull, undoFull, false},
		"flip":     {drawFlip, doFlip, nil, false},
		"clock":    {drawClock, doClock, undoClock, false},
		"slow":     {drawNothing, doSlow, undoSlow, false},
		"lazy":     {drawNothing, doLazy, nil, false},
		"stop":     {drawNothing, doStop, doBoot, false},
		"transfer": {drawNothing, doTransfer, nil, false},
		"campaign": {drawNothing, doCampaign, nil, false},
		"member":   {drawNothing, doMember, nil, false},
		lossOfDisk: {drawWipe, doWipe, doBoot, false},
	}
	for name := range actions { //order: sorted below
		kindsInOrder = append(kindsInOrder, name)
	}
	slices.Sort(kindsInOrder)
}

// Faults returns the names of all kinds of actions, sorted.
func Faults() []string { return slices.Clone(kindsInOrder) }

// perform plans an action and its end.
func (s *run) perform(a *Action) {
	k := actions[a.Do]
	s.world.after(a.At.D()-s.world.now, nil, func() {
		a := s.aimed(a)
		for _, number := range a.Nodes {
			n := s.nodes[number-1]
			k.do(s, a, n)
			if k.undo != nil {
				s.world.after(a.For.D(), nil, func() { k.undo(s, a, n) })
			}
			if k.once {
				return
			}
		}
	})
}

// aimed returns the action as it is done: many faults show only where they meet a
// leader.
func (s *run) aimed(a *Action) *Action {
	if !a.Leader {
		return a
	}
	g := int(a.Pick % uint64(max(1, s.cfg.Groups)))
	for _, n := range s.nodes {
		if n.serving() && n.replicas[g].leads {
			at := *a
			at.Nodes = []int{n.number}
			return &at
		}
	}
	return a
}

func drawNothing(*Plan, *Action, *rand.Rand) {}

func drawCrash(_ *Plan, a *Action, rng *rand.Rand) {
	a.Keep = string(survivals[rng.IntN(len(survivals))])
}

func doCrash(_ *run, a *Action, n *node) { n.die(survival(a.Keep)) }
func doBoot(_ *run, _ *Action, n *node)  { n.boot() }

// drawPower lets the power go out for all at once, or for many.
func drawPower(p *Plan, a *Action, rng *rand.Rand) {
	drawCrash(p, a, rng)
	all := p.Voters + p.Spares
	a.Nodes = rng.Perm(all)[:1+rng.IntN(all)]
}

// drawFuse lets a process die within what it does, at one of its next waits, or at
// one of those after it has next renamed a file: that is where a log, a snapshot or
// an identity comes to be.
func drawFuse(p *Plan, a *Action, rng *rand.Rand) {
	drawCrash(p, a, rng)
	a.Amount = float64(1 + rng.IntN(40))
	if rng.IntN(2) == 0 {
		a.Op, a.Amount = vfs.OpRename.String(), float64(1+rng.IntN(12))
	}
}

func doFuse(s *run, a *Action, n *node) {
	if !n.alive {
		return
	}
	if a.Op == vfs.OpRename.String() {
		n.disk.lights = map[vfs.Op]int{vfs.OpRename: int(a.Amount)}
	} else {
		n.fuse = int(a.Amount)
	}
	life := n.life
	n.fused = func() {
		if n.life == life {
			s.note(n, "dies while it works; of what was not synced, %s is left", a.Keep)
			n.buried(survival(a.Keep))
			if a.For > 0 {
				s.world.after(a.For.D(), nil, n.boot)
			}
		}
	}
}

// drawPause draws a pause that is often long enough for others to elect somebody.
func drawPause(p *Plan, a *Action, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		a.For = Duration(between(rng, p.Election.D(), 6*p.Election.D()).Round(time.Microsecond))
	}
}

func doPause(s *run, a *Action, n *node) {
	s.note(n, "is stopped for %v", a.For.D())
	n.freeze()
}

func undoPause(s *run, _ *Action, n *node) {
	if n.frozen {
		s.note(n, "goes on")
		n.thaw()
	}
}

func drawCut(p *Plan, a *Action, rng *rand.Rand) {
	all := p.Voters + p.Spares
	a.Nodes = rng.Perm(all)[:1+rng.IntN(max(1, all-1))]
	a.OneWay = rng.IntN(3) == 0
}

func doCut(s *run, a *Action, _ *node) {
	s.note(nil, "the network is cut: %v to the others for %v%s", a.Nodes, a.For.D(), oneWay(a))
	s.net.cut(a.Nodes, s.others(a.Nodes), a.OneWay)
}

func oneWay(a *Action) string {
	if a.OneWay {
		return ", one way"
	}
	return ""
}

func undoCut(s *run, a *Action, _ *node) {
	s.note(nil, "the network is mended: %v to the others", a.Nodes)
	for _, from := range a.Nodes {
		for _, to := range s.others(a.Nodes) {
			s.net.link(from, to).cut, s.net.link(to, from).cut = false, false
		}
	}
}

func (s *run) others(numbers []int) (rest []int) {
	for _, n := range s.nodes {
		if !slices.Contains(numbers, n.number) {
			rest = append(rest, n.number)
		}
	}
	return rest
}

func drawLink(p *Plan, a *Action, rng *rand.Rand) {
	if all := p.Voters + p.Spares; all > 1 {
		a.Nodes = rng.Perm(all)[:2]
	}
}

// doFlap cuts and mends one direction again and again.
func doFlap(s *run, a *Action, _ *node) {
	if len(a.Nodes) < 2 {
		return
	}
	l := s.net.link(a.Nodes[0], a.Nodes[1])
	s.note(nil, "the way from n%d to n%d comes and goes for %v", a.Nodes[0], a.Nodes[1], a.For.D())
	until := s.world.now + a.For.D()
	var flap func()
	flap = func() {
		if s.world.now < until && !s.calm {
			l.cut = !l.cut
			s.world.after(s.cfg.Election.D()/2, nil, flap)
		}
	}
	flap()
}

func doClog(s *run, a *Action, _ *node) {
	if len(a.Nodes) == 2 {
		s.note(nil, "the way from n%d to n%d is clogged for %v", a.Nodes[0], a.Nodes[1], a.For.D())
		s.net.link(a.Nodes[0], a.Nodes[1]).clog = s.world.now + a.For.D()
	}
}

func doStall(s *run, a *Action, n *node) {
	s.note(n, "its disk stands still for %v", a.For.D())
	n.disk.stalled = s.world.now + a.For.D()
}

// failing are the operations of a disk that a plan may let fail.
var failing = []vfs.Op{vfs.OpRead, vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpCreate, vfs.OpRename, vfs.OpRemove, vfs.OpTruncate, vfs.OpSize}

func drawFail(_ *Plan, a *Action, rng *rand.Rand) { a.Op = failing[rng.IntN(len(failing))].String() }

func doFail(_ *run, a *Action, n *node) {
	for _, op := range failing {
		if op.String() == a.Op {
			n.disk.fail = map[vfs.Op]int{op: 1}
		}
	}
}

func doFull(s *run, a *Action, n *node) {
	s.note(n, "its disk has %d bytes left for %v", n.disk.fill(a.Pick), a.For.D())
}

func undoFull(_ *run, _ *Action, n *node) { n.disk.empty() }

func drawFlip(p *Plan, a *Action, rng *rand.Rand) {
	a.Nodes = []int{rng.IntN(max(1, (p.Voters-1)/2))}
	a.Op = []string{"wal", "wal", "snap"}[rng.IntN(3)]
}

// doFlip ends a process, spoils a place on its disk, and starts it again. Plans do it
// to a minority only: what a log has lost, the others must give back. What a log takes for its end, as it must a last record that is
// spoilt, is taken back: nobody could tell it from one that was never finished. Of a
// single byte it must be the last record alone.
func doFlip(s *run, a *Action, n *node) {
	if !n.alive {
		return
	}
	n.die(keepAll)
	before := n.disk.mem.Crash(vfs.Kept)
	where, size := n.disk.flip(a.Op)
	if where != "" && a.Op == "wal" {
		if saved, err := reopened(n.disk.mem, nil); err == nil {
			if size == 1 {
				for _, j := range s.judges {
					j.fail(n, j.flipped(n, saved))
				}
			}
			n.disk.mem, where = before, ""
			n.disk.flaws--
		}
	}
	if where != "" {
		for _, j := range s.judges {
			j.ghost(n.id).excused = j.ghost(n.id).excused || a.Op != "wal"
			j.ghost(n.id).hurt = true
		}
		if a.Op == "wal" {
			s.leaves(n)
			n.disk.flaws-- // the others give back what it has lost
		}
		s.note(n, "its disk has changed what it holds: %s", where)
	}
	n.boot()
}

// drawWipe draws a node of the minority whose disks are spoilt.
func drawWipe(p *Plan, a *Action, rng *rand.Rand) {
	a.Nodes = []int{rng.IntN(max(1, (p.Voters-1)/2))}
}

// doWipe lets a machine lose its disk. Its process comes back under its ID, and must
// not be let in.
func doWipe(s *run, _ *Action, n *node) {
	if !n.alive || !s.met(n) {
		return
	}
	s.note(n, "loses its disk")
	n.die(keepNone)
	n.lose()
}

// leaves tells the judges what a damaged log has left. Of one that nothing can be read
// of, nobody will ask.
func (s *run) leaves(n *node) {
	all, err := reopened(n.disk.mem, func(map[raft.GroupID]*raft.Saved) error { return nil })
	if err != nil {
		return
	}
	for _, j := range s.judges {
		j.ghost(n.id).left = given(all, j.group)
	}
}

// reopened returns what a new start would find in the log.
func reopened(mem *vfs.Mem, salvage func(map[raft.GroupID]*raft.Saved) error) (map[raft.GroupID]*raft.Saved, error) {
	log, saved, err := wal.Open(mem.Crash(vfs.Kept), "data/wal", wal.Options{Salvage: salvage, Env: bystander()})
	if err != nil {
		return nil, err
	}
	return saved, log.Close()
}

func drawClock(p *Plan, a *Action, rng *rand.Rand) {
	a.Amount = 0.5 + 1.5*rng.Float64()
	if p.Lease { // what Config.Lease promises holds up to a tenth
		a.Amount = 0.91 + 0.18*rng.Float64()
	}
}

func doClock(s *run, a *Action, n *node) {
	jump := time.Duration(a.Pick%7200-3600) * time.Second
	if n.frozen && jump < 0 {
		// Set back by as long as it stands still, one clock would look as if no time
		// had passed. A machine has a second one, which is never set.
		jump = -jump
	}
	s.note(n, "its clock runs at %.2f, after a jump of %v", a.Amount, jump)
	n.clock = clock{rate: a.Amount, offset: n.clock.offset + jump}
	s.jumps = append(s.jumps, s.world.now)
}

// undoClock makes a clock run right. That sets it, too: see process.Now.
func undoClock(s *run, _ *Action, n *node) {
	if n.clock.rate != 1 {
		n.clock.rate = 1
		s.jumps = append(s.jumps, s.world.now)
	}
}

func doSlow(s *run, a *Action, n *node) {
	n.slow = time.Duration(1+a.Pick%100) * time.Millisecond
	s.note(n, "its state machine takes %v for each batch", n.slow)
}

func undoSlow(_ *run, _ *Action, n *node) { n.slow = 0 }

// doLazy gives a process the processor for a moment only, again and again.
func doLazy(s *run, a *Action, n *node) {
	s.note(n, "is given little time for %v", a.For.D())
	life, until := n.life, s.world.now+a.For.D()
	var rest func()
	rest = func() {
		if n.life != life || s.calm || s.world.now >= until {
			return
		}
		n.freeze()
		s.world.after(time.Duration(1+a.Pick%40)*time.Millisecond, nil, func() {
			if n.life == life {
				n.thaw()
			}
			s.world.after(time.Millisecond, nil, rest)
		})
	}
	rest()
}

// doStop asks a program to end, as SIGTERM does.
func doStop(s *run, a *Action, n *node) {
	if n.serving() {
		s.note(n, "is asked to end")
		n.ending = true
		s.world.after(0, &n.process, func() { signal(n.end) })
	}
}

// ask lets a node do something for an administrator.
func (s *run) ask(n *node, a *Action, what string, do func(context.Context, *quorate.Group) error) {
	r := n.replicas[a.Pick%uint64(len(n.replicas))]
	if !n.serving() {
		return
	}
	s.world.after(0, &n.process, func() {
		if !n.serving() {
			return
		}
		n.do(4*s.cfg.Election.D(), func(ctx context.Context) {
			s.note(n, "is asked to %s", what)
			err := do(ctx, r.group)
			s.note(n, "was asked to %s: %v", what, err)
		})
	})
}

func doTransfer(s *run, a *Action, n *node) {
	to := raft.NodeID(a.Pick % uint64(len(s.nodes)+1))
	s.ask(n, a, fmt.Sprintf("let node %d lead", to), func(ctx context.Context, g *quorate.Group) error { return g.Transfer(ctx, to) })
}

func doCampaign(s *run, a *Action, n *node) {
	s.ask(n, a, "campaign", func(_ context.Context, g *quorate.Group) error { return g.Campaign() })
}

// doMember lets an administrator change the membership, as far as they know it.
func doMember(s *run, a *Action, n *node) {
	rng := rand.New(rand.NewPCG(a.Pick, 7))
	s.ask(n, a, "change the membership", func(ctx context.Context, g *quorate.Group) error {
		st := g.Status()
		if st.Config.Joint() && rng.IntN(2) == 0 {
			return g.Leave(ctx)
		}
		wish := raft.Reconfiguration{Joint: rng.IntN(4) == 0}
		wish.Stay = wish.Joint && rng.IntN(3) == 0
		if rng.IntN(2) == 0 {
			wish.Expect = st.ConfigIndex
		}
		for range 1 + rng.IntN(2)*rng.IntN(3) {
			wish.Changes = append(wish.Changes, s.drawChange(rng, st.Config))
		}
		s.note(n, "the wish: %v", wish.Changes)
		return g.Reconfigure(ctx, wish)
	})
}

// drawChange draws one change that could make sense. Nodes that have left do not
// come back: a new member needs a new ID.
func (s *run) drawChange(rng *rand.Rand, now membership.Config) membership.Change {
	target := s.nodes[rng.IntN(len(s.nodes))]
	for _, m := range now.Members {
		if m.ID != target.id {
			continue
		}
		switch {
		case m.Role != membership.Voter && rng.IntN(4) > 0:
			return membership.Change{Kind: membership.Promote, Member: membership.Member{ID: m.ID}}
		case rng.IntN(4) == 0:
			return membership.Change{Kind: membership.Update, Member: membership.Member{ID: m.ID, Address: m.Address, Priority: uint8(rng.IntN(3))}}
		case rng.IntN(3) == 0:
			return membership.Change{Kind: membership.Demote, Member: membership.Member{ID: m.ID}}
		}
		s.left[m.ID] = true
		return membership.Change{Kind: membership.Remove, Member: membership.Member{ID: m.ID}}
	}
	if s.left[target.id] { // to be refused, or to do nothing
		return membership.Change{Kind: membership.Promote, Member: membership.Member{ID: target.id}}
	}
	return membership.Change{Kind: membership.Add, Member: membership.Member{ID: target.id, Address: target.address}}
}
