package explore

import (
	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Setup is a world to begin with, and how far from it to look.
type Setup struct {
	Name string // a word
	Why  string // what it is after

	Voters    int            // 1 to 5
	Spare     int            // nodes more that hold nothing and wait to be invited
	Disks     []Disk         // of the first nodes, if they do not begin anew
	Committed []raft.EntryID // on those disks, by leaders that fell since
	Elected   []Election     // in peace, before anything else happens
	Rest      int            // ticks for all, in peace, after that
	Held      bool           // writes wait until the disk syncs; otherwise they are durable at once
	Config    raft.Config    // of each node; timeouts and seeds are set here

	// Limits of a state. One beyond them is looked at, and not gone on from.
	Term raft.Term  // of any node
	Last raft.Index // of any log
	Wire int        // messages

	Budget  Budget
	Changes []Wish // what an administrator may ask for
}

// Disk is what a node's disk holds at first.
type Disk struct {
	Term    raft.Term
	Vote    raft.NodeID
	Entries []raft.EntryID // blank ones, after the first
}

// Election is what a setup begins with: the leader is elected, and all that follows
// from it happens, but one node hears nothing of it. If that one led before, the
// others are told that it has stopped.
type Election struct {
	Leader raft.NodeID
	Away   raft.NodeID // zero: nobody
}

// Wish is another membership, or the end of a joint one.
type Wish struct {
	Changes     []membership.Change
	Joint, Stay bool
	Leave       bool
}

// electionTicks is as short as a timeout can be with a heartbeat in it.
const electionTicks = 2

func (s *Setup) nodes() int { return s.Voters + s.Spare }

// disk is what the i-th node begins with.
func (s *Setup) disk(i int) (raft.Saved, error) {
	if i >= s.Voters {
		return raft.Saved{}, nil
	}
	saved, err := first(s.Voters)
	if err != nil || i >= len(s.Disks) {
		return saved, err
	}
	d := s.Disks[i]
	saved.State = raft.HardState{Term: d.Term, Vote: d.Vote, Commit: 1}
	for _, id := range d.Entries {
		saved.Entries = append(saved.Entries, raft.Entry{EntryID: id, Kind: raft.Blank})
	}
	return saved, nil
}

// Setups are the worlds that are explored. Each is after another part of Raft, so
// that its budget can go there.
var Setups = []Setup{
	{
		Name: "votes", Why: "who may vote for whom in one term: all of it",
		Voters: 3, Term: 2, Last: 2, Wire: 8,
		Budget: Budget{Campaign: 2, Restart: 1, Duplicate: 1},
	},
	{
		Name: "election", Why: "votes, terms and timers, with disks that lag and forget",
		Voters: 3, Held: true, Term: 3, Last: 4, Wire: 8,
		Budget: Budget{Tick: 2, Campaign: 3, Restart: 2, Drop: 1, Duplicate: 1},
	},
	{
		Name: "committed", Why: "who may lead after an entry was committed, and another node has a longer log",
		Voters: 3, Term: 5, Last: 4, Wire: 7, Committed: []raft.EntryID{{Term: 3, Index: 2}},
		Disks: []Disk{
			{Term: 3, Entries: []raft.EntryID{{Term: 2, Index: 2}, {Term: 2, Index: 3}}},
			{Term: 3, Vote: 2, Entries: []raft.EntryID{{Term: 3, Index: 2}}},
			{Term: 3, Vote: 2, Entries: []raft.EntryID{{Term: 3, Index: 2}}},
		},
		Budget: Budget{Campaign: 3, Restart: 1, Duplicate: 1},
	},
	{
		Name: "lone", Why: "a voter that needs nobody, and a second node that joins it",
		Voters: 1, Spare: 1, Held: true, Term: 4, Last: 7, Wire: 6,
		Budget: Budget{Tick: 1, Campaign: 3, Restart: 2, Drop: 1, Duplicate: 1, Propose: 2, Change: 3, Compact: 1, Read: 1},
		Changes: []Wish{
			{Changes: []membership.Change{change(membership.Add, 2)}},
			{Changes: []membership.Change{change(membership.Promote, 2)}},
			{Changes: []membership.Change{change(membership.Remove, 1)}},
		},
	},
	{
		Name: "replication", Why: "entries and their acknowledgements under a leader that may change",
		Voters: 3, Held: true, Elected: []Election{{1, 0}}, Term: 4, Last: 6, Wire: 9,
		Budget: Budget{Tick: 2, Campaign: 2, Restart: 1, Drop: 1, Duplicate: 1, Propose: 2, Unreachable: 1},
	},
	{
		Name: "tails", Why: "logs that differ after what is committed (Figures 7 and 8)",
		Voters: 3, Term: 6, Last: 5, Wire: 8, Config: raft.Config{MaxMessageBytes: 1},
		Disks: []Disk{
			{Term: 4, Vote: 0, Entries: []raft.EntryID{{Term: 2, Index: 2}, {Term: 2, Index: 3}}},
			{Term: 4, Vote: 0, Entries: []raft.EntryID{{Term: 3, Index: 2}}},
			{Term: 3, Vote: 2},
		},
		Budget: Budget{Tick: 2, Campaign: 3, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1},
	},
	{
		Name: "repair", Why: "a log that a leader brings in line with what it has committed",
		Voters: 3, Elected: []Election{{2, 1}}, Term: 5, Last: 5, Wire: 6, Config: raft.Config{MaxMessageBytes: 1},
		Committed: []raft.EntryID{{Term: 3, Index: 2}},
		Disks: []Disk{
			{Term: 3, Entries: []raft.EntryID{{Term: 2, Index: 2}, {Term: 2, Index: 3}}},
			{Term: 3, Vote: 2, Entries: []raft.EntryID{{Term: 3, Index: 2}}},
			{Term: 3, Vote: 2, Entries: []raft.EntryID{{Term: 3, Index: 2}}},
		},
		Budget: Budget{Tick: 3, Campaign: 1, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Unreachable: 1},
	},
	{
		Name: "disks", Why: "acknowledgements that come late, for entries that were cut and came back",
		Voters: 3, Held: true, Term: 5, Last: 4, Wire: 6, Elected: []Election{{1, 0}}, Config: raft.Config{MaxMessageBytes: 1},
		Disks: []Disk{
			{Term: 2, Vote: 1, Entries: []raft.EntryID{{Term: 2, Index: 2}}},
			{Term: 1},
			{Term: 1, Entries: []raft.EntryID{{Term: 1, Index: 2}}},
		},
		Budget: Budget{Campaign: 2, Restart: 2, Duplicate: 1, Propose: 1},
	},
	{
		Name: "single", Why: "members that come and go one at a time",
		Voters: 3, Spare: 1, Elected: []Election{{1, 0}}, Term: 4, Last: 6, Wire: 9,
		Budget: Budget{Campaign: 2, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Change: 3, Transfer: 1},
		Changes: []Wish{
			{Changes: []membership.Change{change(membership.Remove, 3)}},
			{Changes: []membership.Change{change(membership.Remove, 1)}},
			{Changes: []membership.Change{change(membership.Add, 4)}},
			{Changes: []membership.Change{change(membership.Promote, 4)}},
			{Changes: []membership.Change{change(membership.Demote, 2)}},
		},
	},
	{
		Name: "joint", Why: "many members that come and go at once",
		Voters: 2, Spare: 2, Elected: []Election{{1, 0}}, Term: 4, Last: 6, Wire: 9,
		Budget: Budget{Campaign: 2, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Change: 3},
		Changes: []Wish{
			{Changes: []membership.Change{
				change(membership.Remove, 2), change(membership.Add, 3), change(membership.Add, 4),
			}, Joint: true},
			{Changes: []membership.Change{change(membership.Remove, 1)}, Joint: true, Stay: true},
			{Changes: []membership.Change{change(membership.Promote, 3), change(membership.Promote, 4), change(membership.Remove, 1)}},
			{Leave: true},
		},
	},
	{
		Name: "snapshot", Why: "logs that begin late, and followers that lag behind their beginning",
		Voters: 3, Held: true, Elected: []Election{{1, 0}}, Term: 4, Last: 6, Wire: 8, Config: raft.Config{MaxMessageBytes: 1},
		Budget: Budget{Tick: 1, Campaign: 2, Restart: 1, Drop: 2, Duplicate: 1, Propose: 2, Compact: 2, Unreachable: 1, SnapshotFailed: 1},
	},
	{
		Name: "reads", Why: "reads of leaders that may have been deposed",
		Voters: 3, Elected: []Election{{1, 0}}, Term: 4, Last: 5, Wire: 9,
		Budget: Budget{Tick: 2, Campaign: 2, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Transfer: 1, Read: 2},
	},
	{
		Name: "sleep", Why: "groups at rest, and whatever wakes some of their nodes and not others",
		Voters: 3, Elected: []Election{{1, 0}}, Term: 4, Last: 4, Wire: 6, Config: raft.Config{SleepTicks: 1}, Rest: 5,
		Budget: Budget{Tick: 3, Campaign: 1, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Read: 1, Silence: 1},
	},
	{
		Name: "injury", Why: "a node whose disk has lost what it promised, and what heals it",
		Voters: 3, Elected: []Election{{1, 2}}, Term: 4, Last: 5, Wire: 6,
		Budget: Budget{Tick: 2, Campaign: 2, Restart: 1, Drop: 1, Duplicate: 1, Propose: 1, Lose: 1},
	},
	{
		Name: "amnesia", Why: "votes and entries that a node has forgotten, and others rest upon",
		Voters: 3, Held: true, Term: 4, Last: 5, Wire: 7, Committed: []raft.EntryID{{Term: 2, Index: 2}},
		Disks: []Disk{
			{Term: 2, Vote: 1, Entries: []raft.EntryID{{Term: 2, Index: 2}}},
			{Term: 2, Vote: 1, Entries: []raft.EntryID{{Term: 2, Index: 2}}},
			{Term: 2, Entries: []raft.EntryID{{Term: 1, Index: 2}}},
		},
		Budget: Budget{Tick: 1, Campaign: 3, Restart: 1, Lose: 2, Propose: 1},
	},
	{
		Name: "deposed", Why: "a leader that has not heard of the next one",
		Voters: 3, Elected: []Election{{1, 0}, {2, 1}}, Term: 5, Last: 5, Wire: 8,
		Budget: Budget{Tick: 2, Campaign: 1, Restart: 1, Drop: 1, Duplicate: 1, Propose: 2, Unreachable: 1, Read: 2},
	},
}
