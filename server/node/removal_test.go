package node

import (
	"encoding/json"
	"testing"

	"github.com/quorate-db/quorate"
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/server/api/wire"
	"github.com/quorate-db/quorate/server/client"
)

// A removed member does not live on as one that waits for a leader: it ends and
// says why, and says it again when it is started again.
func TestM13RemovedMemberEnds(t *testing.T) {
	a := run(t, member(t, "a", "--bcrypt-cost=4"))
	a.await(Ready)
	cfg := member(t, "b", "--join="+a.cfg.Client.Listen[0])
	b := run(t, cfg)
	b.await("promoted: this member votes from now on")
	b.says = errRemoved.Error()
	_, text := b.ask("GET", "/v1/status", "")
	var status wire.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	enforceRights(t, a) // members ask each other as nobody
	root, err := client.New(client.Config{Endpoints: a.cfg.Client.Listen, User: "root", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.RemoveMember(t.Context(), status.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.ends(); err != errRemoved {
		t.Fatalf("%v, want %v", err, errRemoved)
	}
	b = run(t, cfg)
	b.says = errRemoved.Error()
	if err := b.ends(); err != errRemoved {
		t.Errorf("started again: %v, want %v", err, errRemoved)
	}
}

// Only a committed configuration no earlier than the node's own proves a removal, and
// only to a node that has been a member.
func TestRemovalIsProven(t *testing.T) {
	k := &keeper{node: &node{identity: &identity{ClusterID: 0xc, NodeID: 2}}}
	own := quorate.Status{}
	own.ConfigIndex = 10
	others := []wire.Member{{ID: 1}}
	for _, c := range []struct {
		members wire.Members
		removed bool
	}{
		{wire.Members{ClusterID: 0xc, Index: 10, Committed: true, Members: others}, true},
		{wire.Members{ClusterID: 0xc, Index: 11, Members: others}, false},
		{wire.Members{ClusterID: 0xc, Index: 9, Committed: true, Members: others}, false},
		{wire.Members{ClusterID: 0xd, Index: 11, Committed: true, Members: others}, false},
		{wire.Members{ClusterID: 0xc, Index: 11, Committed: true, Members: append(others, wire.Member{ID: 2})}, false},
	} {
		if got := k.without(&c.members, own); got != c.removed {
			t.Errorf("%+v: %v, want %v", c.members, got, c.removed)
		}
	}
}

// A member that joins replays configurations from before its time. They are no
// removal, until it has seen itself in one; what it has seen outlives a restart.
func TestConfigurationsFromBeforeAMembersTime(t *testing.T) {
	cfg := configure(t)
	id := &identity{Format: identityFormat, ClusterID: 0xc, NodeID: 2, Joined: true}
	k := &keeper{node: &node{cfg: *cfg, identity: id}}
	at := func(index raft.Index, members ...quorate.NodeID) (s quorate.Status) {
		var all []quorate.Member
		for _, m := range members {
			all = append(all, quorate.Member{ID: m, Role: membership.Voter})
		}
		s.ID, s.Leader, s.Config = 2, 1, membership.New(all...)
		s.ConfigIndex, s.Commit, s.Durable = index, index, index
		return s
	}
	uncommitted := at(3, 1, 2)
	uncommitted.Commit--
	for i, c := range []struct {
		status quorate.Status
		want   error
		seated bool
	}{
		{at(1, 1), nil, false},
		{uncommitted, nil, false},
		{at(3, 1, 2), nil, true},
		{at(4, 1), errRemoved, true},
	} {
		if err := k.removed(t.Context(), c.status); err != c.want {
			t.Errorf("step %d: %v, want %v", i, err, c.want)
		}
		if read, err := readIdentity(cfg.DataDir); c.seated && (err != nil || !read.Seated) {
			t.Errorf("step %d: the directory says %+v, %v", i, read, err)
		}
	}
}
