package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/check/linear"
	"github.com/quorate-db/quorate/codec"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Result is what came of a run.
type Result struct {
	Plan    *Plan
	Err     error         // the first violation; nil: none
	Elapsed time.Duration // simulated
	Sum     uint64        // of everything that happened: equal for equal plans
	Counts  Counts
	History []linear.Operation
}

// Counts say how much happened in a run.
type Counts struct {
	Steps      uint64 // events
	Operations int    // of clients, that are part of the history
	Told       int    // changes that watchers were told of
	Forgotten  int    // times that one was told that what it wants is compacted away
	Elections  int    // leaders that came to be
	Commands   uint64 // entries committed
	Actions    int
	Moved      uint64 // bytes that logs wrote again, since they held back old segments
}

// run is a plan being carried out.
type run struct {
	cfg      Options
	plan     *Plan
	world    *world
	net      *network
	judges   []*judge // of all groups, in their order
	nodes    []*node
	clients  []*client
	watchers []*watcher
	visitors []*visitor
	members  []quorate.Member
	left     map[raft.NodeID]bool // who was once to be removed
	calm     bool                 // the second phase: nothing goes wrong any more
	jumps    []time.Duration      // when a clock was set

	newStore   func() Store
	transcript Transcript
	history    []linear.Operation
	unjudged   bool
	counts     Counts
}

// Transcript is told what happens, in order. It keeps nothing that it is given.
type Transcript interface {
	// Note is a line for people about a node; zero: about the world.
	Note(at time.Duration, node raft.NodeID, text string)

	// Event is a rule that a core has followed, under the configuration that is in
	// force there and stands at the given index.
	Event(at time.Duration, group raft.GroupID, e *raft.Event, config *membership.Config, index raft.Index)

	// Message is one that leaves a node or, if it has arrived, reaches one.
	Message(at time.Duration, m *codec.Envelope, arrived bool)
}

// Setup is what a plan is carried out with, other than by default.
type Setup struct {
	Store      func(durable bool) Store // nil: Registers
	Transcript Transcript               // nil: nobody

	// Unjudged says that the store's answers are not those of a map from keys to
	// values: what clients saw is not judged, only what the nodes do.
	Unjudged bool

	Stop <-chan struct{} // closed: the run ends soon, with ErrStopped; nil: never
}

// Execute carries out a plan. A plan that is not legal is an error; what was
// found wrong is in the result.
func Execute(p *Plan, setup Setup) (*Result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s := newRun(p, setup)
	for i := range p.Actions {
		s.perform(&p.Actions[i])
	}
	s.protect(s.storm)
	s.protect(s.settle)
	s.protect(s.unrest)
	s.protect(s.succession)
	s.protect(s.conclude)
	s.end()
	s.counts.Steps, s.counts.Actions = s.world.steps, len(p.Actions)
	for _, n := range s.nodes {
		n.reckon()
	}
	for _, j := range s.judges {
		s.counts.Commands += uint64(j.top)
	}
	return &Result{
		Plan: p, Err: s.world.failure, Elapsed: s.world.now, Sum: s.world.sum,
		Counts: s.counts, History: s.history,
	}, nil
}

func newRun(p *Plan, setup Setup) *run {
	s := &run{
		cfg: p.Options, plan: p, world: newWorld(p.Seed), left: map[raft.NodeID]bool{},
		transcript: setup.Transcript, unjudged: setup.Unjudged,
	}
	s.newStore = func() Store {
		switch {
		case setup.Store != nil:
			return setup.Store(p.Durable)
		case p.Durable:
			return NewDurableRegisters()
		default:
			return NewRegisters()
		}
	}
	s.world.stop = setup.Stop
	s.net = &network{world: s.world, sim: s, weather: p.Weather, ends: map[string]*endpoint{}, links: map[way]*link{}}
	for g := range max(1, p.Groups) {
		s.judges = append(s.judges, newJudge(s, group+raft.GroupID(g)))
	}
	for number := 1; number <= p.Voters+p.Spares; number++ {
		n := newNode(s, number)
		s.nodes = append(s.nodes, n)
		s.members = append(s.members, quorate.Member{ID: n.id, Role: quorate.Voter, Address: n.address})
	}
	// Where the store has sessions, two of three clients use one. Without, a call of
	// unknown outcome is not made again, and one that a host makes twice counts twice,
	// which a session would hide.
	store := s.newStore()
	sessions := store.Open() != nil
	if _, able := store.(Transactional); !able {
		s.cfg.Transactions = 0
	}
	for number := range p.Clients {
		rng := rand.New(rand.NewPCG(s.world.rng.Uint64(), 3))
		s.clients = append(s.clients, &client{
			sim: s, number: number, group: number % s.busy(), rng: rng,
			sessions: sessions && number%3 != 2, seen: map[string]uint64{},
		})
	}
	if m, able := store.(Modelled); able {
		for _, j := range s.judges {
			j.model = m.Model(s)
		}
	}
	newVisitors(s, store)
	if _, able := store.(Watchable); !able {
		s.cfg.Watchers = 0
	}
	for number := range s.cfg.Watchers {
		s.watchers = append(s.watchers, newWatcher(s, number, number%s.busy()))
	}
	return s
}

// busy is how many groups clients use.
func (s *run) busy() int { return cmp.Or(s.cfg.Busy, len(s.judges)) }

// judgeOf returns the judge of a group.
func (s *run) judgeOf(id raft.GroupID) *judge { return s.judges[id-group] }

// protect turns a panic into a violation: no input may lead to one.
func (s *run) protect(phase func()) {
	defer func() {
		if r := recover(); r != nil {
			s.world.running = nil
			s.world.fail(&Panic{r, stack()})
		}
	}()
	if s.world.failure == nil {
		phase()
	}
}

// Panic is a violation too.
type Panic struct {
	Value any
	Stack string
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// storm is the first phase.
func (s *run) storm() {
	for _, n := range s.nodes {
		s.world.after(0, nil, n.boot)
	}
	for _, c := range s.clients {
		c.begin()
	}
	for _, v := range s.visitors {
		v.begin()
	}
	for _, w := range s.watchers {
		w.begin(between(w.rng, 0, s.cfg.Length.D()/2))
	}
	s.world.runUntil(s.cfg.Length.D())
}

// What the second phase may take: until there is a leader, in election timeouts;
// and until everything is at rest.
const (
	leaderWithin = 10
	restWithin   = 120 * time.Second
)

// settle is the second phase: faults stop, and the cluster comes to rest (E2).
func (s *run) settle() {
	s.note(nil, "from here on nothing goes wrong")
	s.calm = true
	s.net.heal()
	for _, n := range s.nodes {
		n.disk.stalled, n.disk.fail, n.disk.lights, n.slow, n.fuse = 0, nil, nil, 0, 0
		n.disk.empty()
		undoClock(s, nil, n)
		n.thaw()
		n.boot()
	}
	for _, c := range s.clients {
		c.stopping = true
	}
	s.within(2*time.Second+leaderWithin*s.cfg.Election.D(), "there is no leader", s.led)
	s.within(restWithin, "", s.atRest)
}

// within lets time pass until something holds, or is a violation by then.
func (s *run) within(d time.Duration, what string, holds func() string) {
	deadline := s.world.now + d
	why := holds()
	for ; why != "" && s.world.now < deadline && s.world.failure == nil; why = holds() {
		s.world.runUntil(min(deadline, s.world.now+s.cfg.Heartbeat.D()))
	}
	if why != "" {
		if what != "" {
			why = what + ": " + why
		}
		s.world.fail(broken("E2", "%v after the last fault %s", d, why))
	}
}

// led says why there is no leader; "" if there is one in every group.
func (s *run) led() string {
	for g := range s.judges {
		if leader := s.leader(g); leader == nil {
			return fmt.Sprintf("nobody leads group %d", s.judges[g].group)
		}
	}
	return ""
}

// leader returns who leads a group, as its number among the groups; nil: nobody.
func (s *run) leader(g int) *replica {
	for _, n := range s.nodes {
		if n.serving() && n.replicas[g].leads {
			return n.replicas[g]
		}
	}
	return nil
}

// atRest says what keeps the cluster from being at rest; "" if nothing does.
func (s *run) atRest() string {
	for _, c := range s.clients {
		if !c.idle() {
			return fmt.Sprintf("client %d waits for %v", c.number, c.op)
		}
	}
	for _, v := range s.visitors {
		if !v.away {
			return "a guest has something left to do"
		}
	}
	for _, w := range s.watchers {
		if c, lacks := s.judges[w.group].chronicle.lacks(&w.wish); lacks {
			return fmt.Sprintf("watcher %d was not told of %v", w.number, c)
		}
	}
	for g := range s.judges {
		leader := s.leader(g)
		if leader == nil || len(leader.config.Members) == 0 {
			return "nobody knows the members"
		}
		for _, m := range leader.config.Members {
			n := s.nodes[m.ID-1]
			switch {
			case n.down != nil:
			case !n.serving():
				return fmt.Sprintf("node %d does not serve", m.ID)
			case n.replicas[g].applied < leader.last:
				return fmt.Sprintf("node %d has applied %d of %d", m.ID, n.replicas[g].applied, leader.last)
			case s.judges[g].ghost(n.id).saved.State.Injured:
				return fmt.Sprintf("node %d is injured", m.ID)
			}
		}
	}
	return ""
}

// key names the k-th key of a group.
func key(g, k int) string { return fmt.Sprintf("%s%d", prefixOf(g), k) }

// prefixOf is what the names of all keys of a group begin with.
func prefixOf(g int) string {
	if g == 0 {
		return "k"
	}
	return fmt.Sprintf("g%d.k", g)
}

// end stops every process, so that no coroutine is left behind.
func (s *run) end() {
	for _, n := range s.nodes {
		n.kill()
	}
	s.world.end()
}
