package raft_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// spoken are the messages, each in its variants. The sender is node 2; the term is
// set for each row.
var spoken = []struct {
	name string
	make func(term raft.Term, s *subject) raft.Message
}{
	{"PreVote, up to date", ask2(raft.PreVote, id(4, 9), false)},
	{"PreVote, behind", ask2(raft.PreVote, id(1, 1), false)},
	{"PreVoteReply, granted", answer2(raft.PreVoteReply, true)},
	{"PreVoteReply, refused", answer2(raft.PreVoteReply, false)},
	{"RequestVote, up to date", ask2(raft.RequestVote, id(4, 9), false)},
	{"RequestVote, behind", ask2(raft.RequestVote, id(1, 1), false)},
	{"RequestVote, sent by the leader", ask2(raft.RequestVote, id(4, 9), true)},
	{"RequestVoteReply, granted", answer2(raft.RequestVoteReply, true)},
	{"RequestVoteReply, refused", answer2(raft.RequestVoteReply, false)},
	{"AppendEntries, behind 4/3", entries2(id(4, 3), 1)},
	{"AppendEntries, behind 2/2", entries2(id(2, 2), 1)},
	{"AppendEntries, behind 4/8", entries2(id(4, 8), 0)},
	{"AppendEntriesReply, match 5/4", plain2(raft.Message{Kind: raft.AppendEntriesReply, Last: id(5, 4)})},
	{"AppendEntriesReply, rejected 5/4", plain2(raft.Message{Kind: raft.AppendEntriesReply, Rejected: id(5, 4), Last: id(2, 2)})},
	{"AppendEntriesReply, match 5/99", plain2(raft.Message{Kind: raft.AppendEntriesReply, Last: id(5, 99)})},
	{"Heartbeat, commit 3", plain2(raft.Message{Kind: raft.Heartbeat, Commit: 3, Round: 1})},
	{"Heartbeat of node 3", func(term raft.Term, _ *subject) raft.Message {
		return raft.Message{Kind: raft.Heartbeat, From: 3, Term: term, Round: 1}
	}},
	{"Heartbeat, commit 3, sleep at 4/3", plain2(raft.Message{Kind: raft.Heartbeat, Commit: 3, Round: 1, Sleep: true, Last: id(4, 3)})},
	{"HeartbeatReply, asleep", plain2(raft.Message{Kind: raft.HeartbeatReply, Round: 1, Sleep: true})},
	{"HeartbeatReply", plain2(raft.Message{Kind: raft.HeartbeatReply, Round: 1})},
	{"InstallSnapshot to 2/2", install2(id(2, 2))},
	{"InstallSnapshot to 4/3", install2(id(4, 3))},
	{"InstallSnapshot to 4/9", install2(id(4, 9))},
	{"InstallSnapshotReply", plain2(raft.Message{Kind: raft.InstallSnapshotReply, Last: id(5, 4)})},
	{"ReadIndex", plain2(raft.Message{Kind: raft.ReadIndex, Round: 7})},
	{"ReadIndexReply", func(term raft.Term, s *subject) raft.Message {
		return raft.Message{Kind: raft.ReadIndexReply, Term: term, Round: s.asked, Commit: 3}
	}},
	{"ReadIndexReply, refused", func(term raft.Term, s *subject) raft.Message {
		return raft.Message{Kind: raft.ReadIndexReply, Term: term, Round: s.asked}
	}},
	{"TimeoutNow", plain2(raft.Message{Kind: raft.TimeoutNow})},
}

type maker = func(raft.Term, *subject) raft.Message

func plain2(m raft.Message) maker {
	return func(term raft.Term, _ *subject) raft.Message {
		m.Term = term
		return m
	}
}

func ask2(kind raft.Kind, last raft.EntryID, transfer bool) maker {
	return plain2(raft.Message{Kind: kind, Last: last, Transfer: transfer})
}

func answer2(kind raft.Kind, granted bool) maker {
	return plain2(raft.Message{Kind: kind, Granted: granted})
}

func install2(at raft.EntryID) maker {
	return plain2(raft.Message{Kind: raft.InstallSnapshot, Snapshot: &raft.Snapshot{ID: at, Config: trio}})
}

// entries2 sends that many entries of the message's term.
func entries2(prev raft.EntryID, n int) maker {
	return func(term raft.Term, _ *subject) raft.Message {
		m := raft.Message{Kind: raft.AppendEntries, Term: term, Span: raft.Span{Prev: prev}, Commit: 3}
		for i := range raft.Index(n) {
			m.Span.Entries = append(m.Span.Entries, raft.Entry{EntryID: raft.EntryID{Term: term, Index: prev.Index + 1 + i}, Kind: raft.Blank})
		}
		return m
	}
}

// heard are the rows of messages, in three terms.
func heard() (rows []stimulus) {
	for _, m := range spoken {
		for _, of := range []struct {
			when string
			term raft.Term
		}{{"older", 4}, {"same", 5}, {"newer", 6}} {
			rows = append(rows, stimulus{m.name + " | " + of.when, func(s *subject) error {
				message := m.make(of.term, s)
				message.To = 1
				if message.From == 0 {
					message.From = 2
				}
				return s.core.Step(message)
			}})
		}
	}
	return rows
}

// local are the inputs from the node's own surroundings.
var local = []stimulus{
	{"a tick", func(s *subject) error { s.core.Tick(); return nil }},
	{"silence for an election timeout and more", func(s *subject) error {
		for range 20 {
			s.core.Tick()
		}
		return nil
	}},
	{"Propose", func(s *subject) error { _, err := s.core.Propose([]byte("x")); return err }},
	{"ProposeIn an older term", func(s *subject) error { _, err := s.core.ProposeIn(4, []byte("x")); return err }},
	{"Read", func(s *subject) error { _, err := s.core.Read(); return err }},
	{"Change: remove 3", func(s *subject) error { _, err := s.core.Change(remove(3), 0); return err }},
	{"Change: remove 1", func(s *subject) error { _, err := s.core.Change(remove(1), 0); return err }},
	{"Reconfigure: remove 2 and 3", func(s *subject) error {
		_, err := s.core.Reconfigure(raft.Reconfiguration{Changes: []membership.Change{remove(2), remove(3)}})
		return err
	}},
	{"Leave", func(s *subject) error { _, err := s.core.Leave(); return err }},
	{"Transfer to 2", func(s *subject) error { return s.core.Transfer(2) }},
	{"Transfer to itself", func(s *subject) error { return s.core.Transfer(1) }},
	{"Resign", func(s *subject) error { s.core.Resign(); return nil }},
	{"Campaign", func(s *subject) error { s.core.Campaign(); return nil }},
	{"Forget 2", func(s *subject) error { s.core.Forget(2); return nil }},
	{"Silent 2", func(s *subject) error { s.core.Silent(2, 10); return nil }},
	{"Alive 2", func(s *subject) error { s.core.Alive(2); return nil }},
	{"Persisted, again", func(s *subject) error { s.core.Persisted(0); return nil }},
	{"Applied, again", func(s *subject) error { s.core.Applied(s.core.Status().Applied); return nil }},
	{"Applied beyond commit", func(s *subject) error { s.core.Applied(s.core.Status().Commit + 1); return nil }},
	{"Compact what is applied", func(s *subject) error { return s.core.Compact(s.core.Status().Applied) }},
	{"Compact more", func(s *subject) error { return s.core.Compact(s.core.Status().Applied + 1) }},
	{"Unreachable 2", func(s *subject) error { s.core.Unreachable(2); return nil }},
	{"SnapshotSent to 2", func(s *subject) error { s.core.SnapshotSent(2, 1); return nil }},
}

func remove(id raft.NodeID) membership.Change {
	return membership.Change{Kind: membership.Remove, Member: membership.Member{ID: id}}
}

const enumerationPreface = `<!-- Written by "make generate" from raft/enumeration_test.go. Not edited by hand. -->

# Every input in every role

What a core does with each input, one step at a time, on a disk that is always ready. The node is node 1, in
term 5, of the group 1 2 3. Its log is 1/1 2/2 4/3, of which 2/2 is committed; where it leads, 5/4 is its own
blank entry, and node 2 has it; where it was removed, 4/3 is what removes it, and committed. Messages come from
node 2, in term 4 (older), 5 (same) and 6 (newer); the term of a PreVote is the one that it would campaign in.

A cell says what has changed, what is sent and, in brackets, by which [rules](rules.md); – is nothing. What
goes along with nearly everything is left out: ALL1, ALL4, F2, L10, L11. A node **stops** where it has proof that
somebody has broken the algorithm.
`

// enumeration renders the page.
func enumeration(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(enumerationPreface)
	var names []string
	for _, s := range seats {
		names = append(names, s.name)
	}
	rule := strings.Repeat("---|", len(seats))
	fmt.Fprintf(&b, "\n## Messages\n\n| message | its term | %s |\n|---|---|%s\n", strings.Join(names, " | "), rule)
	for _, in := range heard() {
		row(t, &b, in)
	}
	fmt.Fprintf(&b, "\n## From its own surroundings\n\n| input | %s |\n|---|%s\n", strings.Join(names, " | "), rule)
	for _, in := range local {
		row(t, &b, in)
	}
	return b.Bytes()
}

func row(t *testing.T, b *bytes.Buffer, in stimulus) {
	fmt.Fprintf(b, "| %s |", in.name)
	for _, s := range seats {
		says := cell(s.take, in)
		if again := cell(s.take, in); again != says {
			t.Errorf("%s, %s: once %s, once %s", s.name, in.name, says, again)
		}
		fmt.Fprintf(b, " %s |", says)
	}
	b.WriteByte('\n')
}
