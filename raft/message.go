package raft

import (
	"errors"
	"fmt"
)

// Kind says what a message asks or answers.
type Kind uint8

// The messages, in the words of the paper; PreVote and ReadIndex are the
// dissertation's (9.6, 6.4), TimeoutNow its leadership transfer (3.10).
const (
	PreVote Kind = iota + 1
	PreVoteReply
	RequestVote
	RequestVoteReply
	AppendEntries
	AppendEntriesReply
	Heartbeat
	HeartbeatReply
	InstallSnapshot
	InstallSnapshotReply
	ReadIndex
	ReadIndexReply
	TimeoutNow
)

var kindNames = [...]string{
	"none", "PreVote", "PreVoteReply", "RequestVote", "RequestVoteReply", "AppendEntries", "AppendEntriesReply",
	"Heartbeat", "HeartbeatReply", "InstallSnapshot", "InstallSnapshotReply", "ReadIndex", "ReadIndexReply", "TimeoutNow",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Message is what nodes of a group say to each other. It is one flat struct so
// that a batch of them is one piece of memory; which fields a kind uses is said
// at the field, the others are zero.
type Message struct {
	Kind     Kind // and three that fit in the same word: messages are copied a lot
	Granted  bool // PreVoteReply, RequestVoteReply
	Transfer bool // RequestVote: the leader asked for it, so that it may disturb (TR3)
	Sleep    bool // Heartbeat: who has everything up to Last and knows it committed may sleep; in the reply: we do (SL2)
	From     NodeID
	To       NodeID

	// Term is the sender's. A PreVote carries the term that it would campaign
	// in, and so does the reply that grants it.
	Term Term

	// Last is, in PreVote and RequestVote, the candidate's last entry. In an
	// AppendEntriesReply it is the last entry that is known to match the
	// leader's; where Rejected is set, the last that still might. In an
	// InstallSnapshotReply, the entry up to which the follower now has everything. In
	// a Heartbeat with Sleep it is the leader's last; with Injured, what heals.
	Last EntryID

	Span     Span    // AppendEntries
	Rejected EntryID // AppendEntriesReply: the Span.Prev that did not match; zero if it did

	// Commit is the leader's, in AppendEntries, Heartbeat; in a ReadIndexReply
	// the index that the reader must have applied, zero if refused.
	Commit Index

	// Round numbers a leader's rounds of proving that it still leads; a reply
	// returns it. In ReadIndex and its reply it is the reader's own token.
	Round uint64

	// Injured is, in the replies to a leader, the name that a node whose disk has lost
	// something gave itself at its start; zero if it is well. In a Heartbeat it
	// addresses the node of that name: Last, if it is set, was appended after this start,
	// and is committed without its help (IN4).
	Injured uint64

	Snapshot *Snapshot // InstallSnapshot
}

// Check refuses what no well-behaved node can have sent. It is the door of the
// core: behind it a message has a known kind, a sender, a term and a legal span.
func (m *Message) Check() error {
	switch {
	case m.Kind < PreVote || m.Kind > TimeoutNow:
		return fmt.Errorf("raft: unknown message %v", m.Kind)
	case m.From == 0 || m.To == 0 || m.From == m.To:
		return errors.New("raft: a message needs a sender and a receiver other than itself")
	case m.Term == 0 || m.Term == maxTerm:
		return fmt.Errorf("raft: %v with the impossible term %d", m.Kind, m.Term)
	}
	if m.Kind == AppendEntries {
		if last := m.Span.Last(); last.Term > m.Term {
			return fmt.Errorf("raft: AppendEntries of term %d with an entry of the later term %d", m.Term, last.Term)
		}
		return m.Span.Check()
	}
	if m.Kind == InstallSnapshot {
		if m.Snapshot == nil || m.Snapshot.ID.Term > m.Term {
			return errors.New("raft: InstallSnapshot without a snapshot of its term or before")
		}
		return m.Snapshot.Check()
	}
	return nil
}

// maxTerm cannot be left for a later one, so that no message may bring it.
const maxTerm = ^Term(0)
