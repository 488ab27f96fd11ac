// Package node puts a server together: a Host that runs the group, the key-value
// state machine on its store, and the doors to clients: plain HTTP, and etcd's gRPC.
//
// It starts from the disk outwards, so that nothing is asked before it can be
// answered:
//
//  1. lock the data directory, see that the addresses are free, and compare or
//     write identity.json (who joins asks the cluster here);
//  2. open the store, DIR/kv, with what was applied before;
//  3. open the Host, DIR/raft: it replays the log, loads the snapshot and listens
//     to peers;
//  4. start the group: its storage, proposal and apply loops;
//  5. last, listen to clients. The node is ready once a linearizable read
//     succeeds: it has seen a leader and applied what was committed then.
//
// It stops from the outside inwards: it is not ready any more and takes no new
// connection; requests in progress end; leadership is handed over and the group
// stops; the store is flushed and closed; the directory is unlocked.
//
// Reading order: config.go, load.go; identity.go, join.go, asker.go, peerdoor.go; node.go; doors.go,
// split.go; upkeep.go.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/env"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/server/auth"
	"github.com/quorate-db/quorate/server/kv"
	"github.com/quorate-db/quorate/server/kv/store"
	"github.com/quorate-db/quorate/server/lease"
	"github.com/quorate-db/quorate/server/watch"
	"github.com/quorate-db/quorate/vfs"
)

// Ready is the message that Run logs, with attribute "url", once clients are
// served: the node has seen a leader and applied what was committed then.
const Ready = "ready to serve client requests"

// stopTime is how long requests in progress, and then the hand-over, may take.
const stopTime = 5 * time.Second

// group is the one group that a node runs.
const group quorate.GroupID = 1

// node is a running node.
type node struct {
	cfg      Config
	log      *slog.Logger
	identity *identity
	certs    credentials

	lock    io.Closer
	store   *store.Disk
	machine *kv.Machine
	hub     *watch.Hub
	lessor  *lease.Lessor
	callers *auth.Keeper
	host    *quorate.Host
	group   *quorate.Group

	doors doors
	ready atomic.Bool
	seen  seen
	fatal chan error     // why the node cannot serve any more; the first reason counts
	died  chan error     // why it cannot even be stopped
	work  sync.WaitGroup // upkeep and the listeners' loops
}

// Run runs a node until ctx ends, then hands leadership over, flushes and
// returns nil. An error is one sentence for the user: why the node could not be
// started, or had to stop; the process should end then.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	n := &node{cfg: cfg, log: log, fatal: make(chan error, 1), died: make(chan error)}
	ended := make(chan error, 1)
	go func() { ended <- n.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case err := <-n.died:
		return err // nothing is lost: what was acknowledged is in the log
	}
}

func (n *node) run(ctx context.Context) error {
	err := n.start(ctx)
	if err == nil {
		err = n.serve(ctx)
	}
	stopped := n.stop()
	if err == nil {
		return stopped
	}
	// What broke the node often breaks its end too, and says so once more.
	if stopped != nil && !errors.Is(stopped, err) {
		n.log.Warn("stopping did not go well either", "error", oneLine(stopped))
	}
	return err
}

// die ends the node without stopping it, because its store can no longer be
// closed. It does not return.
func (n *node) die(err error) {
	n.died <- err
	select {}
}

// start brings everything up but the door to clients.
func (n *node) start(ctx context.Context) (err error) {
	dir := n.cfg.DataDir
	disk := vfs.OS{}
	if err := disk.MakeDir(dir); err != nil {
		return fmt.Errorf("--data-dir %s cannot be used: %w", dir, err)
	}
	if n.lock, err = disk.Lock(dir); err != nil {
		if _, ok := errors.AsType[*vfs.LockedError](err); ok {
			return err
		}
		return fmt.Errorf("--data-dir %s cannot be used: %w", dir, err)
	}
	if err := n.probe(); err != nil {
		return err
	}
	if n.certs, err = n.cfg.credentials(n.log); err != nil {
		return err
	}
	if n.identity, err = identify(ctx, &n.cfg, n.certs, n.log); err != nil {
		return err
	}
	if err := n.identity.checkLog(n.logDir()); err != nil {
		return err
	}
	n.log.Info("starting", "name", n.cfg.Name, "id", n.identity.NodeID, "cluster_id", n.identity.ClusterID, "data_dir", dir, "version", Version())
	if n.store, err = store.Open(filepath.Join(dir, "kv"), store.Options{Logger: n.log, Fatal: n.die}); err != nil {
		return err
	}
	if n.machine, err = kv.New(seenStore{n.store, &n.seen}); err != nil {
		return err
	}
	n.machine.Count(n.seen.tally.add)
	if n.hub, err = watch.New(n.machine, env.Real(), watch.Usual); err != nil {
		return err
	}
	if err := n.knowCallers(); err != nil {
		return err
	}
	n.lessor = lease.New(lease.Options{Machine: n.machine, Env: env.Real(), Election: n.cfg.Election, Logger: n.log})
	if n.host, err = quorate.Open(n.hostConfig()); err != nil {
		return explain(err, "--listen-peer-urls")
	}
	begin := quorate.GroupConfig{ID: group, StateMachine: seenMachine{lease.Machine{Machine: n.machine, Lessor: n.lessor}, &n.seen}}
	if !n.identity.Joined {
		begin.Members, begin.From = n.identity.members(), raft.Index(n.identity.From)
	}
	if n.group, err = n.host.Start(begin); err != nil {
		return err
	}
	n.doors.peers.group.Store(n.group)
	if n.identity.Begun {
		return nil
	}
	n.identity.Begun = true
	return n.identity.write(dir)
}

func (n *node) logDir() string { return filepath.Join(n.cfg.DataDir, "raft") }

func (n *node) hostConfig() quorate.Config {
	c := quorate.Config{
		Dir:               n.logDir(),
		ID:                quorate.NodeID(n.identity.NodeID),
		Cluster:           uint64(n.identity.ClusterID),
		Listen:            address(n.cfg.Peer.Listen[0]),
		Advertise:         address(n.cfg.Peer.Advertise[0]),
		HeartbeatInterval: n.cfg.Heartbeat,
		ElectionTimeout:   n.cfg.Election,
		SnapshotEntries:   n.cfg.SnapshotCount,
		MaxCommandBytes:   maxCommandBytes,
		Logger:            n.log,
	}
	n.doors.peers = newPeerDoor(n.certs.peers)
	n.doors.peers.cluster, c.PeerTLS = n.identity.ClusterID, n.doors.peers
	if n.identity.Joined {
		c.Peers = n.identity.members()
	}
	return c
}

// probe returns an error if an address cannot be listened on. The listening
// itself comes later and may still fail; but a wrong flag should be found before
// a cluster was begun or joined because of it.
func (n *node) probe() error {
	for _, at := range append(n.cfg.clientDoors(), opening{flag: "--listen-peer-urls", urls: n.cfg.Peer.Listen}) {
		for _, url := range at.urls {
			l, err := net.Listen("tcp", address(url))
			if err != nil {
				return explain(err, at.flag)
			}
			_ = l.Close() // nobody ever connected
		}
	}
	return nil
}

// explain says which flag an address came from that cannot be listened on.
func explain(err error, flag string) error {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok || op.Op != "listen":
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: another process listens on %v: stop it or choose another port", flag, op.Addr)
	default:
		return fmt.Errorf("%s: this machine cannot listen on %v: %w", flag, op.Addr, op.Err)
	}
}

// serve opens the doors and serves until ctx ends or something fails.
func (n *node) serve(ctx context.Context) error {
	if err := n.doors.listen(n); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.doors.serve(n)
	n.work.Go(func() { n.awaitReady(ctx) })
	n.work.Go(func() { n.lessor.Run(ctx, n.host.ID(), seenGroup{n.group, &n.seen}) })
	n.work.Go(func() {
		if err := n.upkeep(ctx); err != nil {
			n.fail(err)
		}
	})
	select {
	case <-ctx.Done():
		n.log.Info("stopping")
		return nil
	case <-n.host.Failed():
		return diskFull(n.host.Err())
	case <-n.group.Stopped():
		return diskFull(n.group.Status().Err)
	case err := <-n.fatal:
		return err
	}
}

// diskFull says what to do about the most frequent failure of a host.
func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("the disk that --data-dir is on is full: make room, then start this member again (%w)", err)
	}
	return err
}

// fail stops the node: one that cannot serve must not look alive.
func (n *node) fail(err error) {
	select {
	case n.fatal <- err:
	default: // there is a reason already
	}
}

var errNotMember = errors.New("this node is not a member of the cluster as far as it knows")

// isReady returns nil while clients should be sent here.
func (n *node) isReady() error {
	status := n.group.Status()
	_, member := status.Config.Find(status.ID)
	switch {
	case status.Err != nil:
		return status.Err
	case !member:
		return errNotMember
	case status.Leader == 0:
		return errors.New("no leader is known at the moment")
	case !n.ready.Load():
		return errors.New("the node is starting or stopping")
	}
	return nil
}

// stop ends what was started, in the reverse order. Whatever fails, the rest is
// stopped all the same.
func (n *node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	n.ready.Store(false)
	errs := n.doors.close(ctx, n.log)
	n.work.Wait()
	if n.host != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		errs = append(errs, n.host.Close(ctx))
	}
	if n.hub != nil {
		n.hub.Close()
	}
	if n.store != nil {
		errs = append(errs, n.closeStore())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// closeStore flushes and closes the store. One disk fails both in the same words.
func (n *node) closeStore() error {
	var flushed error
	if n.machine != nil && n.host != nil {
		flushed = n.machine.Sync()
	}
	return cmp.Or(flushed, n.store.Close())
}
