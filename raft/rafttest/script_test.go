package rafttest

import (
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// A script that makes no sense must not pass for one in which nothing happens.
func TestMistakesAreTheAuthors(t *testing.T) {
	var none Script
	if _, err := none.Do("campaign 1"); err == nil {
		t.Error("a campaign without nodes")
	}
	var s Script
	if _, err := s.Do("nodes 3"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"", "comply", "quietly", "quietly comply", "campaign", "campaign 4", "campaign 0", "campaign x", "campaign 1 2",
		"tick 1 soon", "nodes 3 nodse=2", "deliver", "deliver 1->2", "drop nth=2", "propose 1 x term=2",
		"step AppendEntries from=1 to=9", "step Vote from=1 to=2", "step Heartbeat from=1 to=2 term=", "change 1 depose 2", "disk 1 entries=2", "start 4",
		"change 1 add", "reconfigure 1 add 2 depose 3", "reconfigure 1 add 2 to", "leave 1 2", "change 1 update 2^", "disk 1 voters=1+x", "disk 1 entries=2/2@9", "forget 1", "trace", "trace maybe",
	} {
		if said, err := s.Do(line); err == nil {
			t.Errorf("%q is played, and says %q", line, said)
		}
	}
	if _, err := s.Do("crash 2"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Do("propose 2 x"); err == nil {
		t.Error("a node that is down takes proposals")
	}
}

// What a node refuses is no mistake: it belongs to the story.
func TestRefusalsAreTold(t *testing.T) {
	var s Script
	for _, line := range []string{"nodes 3", "step Heartbeat from=1 to=2"} {
		said, err := s.Do(line)
		if err != nil {
			t.Fatal(err)
		}
		if told := strings.HasPrefix(said, "2 refuses: "); told != (line != "nodes 3") {
			t.Errorf("%s says %q", line, said)
		}
	}
}

// The shapes of a configuration, and of what is traced.
func TestMembersAndRulesAreShown(t *testing.T) {
	voter := func(id raft.NodeID) membership.Member { return membership.Member{ID: id, Role: membership.Voter} }
	learner := membership.Member{ID: 4, Role: membership.Learner, Priority: 7}
	trio := membership.New(voter(1), voter(2), voter(3))
	joint, err := trio.Enter(true, membership.Change{Kind: membership.Demote, Member: voter(3)}, membership.Change{Kind: membership.Remove, Member: voter(1)})
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]membership.Config{
		"{}": {}, "{1 2 3}": trio, "{1, learning 4^7}": membership.New(learner, voter(1)), "{learning 4^7}": membership.New(learner),
		"{2, learning 3 | 1 2 3, to stay}": joint,
	} {
		if got := showConfig(c); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for want, e := range map[string]raft.Event{
		"1 by F2":               {Rule: raft.F2, Node: 1},
		"1 by AE2, node 2, 3/4": {Rule: raft.AE2, Node: 1, Peer: 2, Entry: raft.EntryID{Term: 3, Index: 4}},
		"1 by AE5, at 4":        {Rule: raft.AE5, Node: 1, Entry: raft.EntryID{Index: 4}},
	} {
		if got := showEvent(&e); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestEachKindOfMessageIsShown(t *testing.T) {
	x := raft.Entry{EntryID: raft.EntryID{Term: 2, Index: 4}, Kind: raft.Command, Data: []byte("x")}
	at := raft.EntryID{Term: 1, Index: 3}
	for want, m := range map[string]raft.Message{
		"1->2 PreVote term 2 last 1/3":                          {Kind: raft.PreVote, Last: at},
		"1->2 PreVoteReply term 2 granted":                      {Kind: raft.PreVoteReply, Granted: true},
		"1->2 RequestVote term 2 last 1/3 transfer":             {Kind: raft.RequestVote, Last: at, Transfer: true},
		"1->2 RequestVoteReply term 2 refused":                  {Kind: raft.RequestVoteReply},
		`1->2 AppendEntries term 2 prev 1/3 [2/4 "x"] commit 3`: {Kind: raft.AppendEntries, Span: raft.Span{Prev: at, Entries: []raft.Entry{x}}, Commit: 3},
		"1->2 AppendEntriesReply term 2 match 1/3":              {Kind: raft.AppendEntriesReply, Last: at},
		"1->2 AppendEntriesReply term 2 rejected 2/4, try 1/3":  {Kind: raft.AppendEntriesReply, Last: at, Rejected: x.EntryID},
		"1->2 Heartbeat term 2 commit 3 round 7":                {Kind: raft.Heartbeat, Commit: 3, Round: 7},
		"1->2 HeartbeatReply term 2 round 7":                    {Kind: raft.HeartbeatReply, Round: 7},
		"1->2 InstallSnapshot term 2 snapshot 1/3 {}":           {Kind: raft.InstallSnapshot, Snapshot: &raft.Snapshot{ID: at}},
		"1->2 InstallSnapshotReply term 2 match 1/3":            {Kind: raft.InstallSnapshotReply, Last: at},
		"1->2 ReadIndex term 2 read 5":                          {Kind: raft.ReadIndex, Round: 9<<32 + 5},
		"1->2 ReadIndexReply term 2 read 5 commit 3":            {Kind: raft.ReadIndexReply, Round: 9<<32 + 5, Commit: 3},
		"1->2 TimeoutNow term 2":                                {Kind: raft.TimeoutNow},
	} {
		m.From, m.To, m.Term = 1, 2, 2
		if got := Show(&m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
