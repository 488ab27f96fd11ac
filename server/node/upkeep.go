package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/kv"
)

// upkeep does until ctx ends what nobody asks for: it tells the cluster this
// member's URLs, asks for a learner's promotion, lets idle sessions expire, compacts
// history and clears it away.
// It returns an error when the node has nothing left to do: its group has stopped
// or the cluster has removed it.
func (n *node) upkeep(ctx context.Context) error {
	k := keeper{node: n, expired: time.Now(), asked: time.Now(), past: past{Retention: n.cfg.Space.Keep}}
	tick := time.NewTicker(n.cfg.Heartbeat)
	defer tick.Stop()
	for {
		if err := k.round(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// awaitReady waits until a linearizable read succeeds. It says that it waits, each time
// after four times as long.
func (n *node) awaitReady(ctx context.Context) {
	for attempts, told := 1, 1; ctx.Err() == nil; attempts++ {
		attempt, cancel := context.WithTimeout(ctx, n.cfg.Limits.RequestTimeout)
		_, err := n.group.Read(attempt)
		cancel()
		status := n.group.Status()
		switch {
		case err == nil:
			n.ready.Store(true)
			n.log.Info(Ready, "url", n.cfg.Client.Advertise[0])
			return
		case status.Err != nil:
			return // upkeep sees it too
		case ctx.Err() == nil && attempts == told:
			told *= 4
			n.log.Warn("not ready yet: waiting for a leader, or for what it has committed",
				"applied", status.Applied, "commit", status.Commit, "error", err)
		}
	}
}

// keeper is what upkeep remembers between its rounds.
type keeper struct {
	*node
	expired time.Time   // when sessions were last expired
	told    time.Time   // when a learner's progress was last told
	asked   time.Time   // when the others were last asked whether they have removed us
	leader  raft.NodeID // the last one seen
	said    string      // the last complaint, so that it is said once
	past    past        // revisions and their times
	room    room        // what was last said of the space that is left
}

// round looks at the group and does what is due. Its error is why the node must
// stop.
func (k *keeper) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Limits.RequestTimeout)
	defer cancel()
	status := k.group.Status()
	if status.Err != nil {
		if ctx.Err() != nil || k.host.Err() != nil {
			return nil // there is a better reason than the group's end
		}
		return fmt.Errorf("the group has stopped on this node: %w: restart it; if it stops again, remove this member and let it join with an empty --data-dir", status.Err)
	}
	if status.Leader != 0 && status.Leader != k.leader {
		k.leader = status.Leader
		k.seen.leaders.Add(1)
	}
	self, known := status.Config.Find(status.ID)
	k.seen.learner.Store(known && self.Role == membership.Learner)
	k.doors.etcd.SetReady(k.isReady() == nil)
	if err := k.removed(ctx, status); err != nil {
		return err
	}
	k.lookAtSpace()
	if status.Leader != 0 && k.ready.Load() {
		k.complain(ctx, k.due(ctx, status))
	}
	return nil
}

// due does what this node's place in the cluster asks for.
func (k *keeper) due(ctx context.Context, status quorate.Status) error {
	self, known := status.Config.Find(status.ID)
	stays := members.StaysLearner(self)
	wanted := k.self(stays)
	switch {
	case !known:
		return errNotMember
	case self.Address != wanted.Address || self.Info != wanted.Info:
		// Only the member itself knows its client URLs, and its flags may have
		// changed since last time.
		return k.group.Change(ctx, membership.Change{Kind: membership.Update, Member: wanted})
	case self.Role == membership.Learner && k.identity.Joined && !stays:
		return k.promote(ctx, status)
	case status.Role == raft.Leader:
		k.expire(ctx)
		return k.housekeep(ctx)
	}
	return nil
}

// passing is trouble that is gone the next time, or the time after.
var passing = []error{
	raft.ErrChangePending, raft.ErrTooEarly, raft.ErrNotCaughtUp,
	quorate.ErrNoLeader, quorate.ErrTooLate, quorate.ErrBusy, quorate.ErrDiskFull, quorate.ErrUnknownOutcome,
}

// complain tells of an error once, unless it is one that passes.
func (k *keeper) complain(ctx context.Context, err error) {
	if err == nil {
		k.said = ""
		return
	}
	is := func(p error) bool { return errors.Is(err, p) }
	if text := err.Error(); text != k.said && ctx.Err() == nil && !slices.ContainsFunc(passing, is) {
		k.said = text
		k.log.Warn("the cluster does not know this member as it should", "error", err)
	}
}

// self is this member as the log should record it. Whether it stays a learner only
// the log knows.
func (n *node) self(staysLearner bool) quorate.Member {
	return quorate.Member{
		ID:      quorate.NodeID(n.identity.NodeID),
		Address: address(n.cfg.Peer.Advertise[0]),
		Info:    members.Info{Name: n.cfg.Name, ClientURLs: n.cfg.Client.Advertise, StaysLearner: staysLearner}.String(),
	}
}

// tellEvery is how often a learner's progress is told.
const tellEvery = 2 * time.Second

// promote asks for this learner's promotion. The leader refuses while it has not
// caught up.
func (k *keeper) promote(ctx context.Context, status quorate.Status) error {
	err := k.group.Change(ctx, membership.Change{Kind: membership.Promote, Member: quorate.Member{ID: status.ID}})
	if err == nil {
		k.log.Info("promoted: this member votes from now on", "applied", status.Applied)
	} else if time.Since(k.told) >= tellEvery {
		k.told = time.Now()
		k.log.Info("a learner as yet", "applied", status.Applied, "commit", status.Commit, "reason", err)
	}
	return err
}

// expire drops sessions that were idle for long. Only the leader does it, now and
// then; a second one would do no harm.
func (k *keeper) expire(ctx context.Context) {
	if time.Since(k.expired) < k.cfg.SessionTTL/10 {
		return
	}
	now := time.Now()
	command := kv.Command{
		By:     kv.ThisNode,
		Millis: now.UnixMilli(),
		Do:     kv.ExpireSessions{Before: now.Add(-k.cfg.SessionTTL).UnixMilli()},
	}
	// If it fails there is time: the next round tries again.
	if _, err := k.group.Propose(ctx, command.Encode()); err == nil {
		k.expired = now
	}
}
