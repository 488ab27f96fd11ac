package quorate

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/snap"
	"github.com/quorate-db/quorate/transport"
	"github.com/quorate-db/quorate/vfs"
	"github.com/quorate-db/quorate/wal"
)

// Host runs the groups of one node on one log and one set of connections. Its
// methods may be called from any goroutine.
type Host struct {
	identity
	cfg     Config
	lock    io.Closer
	disk    *writer
	snaps   *snap.Store
	sending sending
	peers   Transport
	met     memory
	inbox   *inbox
	tickets atomic.Uint64 // names of proposals; the first is random

	vitals  vitals
	pending pending
	logs    logs
	loop    loop          // owned by the loop's goroutine
	silent  chan struct{} // closed when that has ended
	groups  groups

	starting sync.Mutex
	saved    map[GroupID]*raft.Saved // by the log, of groups not yet started; guarded by starting

	life
}

// life is what runs and how it ends.
type life struct {
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running env.Tasks // every goroutine
	failure failure
}

// Open opens the data directory, replays its log and starts to listen to peers.
// A directory that is in use, damaged, or of another node or cluster is an error
// that says what to do.
func Open(cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, inbox: newInbox(), silent: make(chan struct{}), pending: pending{limit: cfg.MaxPendingBytes}, logs: logs{limit: cfg.MaxLogBytes}}
	h.failure.failed = make(chan struct{})
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.open(); err != nil {
		h.release()
		return nil, err
	}
	h.record()
	h.tickets.Store(cfg.Env.Uint64())
	if !cfg.AlwaysAwake {
		h.loop.life.generation = max(1, cfg.Env.Uint64()>>1)
	}
	h.start(h.run)
	h.start(h.disk.run)
	h.start(h.watchRoom)
	return h, nil
}

// open opens, in this order: the directory, the log, the snapshots, the listener.
func (h *Host) open() (err error) {
	dir := h.cfg.Dir
	if err := h.cfg.FS.MakeDir(dir); err != nil {
		return fmt.Errorf("quorate: the data directory cannot be made: %w", err)
	}
	if h.lock, err = h.cfg.FS.Lock(dir); err != nil {
		return err
	}
	if h.identity, err = identify(&h.cfg); err != nil {
		return err
	}
	h.tune()
	fs := h.cfg.FS
	if err := h.met.recall(&h.cfg); err != nil {
		return err
	}
	log, saved, err := wal.Open(fs, filepath.Join(dir, logDir), wal.Options{
		SegmentBytes: h.cfg.LogSegmentBytes, Env: h.cfg.Env, Salvage: h.maySalvage,
	})
	if err != nil {
		return err
	}
	h.disk, h.saved = newWriter(h, log), saved
	if err := h.checkIdentityThere(&h.cfg, len(saved)); err != nil {
		return err
	}
	h.tellDamage(log)
	if h.snaps, err = snap.Open(fs, filepath.Join(dir, snapshotDir)); err != nil {
		return err
	}
	if err := h.forgetRetired(); err != nil {
		return err
	}
	if h.incarnation == 0 {
		if err := h.introduce(&h.cfg); err != nil {
			return fmt.Errorf("quorate: the data directory cannot be written: %w", err)
		}
	}
	h.peers, err = h.cfg.Network.Listen(transport.Config{
		Cluster: h.cfg.Cluster, Node: h.id, Listen: h.cfg.Listen, Advertise: h.cfg.Advertise,
		Handler: (*peerHandler)(h), Origin: transport.Origin{Incarnation: h.incarnation, Start: log.Status().Mark}, Memory: (*peerMemory)(h),
		Credentials: h.cfg.PeerTLS, Env: h.cfg.Env, Logger: h.cfg.Logger, Limits: h.cfg.peerLimits(),
	})
	if err != nil {
		return err
	}
	for _, m := range h.cfg.Peers {
		if m.ID != h.id {
			h.peers.SetPeer(m.ID, m.Address)
		}
	}
	return nil
}

// tune finds out how syncs are best made here. A disk on which that fails may still do.
func (h *Host) tune() {
	var err error
	if h.cfg.FS, h.vitals.trial, err = vfs.Tune(h.cfg.FS, h.cfg.Dir, h.cfg.Env.Now); err != nil {
		h.cfg.Logger.Warn("it could not be measured how syncs are best made; the usual way is taken", "mode", vfs.ModeOf(h.cfg.FS), "err", err)
	}
}

// release gives back what open has taken.
func (h *Host) release() {
	if h.peers != nil {
		_ = h.peers.Close() // nothing is promised by it
	}
	if h.disk != nil {
		_ = h.disk.log.Close() // everything acknowledged is durable already
	}
	if h.lock != nil {
		_ = h.lock.Close() // the lock ends with the process in any case
	}
}

// ID is this node's ID in all its groups.
func (h *Host) ID() NodeID { return h.id }

// Addr is the host:port on which peers are heard.
func (h *Host) Addr() string { return h.peers.Addr() }

// Stats are the counters of the log and of the connections.
func (h *Host) Stats() (wal.Status, transport.Stats) { return h.disk.log.Status(), h.peers.Stats() }

// Failed is closed once the host cannot go on (a failed sync, say); Err says why.
func (h *Host) Failed() <-chan struct{} { return h.failure.failed }

// Err says why the host failed, nil while it has not.
func (h *Host) Err() error {
	select {
	case <-h.failure.failed:
		return h.failure.err
	default:
		return nil
	}
}

// closed is what a caller is told who comes too late.
func (h *Host) closed() error {
	if err := h.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return ErrClosed
}

// Close stops all groups. Leaderships are handed over first, as far as ctx allows.
func (h *Host) Close(ctx context.Context) error {
	h.handOver(ctx, h.all())
	h.inbox.close()
	h.disk.close()
	for _, g := range h.all() {
		g.machine.close()
	}
	h.cancel()
	_ = h.peers.Close() // ends the calls and streams that goroutines of ours wait for
	for _, g := range h.all() {
		g.waiting.end(ErrUnknownOutcome, ErrClosed)
	}
	h.running.Wait(h.cfg.Env)
	h.release()
	return h.Err()
}

// handOver lets another node lead what this one leads of some groups, so that clients
// need not wait for an election timeout.
func (h *Host) handOver(ctx context.Context, groups []*Group) {
	// Where all nodes stop at once nobody takes over; an election would be over
	// by then.
	ctx, cancel := h.within(ctx, 2*h.cfg.ElectionTimeout)
	defer cancel()
	var all env.Tasks
	for _, g := range groups {
		if g.leading() {
			all.Go(h.cfg.Env, func() { _ = g.Transfer(ctx, 0) }) // nobody to hand over to: then not
		}
	}
	all.Wait(h.cfg.Env)
}

// start runs f in a goroutine that Close waits for.
func (h *Host) start(f func()) { h.running.Go(h.cfg.Env, f) }

func (h *Host) all() []*Group { return h.groups.all() }

func (h *Host) group(id GroupID) *Group { return h.groups.find(id) }

// groups are those of a host, by rising ID. They are read all the time and
// changed rarely, so that every change makes a new list, and a list of their IDs:
// to find one among thousands must not touch the memory of others.
type groups struct {
	mu   sync.Mutex // held to change the list
	list atomic.Pointer[groupList]
}

type groupList struct {
	ids    []GroupID
	groups []*Group
}

func (gs *groups) all() []*Group {
	if list := gs.list.Load(); list != nil {
		return list.groups
	}
	return nil
}

func (gs *groups) find(id GroupID) *Group {
	list := gs.list.Load()
	if list == nil {
		return nil
	}
	if at, found := slices.BinarySearch(list.ids, id); found {
		return list.groups[at]
	}
	return nil
}

func (gs *groups) set(groups []*Group) {
	list := groupList{groups: groups, ids: make([]GroupID, len(groups))}
	for i, g := range groups {
		list.ids[i] = g.id
	}
	gs.list.Store(&list)
}

// add takes in groups, unless there is one of an ID already, which it returns then.
func (gs *groups) add(fresh []*Group) (twice *Group) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	list := append(slices.Clone(gs.all()), fresh...)
	slices.SortStableFunc(list, func(a, b *Group) int { return cmp.Compare(a.id, b.id) })
	for i := 1; i < len(list); i++ {
		if list[i-1].id == list[i].id {
			return list[i]
		}
	}
	gs.set(list)
	return nil
}

func (gs *groups) remove(gone []*Group) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(gs.all()), func(g *Group) bool { return slices.Contains(gone, g) })
	gs.set(list)
}

// failure is why a host cannot go on: err is set before failed is closed.
type failure struct {
	once   sync.Once
	failed chan struct{}
	err    error
}

// fail stops the host for good: after a failed write nobody knows what the disk
// holds, and only a new start can find out.
func (h *Host) fail(err error) {
	h.failure.once.Do(func() {
		h.failure.err = err
		close(h.failure.failed)
		h.cfg.Logger.Error("the host has stopped", "err", err)
		h.inbox.close()
		h.start(func() { _ = h.peers.Close() }) // what cannot be kept shall not be received
		for _, g := range h.all() {
			g.waiting.end(ErrUnknownOutcome, ErrStopped)
		}
	})
}
