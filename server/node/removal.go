package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
)

var errRemoved = errors.New("this member was removed from the cluster: its data directory cannot come back, let it join with an empty --data-dir and --join")

// removed returns errRemoved if the cluster has removed this node, and an error
// of the disk if it cannot note that it has been a member.
//
// A configuration without this node does not suffice: one that joins replays
// those from before its time. And a node that is removed seldom gets the entry
// that says so, because its leader stops sending to it; it hears of no leader any
// more, and then has to ask.
func (k *keeper) removed(ctx context.Context, status quorate.Status) error {
	_, known := status.Config.Find(status.ID)
	settled := status.ConfigIndex <= min(status.Commit, status.Durable)
	id := k.identity
	seated := id.Seated || !id.Joined
	switch {
	case known && settled && !seated:
		id.Seated = true
		return id.write(k.cfg.DataDir)
	case !seated:
		return nil
	case !known && settled && len(status.Config.Members) > 0:
		return errRemoved
	case status.Leader == 0 && k.removedElsewhere(ctx, status):
		return errRemoved
	}
	return nil
}

// askTime is how long one member has for its answer.
const askTime = time.Second

// removedElsewhere asks the other members whether one of them knows that this
// node was removed, as often as an election may have had an end.
func (k *keeper) removedElsewhere(ctx context.Context, status quorate.Status) bool {
	if time.Since(k.asked) < 2*k.cfg.Election {
		return false
	}
	k.asked = time.Now()
	for _, m := range status.Config.Members {
		if m.ID == status.ID {
			continue
		}
		found, err := k.ask(ctx, m.Address)
		if err == nil && k.without(found, status) {
			k.log.Info("a member knows of this one's removal", "name", members.InfoOf(m).Name, "id", wire.ID(m.ID), "index", found.Index)
			return true
		}
	}
	return false
}

// ask asks at the peers' door, where no user is needed: a member has none.
func (k *keeper) ask(ctx context.Context, at string) (*wire.Members, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return askPeer(ctx, peerClient(k.certs.peers), at)
}

// without reports whether the members are a committed configuration that this node
// is not in, and no earlier one in the log than its own: whoever lags behind may
// not know it yet. Ours may be the same one, and not known here to be committed.
func (k *keeper) without(members *wire.Members, status quorate.Status) bool {
	return members.ClusterID == k.identity.ClusterID &&
		members.Committed && members.Index >= uint64(status.ConfigIndex) &&
		!slices.ContainsFunc(members.Members, func(m wire.Member) bool { return m.ID == k.identity.NodeID })
}
