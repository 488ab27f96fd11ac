package sim

import (
	"context"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/vfs"
)

// group is the first group of a simulated cluster, and the only one of most.
const group raft.GroupID = 1

// node is a machine with a disk, and the process that runs on it.
type node struct {
	process
	sim     *run
	number  int // from 1; also its ID
	id      raft.NodeID
	address string
	disk    disk
	writes  uint64       // to its log, in all its lives, that were durable
	knows   map[int]bool // whom its disk remembers, by number

	host *quorate.Host // of this life; nil until it is open
	runs bool          // it has been open in this life: from now on a full disk is no reason to end
	down error         // why its process cannot be started again; nil: it can

	ending bool          // it was asked to end
	end    chan struct{} // holds a signal then
	slow   time.Duration // each batch that is applied takes so long

	*replica            // of the first group
	replicas []*replica // of all groups, in their order
}

// replica is one group on one node: what it is in this life, and what was last seen
// of its core and its state machine.
type replica struct {
	gid   raft.GroupID
	group *quorate.Group
	store Store   // of this life
	hub   Hub     // of this life; nil: nobody watches the group
	kept  Durable // what a durable store left on its disk

	attendant Attendant // of this life; nil: nobody looks after the store
	leave     func()    // ends that

	brief    raft.Brief
	standing []standing // the configurations in its log
	budget   budget
	shown    uint64 // the last revision that it showed to who asked only it
	leads    bool
	commit   raft.Index
	last     raft.Index
	applied  raft.Index
	config   membership.Config

	decisions int // of its core in all its lives
}

func newNode(s *run, number int) *node {
	n := &node{sim: s, number: number, id: raft.NodeID(number), address: fmt.Sprintf("n%d:1", number), knows: map[int]bool{}}
	seed := s.world.rng.Uint64()
	n.process = process{world: s.world, name: fmt.Sprintf("n%d", number), rng: rand.New(rand.NewPCG(seed, 1)), clock: clock{rate: 1}}
	for g := range max(1, s.cfg.Groups) {
		n.replicas = append(n.replicas, &replica{gid: group + raft.GroupID(g)})
	}
	n.replica = n.replicas[0]
	n.disk = disk{node: n, mem: vfs.NewMem(), rng: rand.New(rand.NewPCG(seed, 2)), quick: s.cfg.DiskQuick.D(), slow: s.cfg.DiskSlow.D()}
	return n
}

// boot starts the process.
func (n *node) boot() {
	if n.alive || n.down != nil {
		return
	}
	for _, r := range n.replicas {
		r.store = n.sim.newStore()
		if r.kept != nil {
			r.store = r.kept
		} else if d, ok := r.store.(Durable); ok {
			r.kept = d
		}
	}
	n.ending, n.runs, n.end = false, false, make(chan struct{}, 1)
	n.sim.note(n, "starts")
	n.start(n.main)
}

// main is the program: what a user would write.
func (n *node) main() {
	switch err := n.serve(); {
	case n.sim.world.failure != nil:
	case err != nil:
		n.sim.stopped(n, err)
	default:
		n.sim.ended(n)
	}
}

func (n *node) serve() error {
	c := &n.sim.cfg
	host, err := quorate.Open(quorate.Config{
		Dir: "data", ID: n.id, Cluster: 1, Listen: n.address, Peers: n.sim.members,
		HeartbeatInterval: c.Heartbeat.D(), ElectionTimeout: c.Election.D(),
		SnapshotEntries: c.SnapshotEntries, MaxLogBytes: c.LogBytes, LogSegmentBytes: c.SegmentBytes, SpaceReserve: spaceReserve, Lease: c.Lease, AlwaysAwake: !c.Sleep,
		FS: n.disk.files(), Env: &n.process, Network: n,
		Observer: &observer{n, n.life}, Trace: n.sim.tracing(),
	})
	if err != nil {
		return err
	}
	n.host, n.runs = host, true
	for _, r := range n.replicas {
		if err := n.begins(r); err != nil {
			return err
		}
	}
	n.sim.note(n, "serves")
	over := make(chan struct{})
	for _, r := range n.replicas {
		n.Go(func() {
			if n.Wait(nil, r.group.Stopped(), over, nil) == 1 {
				signal(n.end)
			}
		})
	}
	failed := n.Wait(nil, host.Failed(), n.end, nil) == 1
	close(over)
	for _, r := range n.replicas {
		if err := r.group.Status().Err; err != nil && !failed && !n.ending {
			return err
		}
	}
	if failed {
		return host.Err()
	}
	return n.close(host)
}

// begins starts a group.
func (n *node) begins(r *replica) (err error) {
	var members []quorate.Member
	if n.number <= n.sim.cfg.Voters {
		members = n.sim.members[:n.sim.cfg.Voters]
		if err := n.sim.judgeOf(r.gid).begins(n, members); err != nil {
			return err
		}
	}
	if n.sim.isWatched(r.gid) {
		if r.hub, err = r.store.(Watchable).Hub(&n.process); err != nil {
			return err
		}
	}
	if a, ok := r.store.(Attended); ok && n.sim.cfg.Tenants > 0 {
		r.attendant = a.Attendant(&n.process, n.sim.cfg.Election.D())
	}
	r.group, err = n.host.Start(quorate.GroupConfig{ID: r.gid, Members: members, StateMachine: n.watched(r)})
	if err == nil {
		n.attended(r)
	}
	return err
}

// close ends the host as a program does that was asked to. Nothing of it, and
// nobody who called it, may go on afterwards (I19).
func (n *node) close(host *quorate.Host) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, r := range n.replicas {
		r.group = nil // no further calls
		if r.attendant != nil {
			r.leave()
		}
	}
	if err := host.Close(ctx); err != nil {
		return err
	}
	for _, r := range n.replicas {
		if r.hub != nil {
			r.hub.Close()
		}
	}
	n.sleep(20 * time.Millisecond)
	if left := len(n.tasks) - 1; left > 0 {
		n.sim.judges[0].fail(n, broken("I19", "node %d has closed its host, and %d goroutines go on", n.id, left))
	}
	return nil
}

// die ends the process; what is left on its disk is drawn.
func (n *node) die(how survival) {
	if !n.alive {
		return
	}
	n.sim.note(n, "dies; of what was not synced, %s is left", how)
	n.kill()
	n.buried(how)
}

// buried is what the world makes of a process that has ended.
func (n *node) buried(how survival) {
	n.disk.crash(how)
	n.reckon()
	for _, r := range n.replicas {
		r.group, r.store, r.hub, r.attendant, r.leads, r.applied, r.shown, r.brief = nil, nil, nil, nil, false, 0, 0, raft.Brief{}
		if r.kept != nil {
			r.kept = r.kept.Crash(func(batches int) int { return min(batches, how.draw(n.disk.rng)(batches)) })
		}
	}
	if how == keepAll {
		n.sim.net.gone(n)
	}
}

// reckon counts what a life that is over has done.
func (n *node) reckon() {
	if n.host != nil {
		log, _ := n.host.Stats()
		n.sim.counts.Moved += log.Moved
		n.host = nil
	}
}

// ended says that a process has ended because it was asked to.
func (s *run) ended(n *node) {
	life := n.life
	s.note(n, "has ended")
	s.world.after(0, nil, func() {
		if n.life == life {
			n.kill()
			n.buried(keepAll)
			s.world.after(50*time.Millisecond, nil, n.boot)
		}
	})
}

// stopped says that a process ended by itself. One whose disk is damaged stays
// down: it has said so, and in what file. Another one is started again.
func (s *run) stopped(n *node, err error) {
	life := n.life
	s.note(n, "has stopped: %v", err)
	s.world.after(0, nil, func() {
		if n.life != life {
			return
		}
		n.kill()
		n.buried(keepAll)
		s.judges[0].stopped(n, err)
		if n.disk.flaws > 0 {
			n.down = err
			return
		}
		s.world.after(time.Second, nil, n.boot)
	})
}

// watched returns the store as the host is given it: everything that it does is
// seen by the judge.
func (n *node) watched(r *replica) quorate.StateMachine {
	w := watched{r.store, n, n.sim.judgeOf(r.gid)}
	d, ok := r.store.(Durable)
	if !ok {
		return w
	}
	if s, ok := d.(quorate.StagingStateMachine); ok {
		return watchedStaging{watchedDurable{w, d}, s}
	}
	return watchedDurable{w, d}
}

type watched struct {
	Store
	node  *node
	judge *judge
}

// stride is how many entries lie between two comparisons of states.
const stride = 32

var sums = crc64.MakeTable(crc64.ECMA)

// Apply passes a batch on, in parts that end where states are compared.
func (w watched) Apply(batch []quorate.Command) error {
	n := w.node
	if n.slow > 0 {
		n.sleep(n.slow)
	}
	for len(batch) > 0 {
		k := 1
		for k < len(batch) && batch[k-1].Index/stride == batch[k].Index/stride {
			k++
		}
		if err := w.Store.Apply(batch[:k]); err != nil {
			return err
		}
		for i := range batch[:k] {
			if batch[i].Result != nil {
				w.answered(&batch[i])
			}
		}
		if at := batch[k-1].Index; at%stride == 0 || len(batch) > k {
			w.judge.state(n, at, w.Store.Hash())
		}
		batch = batch[k:]
	}
	return nil
}

// answered shows the judge what a command came to.
func (w watched) answered(c *quorate.Command) {
	m, ok := w.Store.(Modelled)
	if !ok {
		w.judge.answer(w.node, c.Index, digest(c.Result))
		return
	}
	says := m.Says(c.Result)
	w.judge.answer(w.node, c.Index, crc64.Checksum([]byte(says), sums))
	w.judge.modelled(w.node, c.Index, c.Data, says)
}

// Answer passes a question on to who looks after the store.
func (w watched) Answer(ctx context.Context, question []byte) ([]byte, error) {
	for _, r := range w.node.replicas {
		if r.gid == w.judge.group && r.attendant != nil {
			return r.attendant.Answer(ctx, question)
		}
	}
	return nil, raft.ErrNotLeader
}

// Restore takes a while, as long as a sync: a process may die before it is over.
func (w watched) Restore(from io.Reader) error {
	w.node.toil()
	return w.Store.Restore(from)
}

type watchedDurable struct {
	watched
	durable Durable
}

func (w watchedDurable) Applied() raft.Index { return w.durable.Applied() }

func (w watchedDurable) Sync() error {
	w.node.toil()
	return w.durable.Sync()
}

type watchedStaging struct {
	watchedDurable
	staging quorate.StagingStateMachine
}

func (w watchedStaging) Stage(at raft.Index, from io.Reader) error {
	err := w.staging.Stage(at, from)
	w.node.toil()
	return err
}

// Adopt takes a while, as Restore does.
func (w watchedStaging) Adopt(at raft.Index) (bool, error) {
	w.node.toil()
	return w.staging.Adopt(at)
}

func (w watchedStaging) Unstage(upTo raft.Index) error { return w.staging.Unstage(upTo) }

// toil passes the time that a state machine's own disk takes.
func (n *node) toil() { n.sleep(between(n.disk.rng, n.disk.quick, n.disk.slow)) }

// do runs something in a task of the node, with a context that ends after a while
// or with the process.
func (n *node) do(limit time.Duration, what func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	n.world.after(limit, &n.process, cancel)
	n.Go(func() {
		defer cancel()
		what(ctx)
	})
}

// bystander is a process that reads a disk when its own is dead.
func bystander() *process {
	return &process{world: newWorld(1), alive: true, rng: rand.New(rand.NewPCG(1, 1)), clock: clock{rate: 1}}
}

// serving reports whether clients find somebody who answers.
func (n *node) serving() bool { return n.alive && n.replicas[len(n.replicas)-1].group != nil }
