package check_test

import (
	"errors"
	"testing"

	"github.com/quorate-db/quorate/check"
	"github.com/quorate-db/quorate/raft"
)

// story is a history, told to a checker step by step until one returns an error.
type story []func(c *check.Checker) error

func saw(o check.Observation) func(*check.Checker) error {
	return func(c *check.Checker) error { return c.Saw(o) }
}

func sent(m raft.Message) func(*check.Checker) error {
	return func(c *check.Checker) error { return c.Sent(&m) }
}

func restarted(id raft.NodeID) func(*check.Checker) error {
	return func(c *check.Checker) error { c.Restarted(id); return nil }
}

func applied(id raft.NodeID, entries ...check.Entry) func(*check.Checker) error {
	return func(c *check.Checker) error { return c.Applied(id, entries...) }
}

func restored(id raft.NodeID, term raft.Term, index raft.Index) func(*check.Checker) error {
	return func(c *check.Checker) error { return c.Restored(id, raft.EntryID{Term: term, Index: index}) }
}

func acknowledged(term raft.Term, index raft.Index) func(*check.Checker) error {
	return func(c *check.Checker) error { return c.Acknowledged(raft.EntryID{Term: term, Index: index}) }
}

func follower(id raft.NodeID, term raft.Term, commit raft.Index, l *check.Log) func(*check.Checker) error {
	return saw(check.Observation{Node: id, Term: term, Commit: commit, Log: l})
}

func leader(id raft.NodeID, term raft.Term, commit raft.Index, l *check.Log) func(*check.Checker) error {
	return saw(check.Observation{Node: id, Role: raft.Leader, Term: term, Commit: commit, Log: l})
}

// log is a whole log: the terms of its entries, from index 1 on.
func log(terms ...raft.Term) *check.Log { return after(0, 0, terms...) }

// after is a run of entries with these terms, behind one of another.
func after(term raft.Term, index raft.Index, terms ...raft.Term) *check.Log {
	l := &check.Log{Prev: raft.EntryID{Term: term, Index: index}}
	for i, t := range terms {
		l.Entries = append(l.Entries, entry(t, index+raft.Index(i)+1))
	}
	return l
}

func entry(term raft.Term, index raft.Index) check.Entry {
	return check.Entry{EntryID: raft.EntryID{Term: term, Index: index}}
}

func withSum(e check.Entry, sum uint64) check.Entry {
	e.Sum = sum
	return e
}

func TestViolationsAreCaught(t *testing.T) {
	vote := func(from, to raft.NodeID) func(*check.Checker) error {
		return sent(raft.Message{Kind: raft.RequestVoteReply, From: from, To: to, Term: 2, Granted: true})
	}
	for _, tc := range []struct {
		name string
		want check.Property
		tell story // the last step is the one that breaks the property
	}{
		{"two nodes are seen leading", check.ElectionSafety, story{leader(1, 2, 0, log()), leader(2, 2, 0, log())}},
		{"two nodes speak as leaders", check.ElectionSafety, story{
			sent(raft.Message{Kind: raft.Heartbeat, From: 1, To: 3, Term: 2}),
			sent(raft.Message{Kind: raft.AppendEntries, From: 2, To: 3, Term: 2}),
		}},
		{"a leader shortens its log", check.LeaderAppendOnly, story{leader(1, 2, 0, log(1, 1, 2)), leader(1, 2, 0, log(1, 1))}},
		{"a leader changes its log", check.LeaderAppendOnly, story{leader(1, 3, 0, log(1, 1)), leader(1, 3, 0, after(1, 1, 3))}},
		{"a leader begins with a snapshot", check.LeaderAppendOnly, story{leader(1, 3, 0, log(1, 1)), leader(1, 3, 0, after(1, 5))}},
		{"the same entry behind others", check.LogMatching, story{follower(1, 3, 0, log(1, 3)), follower(2, 3, 0, log(2, 3))}},
		{"the same entry of a log of long ago", check.LogMatching, story{
			follower(1, 3, 0, log(1, 3)), follower(1, 4, 0, log(4)), follower(2, 4, 0, log(2, 3)),
		}},
		{"the same entry with another content", check.LogMatching, story{
			follower(1, 1, 0, &check.Log{Entries: []check.Entry{withSum(entry(1, 1), 7)}}),
			follower(2, 1, 0, &check.Log{Entries: []check.Entry{withSum(entry(1, 1), 8)}}),
		}},
		{"terms fall in a log", check.LogMatching, story{follower(1, 3, 0, log(2, 1))}},
		{"a gap in a log", check.LogMatching, story{follower(1, 3, 0, &check.Log{Entries: []check.Entry{entry(1, 2)}})}},
		{"a later leader lacks what was committed", check.LeaderCompleteness, story{
			leader(1, 1, 2, log(1, 1)), follower(2, 1, 1, log(1)), leader(2, 2, 1, nil),
		}},
		{"an older node commits what a leader lacks", check.LeaderCompleteness, story{
			leader(2, 2, 0, log(1, 2)), leader(1, 1, 2, log(1, 1)),
		}},
		{"it turns out to have been committed before", check.LeaderCompleteness, story{
			leader(3, 3, 0, log(1, 3)), follower(1, 4, 2, log(1, 2)), follower(2, 2, 2, log(1, 2)),
		}},
		{"two nodes commit different entries", check.StateMachineSafety, story{follower(1, 2, 1, log(1)), follower(2, 2, 1, log(2))}},
		{"what was committed is cut and replaced", check.StateMachineSafety, story{follower(1, 3, 2, log(1, 2)), follower(1, 3, 2, after(1, 1, 3))}},
		{"two nodes apply different entries", check.StateMachineSafety, story{applied(1, entry(1, 1)), applied(2, entry(2, 1))}},
		{"two nodes apply different commands", check.StateMachineSafety, story{
			applied(1, withSum(entry(1, 1), 7)), applied(2, withSum(entry(1, 1), 8)),
		}},
		{"a snapshot of another history", check.StateMachineSafety, story{applied(1, entry(1, 1)), restored(2, 2, 1)}},
		{"a node votes twice", check.OneVote, story{vote(3, 1), vote(3, 2)}},
		{"a candidate votes for another", check.OneVote, story{
			sent(raft.Message{Kind: raft.RequestVote, From: 1, To: 2, Term: 2}), vote(1, 2),
		}},
		{"a vote is forgotten in a restart", check.OneVote, story{
			saw(check.Observation{Node: 3, Term: 2, Vote: 1}), vote(3, 1), restarted(3), follower(3, 2, 0, log()),
		}},
		{"a vote changes in memory", check.OneVote, story{
			saw(check.Observation{Node: 3, Term: 2, Vote: 1}), saw(check.Observation{Node: 3, Term: 2, Vote: 2}),
		}},
		{"a term falls", check.NoStepBack, story{follower(1, 3, 0, log()), follower(1, 2, 0, nil)}},
		{"a term that was spoken of is forgotten", check.NoStepBack, story{
			sent(raft.Message{Kind: raft.AppendEntriesReply, From: 1, To: 2, Term: 3}), restarted(1), follower(1, 2, 0, log()),
		}},
		{"a commit falls", check.NoStepBack, story{follower(1, 1, 2, log(1, 1)), follower(1, 1, 1, nil)}},
		{"an entry is left out", check.ApplyInOrder, story{applied(1, entry(1, 1)), applied(1, entry(1, 3))}},
		{"an entry is applied twice", check.ApplyInOrder, story{applied(1, entry(1, 1)), applied(1, entry(1, 1))}},
		{"a snapshot takes what was applied back", check.ApplyInOrder, story{applied(1, entry(1, 1), entry(1, 2)), restored(1, 1, 1)}},
		{"acknowledged before anybody committed", check.Acknowledgement, story{leader(1, 1, 0, log(1)), acknowledged(1, 1)}},
		{"acknowledged, but another was committed", check.Acknowledgement, story{leader(2, 2, 1, log(2)), acknowledged(1, 1)}},
		{"a node commits what it does not have", check.CommitInLog, story{follower(1, 1, 2, log(1))}},
		{"a node loses what it had committed", check.CommitInLog, story{follower(1, 1, 2, log(1, 1)), follower(1, 1, 2, log(1))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := check.New()
			for i, step := range tc.tell {
				err := step(c)
				if i < len(tc.tell)-1 {
					if err != nil {
						t.Fatalf("step %d is legal, but: %v", i+1, err)
					}
					continue
				}
				var v *check.Violation
				if !errors.As(err, &v) || v.Property != tc.want {
					t.Fatalf("the last step is told as %v, want %s", err, tc.want)
				}
			}
		})
	}
}

// What looks odd and is legal.
func TestLegalHistoriesPass(t *testing.T) {
	for name, tell := range map[string]story{
		"an old leader does not know yet": {leader(1, 1, 1, log(1, 1)), leader(2, 2, 1, log(1, 2)), leader(1, 1, 1, nil)},
		"a follower's tail is replaced":   {follower(1, 1, 1, log(1, 1)), follower(1, 2, 2, after(1, 1, 2))},
		"a leader repeats what it has":    {leader(1, 2, 0, log(1, 1)), leader(1, 2, 0, log(1, 1, 2)), leader(1, 2, 0, after(1, 1, 1, 2, 2))},
		"one who stepped down is cut":     {leader(1, 2, 0, log(1, 2)), follower(1, 3, 0, log(1))},
		"a restart loses what was not on disk": {
			saw(check.Observation{Node: 1, Term: 2, Vote: 3, Commit: 2, Log: log(1, 1)}), restarted(1),
			saw(check.Observation{Node: 1, Term: 1, Commit: 1, Log: log(1)}), applied(1, entry(1, 1)),
		},
		"a snapshot replaces a log": {leader(1, 2, 3, log(1, 1, 2)), follower(2, 2, 0, log(1)), follower(2, 2, 3, after(2, 3)), restored(2, 2, 3)},
		"a compacted log leads":     {leader(1, 1, 3, log(1, 1, 1)), leader(2, 2, 3, after(1, 3, 2))},
		"an entry of an older term is committed late": {
			follower(1, 4, 0, log(1, 2)), leader(2, 3, 0, log(1, 3)), leader(1, 4, 3, log(1, 2, 4)),
		},
		"a vote is told twice": {
			sent(raft.Message{Kind: raft.RequestVoteReply, From: 3, To: 1, Term: 2, Granted: true}),
			sent(raft.Message{Kind: raft.RequestVoteReply, From: 3, To: 1, Term: 2, Granted: true}),
			sent(raft.Message{Kind: raft.RequestVoteReply, From: 3, To: 2, Term: 2}),
			sent(raft.Message{Kind: raft.RequestVoteReply, From: 3, To: 2, Term: 3, Granted: true}),
		},
		"a pre-vote speaks of a term to come": {
			sent(raft.Message{Kind: raft.PreVote, From: 1, To: 2, Term: 9}), follower(1, 8, 0, log()),
		},
		"applied, then acknowledged": {leader(1, 1, 1, log(1)), applied(1, entry(1, 1)), acknowledged(1, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			c := check.New()
			for i, step := range tell {
				if err := step(c); err != nil {
					t.Fatalf("step %d: %v", i+1, err)
				}
			}
		})
	}
}

func TestSumTellsContentsApart(t *testing.T) {
	one := raft.Entry{EntryID: raft.EntryID{Term: 1, Index: 2}, Kind: raft.Command, Data: []byte("one")}
	again, two := one, one
	again.Data, two.Data = []byte("one"), []byte("two")
	if check.Of(&one) != check.Of(&again) || check.Of(&one) == check.Of(&two) || check.Of(&one).Sum == 0 {
		t.Errorf("sums are %v and %v", check.Of(&one), check.Of(&two))
	}
}
