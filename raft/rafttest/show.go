package rafttest

import (
	"fmt"
	"strings"

	"github.com/quorate-db/quorate/raft"
)

// Show puts a message on one line, with only the fields that its kind uses:
//
//	1->2 AppendEntries term 2 prev 1/3 [2/4 "x"] commit 3
func Show(m *raft.Message) string {
	head := fmt.Sprintf("%d->%d %v term %d", m.From, m.To, m.Kind, m.Term)
	if body := showBody(m); body != "" {
		return head + " " + body
	}
	return head
}

func showBody(m *raft.Message) string {
	switch m.Kind {
	case raft.PreVote, raft.RequestVote:
		return fmt.Sprintf("last %v%s", m.Last, word(m.Transfer, " transfer", ""))
	case raft.PreVoteReply, raft.RequestVoteReply:
		return word(m.Granted, "granted", "refused")
	case raft.AppendEntries:
		return fmt.Sprintf("prev %v [%s] commit %d", m.Span.Prev, showEntries(m.Span.Entries), m.Commit)
	case raft.AppendEntriesReply:
		if m.Rejected != (raft.EntryID{}) {
			return fmt.Sprintf("rejected %v, try %v%s", m.Rejected, m.Last, injured(m))
		}
		return fmt.Sprintf("match %v%s", m.Last, injured(m))
	case raft.Heartbeat:
		if m.Sleep {
			return fmt.Sprintf("commit %d round %d, sleep at %v", m.Commit, m.Round, m.Last)
		}
		if m.Last.Index != 0 {
			return fmt.Sprintf("commit %d round %d, heals with %v", m.Commit, m.Round, m.Last)
		}
		return fmt.Sprintf("commit %d round %d", m.Commit, m.Round)
	case raft.HeartbeatReply:
		return fmt.Sprintf("round %d%s%s", m.Round, word(m.Sleep, " asleep", ""), injured(m))
	case raft.InstallSnapshot:
		return fmt.Sprintf("snapshot %v %s", m.Snapshot.ID, showConfig(m.Snapshot.Config))
	case raft.InstallSnapshotReply:
		return fmt.Sprintf("match %v%s", m.Last, injured(m))
	case raft.ReadIndex:
		return fmt.Sprintf("read %d", short(m.Round))
	case raft.ReadIndexReply:
		return fmt.Sprintf("read %d commit %d", short(m.Round), m.Commit)
	default:
		return ""
	}
}

// injured is what a reply says of its sender; what that calls itself says nothing.
func injured(m *raft.Message) string { return word(m.Injured != 0, ", injured", "") }

func word(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// short is a read's token without the part that differs from start to start.
func short(token uint64) uint32 { return uint32(token) }

func showEntries(entries []raft.Entry) string {
	var all []string
	for i := range entries {
		all = append(all, showEntry(&entries[i]))
	}
	return strings.Join(all, ", ")
}

func showEntry(e *raft.Entry) string {
	switch e.Kind {
	case raft.Command:
		return fmt.Sprintf("%v %q", e.EntryID, e.Data)
	case raft.Membership:
		return fmt.Sprintf("%v %s", e.EntryID, showConfig(*e.Config))
	default:
		return fmt.Sprintf("%v blank", e.EntryID)
	}
}

// showEvent tells by which rule a node went, and about what.
func showEvent(e *raft.Event) string {
	line := fmt.Sprintf("%d by %s", e.Node, e.Rule)
	if e.Peer != 0 {
		line += fmt.Sprintf(", node %d", e.Peer)
	}
	switch {
	case e.Entry.Term != 0:
		line += fmt.Sprintf(", %v", e.Entry)
	case e.Entry.Index != 0:
		line += fmt.Sprintf(", at %d", e.Entry.Index)
	}
	return line
}

// showWrite tells of the hard state only what differs from the write before.
func showWrite(w *raft.Write, before raft.HardState) string {
	var parts []string
	if w.State.Term != before.Term || w.State.Vote != before.Vote {
		parts = append(parts, showState(w.State))
	}
	if w.Base != nil {
		parts = append(parts, fmt.Sprintf("base %v", w.Base.ID))
	}
	if len(w.Append.Entries) > 0 {
		parts = append(parts, fmt.Sprintf("[%s] after %v", showEntries(w.Append.Entries), w.Append.Prev))
	}
	return strings.Join(parts, ", ")
}

func showState(s raft.HardState) string {
	if s.Vote == 0 {
		return fmt.Sprintf("term %d", s.Term)
	}
	return fmt.Sprintf("term %d vote %d", s.Term, s.Vote)
}

// showNode is the line about a node in a script's answer to "state".
func showNode(n *Node) string {
	if n.Core == nil {
		last := (raft.Span{Prev: n.Disk.Base.ID, Entries: n.Disk.Entries}).Last()
		return fmt.Sprintf("%d down, on disk: %s last %v", n.ID, showState(n.Disk.State), last)
	}
	s := n.Core.Status()
	line := fmt.Sprintf("%d %v term %d vote %d lead %d commit %d last %v", n.ID, s.Role, s.Term, s.Vote, s.Leader, s.Commit, s.Last)
	if s.Applied != s.Commit {
		line += fmt.Sprintf(" applied %d", s.Applied)
	}
	if s.Durable != s.Last.Index {
		line += fmt.Sprintf(" durable %d", s.Durable)
	}
	return line + word(s.Asleep, " asleep", "") + word(s.Injured, " injured", "")
}

// showLog is the line about a node in a script's answer to "log": what the log
// starts after, and all entries that the node has or, if it is down, had on disk.
func showLog(n *Node) string {
	base, entries := n.Disk.Base.ID, n.Disk.Entries
	if n.Core != nil {
		base, entries = n.Core.Status().Base, n.entries()
	}
	line := fmt.Sprintf("%d: %v |", n.ID, base)
	if len(entries) > 0 {
		line += " " + showEntries(entries)
	}
	return line
}

// entries is the node's log as its disk will hold it once all that lies before
// it is written.
func (n *Node) entries() []raft.Entry {
	log := raft.Saved{State: n.Disk.State, Base: n.Disk.Base, Entries: n.Disk.Entries}
	for _, q := range n.queue {
		if err := log.Add(q.write); err != nil {
			panic(fmt.Sprintf("node %d: the writes do not connect: %v", n.ID, err))
		}
	}
	return log.Entries
}
