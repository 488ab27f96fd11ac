package raft_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/rafttest"
)

// search lets node 1 lead node 2 and node 3, whose log is empty, and returns how
// many times node 2 refused before it agreed, and the entry on which it did.
func search(t interface{ Fatalf(string, ...any) }, leader, follower []raft.Entry) (refused int, match raft.EntryID) {
	c := rafttest.New(3, 1, raft.Config{})
	for i, log := range [][]raft.Entry{leader, follower} {
		n := c.Nodes[i]
		c.Crash(n.ID)
		n.Disk.Entries = log
		n.Disk.State.Term = (raft.Span{Prev: n.Disk.Base.ID, Entries: log}).Last().Term
		c.Start(n.ID)
	}
	agreed := false
	see := func(m raft.Message) bool {
		switch {
		case m.Kind == raft.AppendEntries && m.To == 2 && !agreed:
			match = m.Span.Prev
		case m.Kind == raft.AppendEntriesReply && m.From == 2 && m.Rejected != raft.EntryID{}:
			refused++
		case m.Kind == raft.AppendEntriesReply && m.From == 2:
			agreed = true
		}
		return true
	}
	// The first campaign may only tell node 1 a term that node 2 is in already.
	for range 2 {
		if c.Nodes[0].Core.Status().Role != raft.Leader {
			c.Nodes[0].Core.Campaign()
			c.Drain(1)
		}
		if err := c.Settle(see); err != nil {
			t.Fatalf("%v", err)
		}
	}
	one, two := c.Nodes[0].Core.Status(), c.Nodes[1].Core.Status()
	if one.Role != raft.Leader || two.Last != one.Last || !agreed {
		t.Fatalf("%v with log up to %v; node 2 has %v", one.Role, one.Last, two.Last)
	}
	return refused, match
}

// blocks returns entries from index 2 on, n of each term.
func blocks(n int, terms ...raft.Term) []raft.Entry {
	var entries []raft.Entry
	for _, term := range terms {
		for range n {
			id := raft.EntryID{Term: term, Index: raft.Index(len(entries) + 2)}
			entries = append(entries, raft.Entry{EntryID: id, Kind: raft.Blank})
		}
	}
	return entries
}

// REQ-G3, scenario L04: 10,000 entries of 100 terms on either side, none of them
// shared. Each refusal settles a term; one by one it would take 10,000.
func TestG3L04BackOffTakesARoundPerConflictingTerm(t *testing.T) {
	var leader, follower []raft.Term
	for i := range raft.Term(100) {
		leader, follower = append(leader, 2*i+3), append(follower, 2*i+2)
	}
	refused, match := search(t, blocks(100, leader...), blocks(100, follower...))
	if rounds := refused + 1; rounds > 100+2 || match != raft.BootstrapID {
		t.Errorf("%d rounds to find %v; want at most 102, and %v", rounds, match, raft.BootstrapID)
	}
}

// REQ-G3: whatever the logs, the search ends in as many rounds, and where walking
// back one by one would: at the last entry that both have.
func TestG3BackOffFindsTheLastCommonEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(log []raft.Entry, terms *rapid.Generator[int], label string) []raft.Entry {
			prev := (raft.Span{Prev: raft.BootstrapID, Entries: log}).Last()
			for _, step := range rapid.SliceOfN(terms, 0, 30).Draw(t, label) {
				prev = raft.EntryID{Term: prev.Term + raft.Term(step), Index: prev.Index + 1}
				log = append(log[:len(log):len(log)], raft.Entry{EntryID: prev, Kind: raft.Blank})
			}
			return log
		}
		even := rapid.SampledFrom([]int{0, 0, 2, 4})
		shared := draw(nil, even, "shared")
		leader := draw(shared, even, "leader's")
		var follower []raft.Entry
		if last := (raft.Span{Prev: raft.BootstrapID, Entries: shared}).Last(); rapid.Bool().Draw(t, "conflict") {
			// Entries of even terms: the leader's terms are all odd.
			odd := raft.EntryID{Term: last.Term + 1, Index: last.Index + 1}
			follower = draw(append(shared[:len(shared):len(shared)], raft.Entry{EntryID: odd, Kind: raft.Blank}), even, "follower's")
		} else {
			follower = shared
		}
		leader = winning(leader, follower)
		want, terms := common(leader, follower)
		if refused, match := search(t, leader, follower); match != want || refused+1 > terms+2 {
			t.Fatalf("%d rounds to find %v; want %v with %d terms in conflict", refused+1, match, want, terms)
		}
	})
}

// winning adds an entry to a log that would otherwise lose the election.
func winning(leader, follower []raft.Entry) []raft.Entry {
	mine := (raft.Span{Prev: raft.BootstrapID, Entries: leader}).Last()
	theirs := (raft.Span{Prev: raft.BootstrapID, Entries: follower}).Last()
	if mine.Term > theirs.Term || mine.Term == theirs.Term && mine.Index >= theirs.Index {
		return leader
	}
	last := raft.EntryID{Term: theirs.Term + 1, Index: mine.Index + 1}
	return append(leader[:len(leader):len(leader)], raft.Entry{EntryID: last, Kind: raft.Blank})
}

// common returns the last entry that both logs hold, and how many terms the
// follower has after it.
func common(leader, follower []raft.Entry) (raft.EntryID, int) {
	last, i := raft.BootstrapID, 0
	for i < min(len(leader), len(follower)) && leader[i].EntryID == follower[i].EntryID {
		last = leader[i].EntryID
		i++
	}
	terms := map[raft.Term]bool{}
	for _, e := range follower[i:] {
		terms[e.Term] = true
	}
	return last, len(terms)
}
