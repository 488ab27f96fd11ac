package raft_test

import (
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

const most = ^uint64(0)

func id(term, index uint64) raft.EntryID {
	return raft.EntryID{Term: raft.Term(term), Index: raft.Index(index)}
}

// span returns blank entries of the given IDs.
func span(prev raft.EntryID, ids ...raft.EntryID) raft.Span {
	s := raft.Span{Prev: prev}
	for _, id := range ids {
		s.Entries = append(s.Entries, raft.Entry{EntryID: id, Kind: raft.Blank})
	}
	return s
}

// with returns a span of one entry.
func with(e raft.Entry) raft.Span {
	e.EntryID = id(2, 2)
	return raft.Span{Prev: id(1, 1), Entries: []raft.Entry{e}}
}

var trio = membership.New(
	membership.Member{ID: 1, Role: membership.Voter},
	membership.Member{ID: 2, Role: membership.Voter},
	membership.Member{ID: 3, Role: membership.Voter},
)

func TestMessagesThatPassTheDoor(t *testing.T) {
	for name, m := range map[string]raft.Message{
		"a heartbeat":          {Kind: raft.Heartbeat, Commit: raft.Index(most), Round: most},
		"nothing to append":    {Kind: raft.AppendEntries, Span: span(id(2, 7))},
		"from the beginning":   {Kind: raft.AppendEntries, Span: span(id(0, 0), id(1, 1))},
		"entries":              {Kind: raft.AppendEntries, Span: span(id(1, 1), id(1, 2), id(2, 3))},
		"a command":            {Kind: raft.AppendEntries, Span: with(raft.Entry{Kind: raft.Command})},
		"a configuration":      {Kind: raft.AppendEntries, Span: with(raft.Entry{Kind: raft.Membership, Config: &trio})},
		"a snapshot":           {Kind: raft.InstallSnapshot, Snapshot: &raft.Snapshot{ID: id(2, 9), Config: trio}},
		"fields of other ones": {Kind: raft.TimeoutNow, Span: span(id(9, 0)), Snapshot: &raft.Snapshot{}},
	} {
		m.From, m.To, m.Term = 1, 2, 2
		if err := m.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	good := func(m raft.Message) raft.Message {
		m.From, m.To, m.Term = 1, 2, 2
		return m
	}
	entries := func(s raft.Span) raft.Message { return good(raft.Message{Kind: raft.AppendEntries, Span: s}) }
	snapshot := func(s *raft.Snapshot) raft.Message {
		return good(raft.Message{Kind: raft.InstallSnapshot, Snapshot: s})
	}
	for name, m := range map[string]raft.Message{
		"no kind":                   good(raft.Message{}),
		"an unknown kind":           good(raft.Message{Kind: raft.TimeoutNow + 1}),
		"no sender":                 {Kind: raft.Heartbeat, To: 2, Term: 2},
		"no receiver":               {Kind: raft.Heartbeat, From: 1, Term: 2},
		"from itself":               {Kind: raft.Heartbeat, From: 2, To: 2, Term: 2},
		"no term":                   {Kind: raft.Heartbeat, From: 1, To: 2},
		"the last of all terms":     {Kind: raft.Heartbeat, From: 1, To: 2, Term: raft.Term(most)},
		"a term without index":      entries(span(id(1, 0))),
		"an index without term":     entries(span(id(0, 1))),
		"a gap":                     entries(span(id(1, 1), id(1, 3))),
		"a step back":               entries(span(id(1, 1), id(1, 1))),
		"a gap further on":          entries(span(id(1, 1), id(1, 2), id(1, 4))),
		"terms that fall":           entries(span(id(2, 1), id(1, 2))),
		"an entry of no term":       entries(span(id(0, 0), id(0, 1))),
		"an index beyond all":       entries(span(id(1, most), id(1, 0))),
		"an entry of a later term":  entries(span(id(1, 1), id(3, 2))),
		"a prev of a later term":    entries(span(id(3, 1))),
		"no kind of entry":          entries(with(raft.Entry{})),
		"an unknown kind of entry":  entries(with(raft.Entry{Kind: raft.Membership + 1})),
		"a configuration too many":  entries(with(raft.Entry{Kind: raft.Command, Config: &trio})),
		"a configuration too few":   entries(with(raft.Entry{Kind: raft.Membership})),
		"an illegal configuration":  entries(with(raft.Entry{Kind: raft.Membership, Config: &membership.Config{Members: []membership.Member{{ID: 1}}}})),
		"no snapshot":               snapshot(nil),
		"a snapshot of nothing":     snapshot(&raft.Snapshot{Config: trio}),
		"a snapshot of no term":     snapshot(&raft.Snapshot{ID: id(0, 3), Config: trio}),
		"a snapshot of all":         snapshot(&raft.Snapshot{ID: id(1, uint64(quorum.MaxIndex)), Config: trio}),
		"a snapshot of later terms": snapshot(&raft.Snapshot{ID: id(3, 3), Config: trio}),
		"a snapshot of nobody":      snapshot(&raft.Snapshot{ID: id(1, 3)}),
	} {
		if err := m.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for k, want := range map[raft.Kind]string{
		0: "none", raft.PreVote: "PreVote", raft.AppendEntriesReply: "AppendEntriesReply",
		raft.ReadIndexReply: "ReadIndexReply", raft.TimeoutNow: "TimeoutNow", raft.TimeoutNow + 1: "kind(14)",
	} {
		if k.String() != want {
			t.Errorf("%d is called %q, want %q", uint8(k), k, want)
		}
	}
}
