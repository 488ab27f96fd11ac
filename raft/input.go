package raft

import (
	"fmt"

	"github.com/quorate-db/quorate/raft/archive"
	"github.com/quorate-db/quorate/raft/membership"
)

// Input is one call of a method that may change a core. Which fields a kind uses is
// said at the field, the others are zero.
type Input struct {
	Kind    InputKind
	Message *Message // Step
	Node    NodeID   // Forget, Transfer, SnapshotSent, Unreachable, Silent, Alive
	Term    Term     // Propose: the one that the proposer asks for
	Data    []byte   // Propose; of one that was recorded only the length is right
	Index   Index    // Applied, Compact, SnapshotSent
	Number  uint64   // Persisted: the write; Silent: for how many ticks

	Wish *Reconfiguration // Reconfigure
}

// InputKind says which method was called.
type InputKind uint8

const (
	stepInput InputKind = iota + 1
	tickInput
	takeInput
	proposeInput
	persistedInput
	appliedInput
	readInput
	campaignInput
	forgetInput
	transferInput
	resignInput
	reconfigureInput
	leaveInput
	compactInput
	snapshotSentInput
	unreachableInput
	silentInput
	aliveInput
	sleptInput
	endOfInputs
)

var inputNames = [...]string{
	"none", "Step", "Tick", "Take", "Propose", "Persisted", "Applied", "Read", "Campaign", "Forget", "Transfer", "Resign",
	"Reconfigure", "Leave", "Compact", "SnapshotSent", "Unreachable", "Silent", "Alive", "Slept",
}

func (k InputKind) String() string {
	if int(k) < len(inputNames) {
		return inputNames[k]
	}
	return fmt.Sprintf("input(%d)", uint8(k))
}

// String says the input in a few words, as a call.
func (in *Input) String() string {
	switch in.Kind {
	case stepInput:
		return fmt.Sprintf("Step(%v of term %d from %x)", in.Message.Kind, in.Message.Term, in.Message.From)
	case proposeInput:
		return fmt.Sprintf("Propose(%d bytes, in term %d)", len(in.Data), in.Term)
	case persistedInput:
		return fmt.Sprintf("Persisted(%d)", in.Number)
	case appliedInput, compactInput:
		return fmt.Sprintf("%v(%d)", in.Kind, in.Index)
	case snapshotSentInput:
		return fmt.Sprintf("SnapshotSent(%x, %d)", in.Node, in.Index)
	case silentInput:
		return fmt.Sprintf("Silent(%x, %d ticks)", in.Node, in.Number)
	case forgetInput, transferInput, unreachableInput, aliveInput:
		return fmt.Sprintf("%v(%x)", in.Kind, in.Node)
	case reconfigureInput:
		return fmt.Sprintf("Reconfigure(%d changes)", len(in.Wish.Changes))
	default:
		return in.Kind.String() + "()"
	}
}

// give makes the call once more. What it returns to its caller follows from the
// state before, and is not looked at; only effects count.
func (r *Raft) give(in *Input) (fx Effects) {
	var err error
	switch in.Kind {
	case stepInput:
		in.Message.To = r.cfg.ID
		err = r.Step(*in.Message)
	case tickInput:
		r.Tick()
	case takeInput:
		fx = r.Take()
	case proposeInput:
		_, err = r.ProposeIn(in.Term, in.Data)
	case persistedInput:
		r.Persisted(in.Number)
	case appliedInput:
		r.Applied(in.Index)
	case readInput:
		_, err = r.Read()
	case campaignInput:
		r.Campaign()
	case forgetInput:
		r.Forget(in.Node)
	case transferInput:
		err = r.Transfer(in.Node)
	case resignInput:
		r.Resign()
	case reconfigureInput:
		_, err = r.Reconfigure(*in.Wish)
	case leaveInput:
		_, err = r.Leave()
	case compactInput:
		err = r.Compact(in.Index)
	case snapshotSentInput:
		r.SnapshotSent(in.Node, in.Index)
	case unreachableInput:
		r.Unreachable(in.Node)
	case silentInput:
		r.Silent(in.Node, int(in.Number))
	case aliveInput:
		r.Alive(in.Node)
	case sleptInput:
		r.Slept()
	}
	_ = err // the caller of then was told
	return fx
}

// archive lists what an input is.
func (in *Input) archive(a *archive.Archive) {
	archive.Number(a, &in.Kind)
	if in.Kind == 0 || in.Kind >= endOfInputs {
		a.Fail()
	}
	switch in.Kind {
	case stepInput:
		if a.Reading() {
			in.Message = &Message{}
		}
		in.Message.archive(a)
	case proposeInput:
		archive.Number(a, &in.Term)
		archive.Length(a, &in.Data)
	case persistedInput:
		archive.Number(a, &in.Number)
	case appliedInput, compactInput:
		archive.Number(a, &in.Index)
	case snapshotSentInput:
		archive.Fixed(a, &in.Node)
		archive.Number(a, &in.Index)
	case silentInput:
		archive.Fixed(a, &in.Node)
		archive.Number(a, &in.Number)
	case forgetInput, transferInput, unreachableInput, aliveInput:
		archive.Fixed(a, &in.Node)
	case reconfigureInput:
		if a.Reading() {
			in.Wish = &Reconfiguration{}
		}
		in.Wish.archive(a)
	}
}

// archive lists what a message is, but for its receiver. The fields that all kinds
// use come first; the others only if one of them is set.
func (m *Message) archive(a *archive.Archive) {
	archive.Number(a, &m.Kind)
	archive.Fixed(a, &m.From)
	archive.Number(a, &m.Term)
	archiveID(a, &m.Last)
	archive.Number(a, &m.Commit)
	archive.Number(a, &m.Round)
	if m.Kind == AppendEntries {
		archiveID(a, &m.Span.Prev)
		archiveEntries(a, m.Span.Prev, &m.Span.Entries)
		return
	}
	archiveID(a, &m.Rejected)
	archive.Flag(a, &m.Granted)
	archive.Flag(a, &m.Transfer)
	archive.Flag(a, &m.Sleep)
	archive.Number(a, &m.Injured)
	if m.Kind == InstallSnapshot {
		if a.Reading() {
			m.Snapshot = &Snapshot{}
		}
		archiveID(a, &m.Snapshot.ID)
		archiveConfig(a, &m.Snapshot.Config)
		archive.Number(a, &m.Snapshot.ConfigIndex)
	}
}

func (w *Reconfiguration) archive(a *archive.Archive) {
	archive.List(a, &w.Changes, func(a *archive.Archive, c *membership.Change) {
		archive.Number(a, &c.Kind)
		archiveMember(a, &c.Member)
	})
	archive.Flag(a, &w.Joint)
	archive.Flag(a, &w.Stay)
	archive.Number(a, &w.Expect)
}
