// Package progress is one follower as its leader sees it: how far it is known to
// have come, what is on its way to it, and whether more may be sent.
//
// It decides pace and nothing else. What is sent, and what an acknowledgement
// means for the group, is decided in package raft. Invariant (V7): Match < Next.
//
// Reading order: State, Progress, Window.
package progress

import (
	"fmt"
	"slices"

	"github.com/quorate-db/quorate/raft/archive"
	"github.com/quorate-db/quorate/raft/quorum"
)

// Index is a position in the log.
type Index = quorum.Index

// State is how a leader sends to a follower.
type State uint8

// Probe looks for the last matching entry, one message at a time. Replicate
// streams within a window (L11). Snapshot waits for a snapshot to arrive.
const (
	Probe State = iota
	Replicate
	Snapshot
)

func (s State) String() string {
	if s > Snapshot {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return [...]string{"probe", "replicate", "snapshot"}[s]
}

// Progress is what a leader knows of one follower.
type Progress struct {
	State State
	Match Index // known to be on its disk
	Next  Index // sent next

	Heard uint64 // the leader's tick at which it last answered
	Round uint64 // the leader's last round that it answered
	Told  Index  // the highest commit index that it was told

	NotBefore uint64 // the leader's tick before which no other snapshot is offered

	waiting bool  // Probe: a message is out, and nothing more goes until it is answered
	covered Index // Snapshot: the snapshot on its way covers the log up to here
	window  Window

	failures uint8 // snapshots in a row that came to nothing
}

// New returns the progress of a follower of which nothing is known yet; the
// search starts with next.
func New(next Index, now uint64, limits Limits) Progress {
	return Progress{Next: next, Heard: now, window: Window{limits: limits}}
}

// CanSend reports whether more entries may go out now.
func (p *Progress) CanSend() bool {
	switch p.State {
	case Probe:
		return !p.waiting
	case Replicate:
		return !p.window.Full()
	default:
		return false
	}
}

// InFlight is the number of messages sent and not yet answered.
func (p *Progress) InFlight() int { return p.window.Len() }

// Sent notes a message with entries up to last. While replicating, the follower
// is trusted to take them, and the next message starts behind (L11 §10.2.2 d):
// several may be under way at once.
func (p *Progress) Sent(last Index, bytes uint64) {
	switch p.State {
	case Probe:
		p.waiting = true
	case Replicate:
		if last >= p.Next {
			p.Next = last + 1
			p.window.Add(last, bytes)
		}
	}
}

// Acked notes that the follower has everything up to match on its disk. It
// reports whether that is news: answers may come late, twice or out of order,
// and must never lower anything.
func (p *Progress) Acked(match Index) bool {
	news := match > p.Match
	p.failures, p.NotBefore = 0, 0
	p.Match = max(p.Match, match)
	p.Next = max(p.Next, match+1)
	switch p.State {
	case Probe:
		p.enter(Replicate, p.Match+1)
	case Snapshot:
		if p.Match >= p.covered {
			p.enter(Replicate, p.Match+1)
		}
	case Replicate:
		p.window.FreeTo(match)
	}
	return news
}

// Rejected notes that the follower does not hold the entry before the ones sent,
// and that the last entry that may still match is at hint. It reports whether
// the answer was news: a late one says nothing about what was sent since.
func (p *Progress) Rejected(prev, hint Index) bool {
	switch {
	case p.State == Snapshot || prev <= p.Match:
		return false
	case p.State == Replicate:
		p.enter(Probe, p.Match+1)
		return true
	case prev != p.Next-1:
		return false
	}
	p.Next = max(min(prev, hint+1), p.Match+1)
	p.waiting = false
	return true
}

// Resume lets a probe go although the one before was not answered.
func (p *Progress) Resume() { p.waiting = false }

// Lost notes that what is on its way may not have arrived: go back to searching.
func (p *Progress) Lost() {
	if p.State == Replicate {
		p.enter(Probe, p.Match+1)
	}
}

// AwaitSnapshot stops sending entries while a snapshot that covers the log up to
// the given index is under way.
func (p *Progress) AwaitSnapshot(covered Index) {
	p.enter(Snapshot, p.Next)
	p.covered = covered
}

// SnapshotEnded goes back to searching, behind the entry up to which a snapshot was
// installed; zero if none was. Either way nothing is sent before the follower gives
// a sign of life, and after a failure not before a pause, which doubles each time:
// a full disk will not have room for the same snapshot a moment later.
func (p *Progress) SnapshotEnded(upTo Index, now, pause uint64) {
	if p.State != Snapshot {
		return
	}
	p.enter(Probe, max(p.Match, upTo)+1)
	p.waiting = true
	if upTo > 0 {
		return
	}
	p.NotBefore = now + pause<<p.failures
	p.failures = min(p.failures+1, maxDoublings)
}

// maxDoublings bounds the pause between attempts at a snapshot.
const maxDoublings = 6

// Clone returns a copy that shares nothing.
func (p *Progress) Clone() Progress {
	c := *p
	c.window.ring = slices.Clone(p.window.ring)
	return c
}

// AppendWords appends what decides how the follower is sent to from now on, for a
// hash: all but what means something only beside the leader's ticks and rounds.
func (p *Progress) AppendWords(dst []uint64) []uint64 {
	var waiting uint64
	if p.waiting {
		waiting = 1
	}
	dst = append(dst, uint64(p.State), uint64(p.Match), uint64(p.Next), uint64(p.Told), waiting, uint64(p.covered), uint64(p.failures))
	for i := range p.window.count {
		s := p.window.ring[(p.window.start+i)%len(p.window.ring)]
		dst = append(dst, uint64(s.last), s.bytes)
	}
	return dst
}

// Archive keeps all of it, or sets it.
func (p *Progress) Archive(a *archive.Archive) {
	archive.Number(a, &p.State)
	archive.Number(a, &p.Match)
	archive.Number(a, &p.Next)
	archive.Number(a, &p.Heard)
	archive.Number(a, &p.Round)
	archive.Number(a, &p.Told)
	archive.Number(a, &p.NotBefore)
	archive.Flag(a, &p.waiting)
	archive.Number(a, &p.covered)
	p.window.archive(a)
	archive.Number(a, &p.failures)
}

func (p *Progress) enter(state State, next Index) {
	p.State, p.Next = state, next
	p.waiting, p.covered = false, 0
	p.window.Clear()
}
