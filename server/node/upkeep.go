package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/httpapi"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/server/kv"
)

// upkeep does until ctx ends what nobody asks for: it says when the node is
// ready, tells the cluster this member's URLs, asks for a learner's promotion,
// and lets idle sessions expire.
func (n *node) upkeep(ctx context.Context) {
	n.awaitReady(ctx)
	door, err := client.New(client.Config{Endpoints: []string{n.door()}, Timeout: n.cfg.Limits.RequestTimeout})
	if err != nil {
		n.log.Error("this node cannot speak to its own door", "error", err)
		return
	}
	defer door.Close()
	k := keeper{node: n, client: door, expired: time.Now()}
	tick := time.NewTicker(n.cfg.Heartbeat)
	defer tick.Stop()
	for {
		k.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// awaitReady waits until a linearizable read succeeds.
func (n *node) awaitReady(ctx context.Context) {
	for ctx.Err() == nil {
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
			n.log.Error("the group has stopped on this node", "error", status.Err)
			return
		case ctx.Err() == nil:
			n.log.Warn("not ready yet: waiting for a leader, or for what it has committed",
				"applied", status.Applied, "commit", status.Commit, "error", err)
		}
	}
}

// door is a URL at which this node hears clients.
func (n *node) door() string { return "http://" + n.listeners[0].Addr().String() }

// keeper is what upkeep remembers between its rounds.
type keeper struct {
	*node
	client  *client.Client
	expired time.Time // when sessions were last expired
	said    string    // the last complaint, so that it is said once
}

// round looks at the group and does what is due. It asks at this node's own door,
// from where a request finds its way to the leader.
func (k *keeper) round(ctx context.Context) {
	status := k.group.Status()
	self, known := status.Config.Find(status.ID)
	var err error
	switch {
	case status.Leader == 0:
	case !known:
		err = errors.New("this member is not, or no longer, in the cluster: stop it, or let it join with an empty --data-dir")
	case self.Address != k.self().Address || self.Info != k.self().Info:
		err = k.announce(ctx)
	case self.Role == membership.Learner && k.identity.Joined:
		k.promote(ctx, status)
	case status.Role == raft.Leader:
		k.expire(ctx)
	}
	if err == nil {
		k.said = ""
	} else if text := err.Error(); text != k.said && ctx.Err() == nil {
		k.said = text
		k.log.Warn("upkeep: " + text)
	}
}

// self is this member as the log should record it.
func (n *node) self() quorate.Member {
	return quorate.Member{
		ID:      quorate.NodeID(n.identity.NodeID),
		Address: address(n.cfg.Peer.Advertise[0]),
		Info:    httpapi.Info{Name: n.cfg.Name, ClientURLs: n.cfg.Client.Advertise}.String(),
	}
}

// announce tells the cluster where this member is reached. Only the member
// itself knows its client URLs, and its flags may have changed since last time.
// Trouble that passes is no error: the next round tries again.
func (k *keeper) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Limits.RequestTimeout)
	defer cancel()
	text, err := json.Marshal(httpapi.AddMember{
		Name:       k.cfg.Name,
		PeerURL:    k.cfg.Peer.Advertise[0],
		ClientURLs: k.cfg.Client.Advertise,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, k.door()+"/v1/members/"+k.identity.NodeID.String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("this node cannot reach its own door: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	var problem httpapi.Problem
	if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
		return fmt.Errorf("this node's own door answered %s: %w", answer.Status, err)
	}
	if httpapi.KindOf(problem.Code).Retry != httpapi.RetryNever {
		return nil
	}
	return &problem
}

// promote asks for this learner's promotion; the leader refuses while it has not
// caught up.
func (k *keeper) promote(ctx context.Context, status quorate.Status) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Limits.RequestTimeout)
	defer cancel()
	err := k.client.PromoteMember(ctx, k.identity.NodeID)
	if err == nil {
		k.log.Info("promoted: this member votes from now on", "applied", status.Applied)
		return
	}
	k.log.Info("a learner as yet", "applied", status.Applied, "commit", status.Commit, "reason", err)
}

// expire drops sessions that were idle for long. Only the leader does it, now and
// then; a second one would do no harm.
func (k *keeper) expire(ctx context.Context) {
	if time.Since(k.expired) < k.cfg.SessionTTL/10 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Limits.RequestTimeout)
	defer cancel()
	now := time.Now()
	command := kv.Command{
		Millis: now.UnixMilli(),
		Do:     kv.ExpireSessions{Before: now.Add(-k.cfg.SessionTTL).UnixMilli()},
	}
	// If it fails there is time: the next round tries again.
	if _, err := k.group.Propose(ctx, command.Encode()); err == nil {
		k.expired = now
	}
}
