package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/quorate-db/quorate/server/api/members"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
	"github.com/quorate-db/quorate/transport/certs"
)

// identify returns who this node is, and first finds it out if its data
// directory is new: from the flags, or from the cluster that it is to join.
func identify(ctx context.Context, cfg *Config, shown credentials, log *slog.Logger) (*identity, error) {
	id, err := readIdentity(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if id != nil {
		if err := id.check(cfg); err != nil {
			return nil, err
		}
	}
	b := &cfg.Bootstrap
	known := b.Join != "" || b.State == StateExisting && len(b.Cluster) > 1
	switch {
	case id != nil && !id.Joining:
		return id, nil
	case id != nil && !known:
		return nil, errors.New("this member has not finished joining its cluster: start it with --join and the client URL of a member")
	case id == nil && !known && b.State == StateExisting:
		return nil, errors.New("--initial-cluster-state existing needs --join with the client URL of a running member, or --initial-cluster with the others' peer URLs: they tell this one the rest")
	case id == nil && !known:
		id = bootstrapIdentity(cfg, "")
		return id, id.write(cfg.DataDir)
	}
	log.Info("joining a cluster", "asking", cmp.Or(b.Join, membersNamed))
	return joinCluster(ctx, cfg, shown, id)
}

// membersNamed is who is asked where there is no --join.
const membersNamed = "--initial-cluster"

// joinTime is how long the cluster may take to take a member in. Another
// change of its membership may have to end first.
const joinTime = time.Minute

// joinCluster makes this node a learner of the running cluster. It may be
// repeated: the ID is on the disk before the cluster hears of it, so that a node
// that dies in between asks again as the same member.
func joinCluster(ctx context.Context, cfg *Config, shown credentials, id *identity) (*identity, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	members, err := meet(ctx, cfg, shown)
	if err != nil {
		return nil, err
	}
	if id == nil {
		id = &identity{Format: identityFormat, ClusterID: members.ClusterID, Name: cfg.Name, Joining: true, Joined: true}
		if id.NodeID, err = chooseID(cfg, members); err != nil {
			return nil, err
		}
	}
	if id.ClusterID != members.ClusterID {
		return nil, fmt.Errorf("the data directory %s belongs to the cluster %v, and %s to the cluster %v: choose another --data-dir or another --join",
			cfg.DataDir, id.ClusterID, cmp.Or(cfg.Bootstrap.Join, membersNamed), members.ClusterID)
	}
	id.Name, id.Members = cfg.Name, nil
	for _, m := range members.Members {
		if m.ID != id.NodeID {
			id.Members = append(id.Members, seat{ID: m.ID, Name: m.Name, Address: address(m.PeerURL), ClientURLs: m.ClientURLs})
		}
	}
	if err := id.write(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := enter(ctx, cfg, shown.asking, id, members); err != nil {
		return nil, err
	}
	id.Joining = false
	return id, id.write(cfg.DataDir)
}

// meet asks a member for the cluster.
func meet(ctx context.Context, cfg *Config, shown credentials) (*wire.Members, error) {
	url := cfg.Bootstrap.Join
	if url == "" {
		return findCluster(ctx, cfg, shown.peers)
	}
	how, err := cfg.Bootstrap.As.client([]string{url}, shown.asking)
	if err != nil {
		return nil, err
	}
	how.FailFast = true
	c, err := client.New(how)
	if err != nil {
		return nil, fmt.Errorf("--join: %w", err)
	}
	defer c.Close()
	members, err := c.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("--join %s: the cluster cannot be asked: %w", url, cfg.Bootstrap.As.explain(err))
	}
	if len(members.Members) == 0 || members.ClusterID == 0 {
		return nil, fmt.Errorf("--join %s: this node does not know its cluster yet; ask another, or try again", url)
	}
	return members, nil
}

// chooseID returns the ID of a member that was added beforehand, or draws one.
// Only a member that has never started is taken over: it announces client URLs
// when it starts, and from then on its ID belongs to its data directory. A member
// that lost its data must not come back under the ID that voted (M17).
func chooseID(cfg *Config, known *wire.Members) (wire.ID, error) {
	if cfg.Bootstrap.State == StateNew {
		return wire.ID(members.DrawID()), nil
	}
	for _, m := range known.Members {
		if address(m.PeerURL) != address(cfg.Peer.Advertise[0]) {
			continue
		}
		if m.Role != "learner" || len(m.ClientURLs) > 0 {
			return 0, fmt.Errorf("the member %v at %s has been started before: start it on its own --data-dir, or, if that is lost, remove the member and add it again", m.ID, m.PeerURL)
		}
		return m.ID, nil
	}
	return 0, fmt.Errorf("--initial-cluster-state existing: no member was added for %s; add it with quorate member add, or leave the flag out", cfg.Peer.Advertise[0])
}

// enter adds this node to the cluster unless the cluster has it already. Any
// member can be asked; the one that --join names may be down by now.
func enter(ctx context.Context, cfg *Config, asking *certs.Source, id *identity, members *wire.Members) error {
	listed := func(m wire.Member) bool { return m.ID == id.NodeID }
	switch {
	case slices.ContainsFunc(members.Members, listed):
		return nil
	case cfg.Bootstrap.Join == "":
		return fmt.Errorf("the member %v was removed before it had joined: empty --data-dir %s, and add it again", id.NodeID, cfg.DataDir)
	}
	endpoints := []string{cfg.Bootstrap.Join}
	for _, s := range id.Members {
		endpoints = append(endpoints, s.ClientURLs...)
	}
	how, err := cfg.Bootstrap.As.client(endpoints, asking)
	if err != nil {
		return err
	}
	c, err := client.New(how)
	if err != nil {
		return fmt.Errorf("a member of the cluster announces a client URL that is none: %w", err)
	}
	defer c.Close()
	for !slices.ContainsFunc(members.Members, listed) {
		_, err := c.AddMember(ctx, wire.AddMember{
			ID: id.NodeID, Name: cfg.Name, PeerURL: cfg.Peer.Advertise[0], ClientURLs: cfg.Client.Advertise,
		})
		if problem, ok := errors.AsType[*client.Error](err); ok && problem.Code == wire.MemberExists {
			return nil // an attempt whose answer was lost; no other member has this ID
		}
		// When the outcome is unknown, only the list of members knows it.
		if !errors.Is(err, client.ErrUnknownOutcome) {
			if err != nil {
				return fmt.Errorf("the cluster did not take this member in: %w", cfg.Bootstrap.As.explain(err))
			}
			return nil
		}
		if members, err = c.Members(ctx); err != nil {
			return fmt.Errorf("the cluster cannot be asked whether it took this member in: %w", err)
		}
	}
	return nil
}
