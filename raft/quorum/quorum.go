// Package quorum decides whether enough nodes agree. It knows sets of voters and
// numbers that they have acknowledged; what a number stands for (a log index, a
// round of heartbeats, a tick at which a node was last heard) is its caller's
// business. A majority of n voters is n/2+1: half is not a majority.
//
// Reading order: Voters, then Joint. Left out: learners, which never count.
package quorum

import (
	"math"
	"slices"
)

// NodeID names a node of a group. It is random, never reused, never an address,
// and never zero: zero stands for "no node".
type NodeID uint64

// Index is a position in a sequence that counts from 1; zero is before the first.
type Index uint64

// MaxIndex is above every index: what an empty set of voters acknowledges.
const MaxIndex Index = math.MaxUint64

// Voters is a set of voters, sorted and without duplicates.
type Voters []NodeID

// Joint is a pair of sets that must both agree. Outside of a joint
// configuration the second is empty and agrees with everything.
type Joint [2]Voters

// Vote is what a count of votes says.
type Vote uint8

// The outcomes of a vote. Pending means that the votes still out can decide it.
const (
	Pending Vote = iota
	Won
	Lost
)

func (v Vote) String() string {
	return [...]string{"pending", "won", "lost"}[v]
}

// Ballot is one voter's answer.
type Ballot uint8

// The answers a voter may have given.
const (
	Unanswered Ballot = iota
	Granted
	Refused
)

// Majority is the smallest number of these voters that any other such number
// of them must share a member with.
func (v Voters) Majority() int { return len(v)/2 + 1 }

// Contains reports whether the node has a vote here.
func (v Voters) Contains(id NodeID) bool {
	_, found := slices.BinarySearch(v, id)
	return found
}

// Committed returns the highest index that a majority has acknowledged. An empty
// set has no objection to anything and answers MaxIndex; Joint relies on it.
func (v Voters) Committed(acked func(NodeID) Index) Index {
	if len(v) == 0 {
		return MaxIndex
	}
	var few [9]Index // groups of up to nine count without allocating
	got := few[:0]
	for _, id := range v {
		got = append(got, acked(id))
		// Sorted as they come: they are few, and asked for with every acknowledgement.
		for i := len(got) - 1; i > 0 && got[i] < got[i-1]; i-- {
			got[i], got[i-1] = got[i-1], got[i]
		}
	}
	return got[(len(got)-1)/2] // lower median: a majority is at or above it
}

// Tally counts ballots. An empty set has no objection: Won.
func (v Voters) Tally(ballot func(NodeID) Ballot) Vote {
	granted, open := 0, 0
	for _, id := range v {
		switch ballot(id) {
		case Granted:
			granted++
		case Unanswered:
			open++
		}
	}
	switch need := v.Majority(); {
	case len(v) == 0 || granted >= need:
		return Won
	case granted+open >= need:
		return Pending
	default:
		return Lost
	}
}

// Contains reports whether the node has a vote in either set.
func (j Joint) Contains(id NodeID) bool { return j[0].Contains(id) || j[1].Contains(id) }

// Committed returns the highest index that a majority of each set has
// acknowledged (M3).
func (j Joint) Committed(acked func(NodeID) Index) Index {
	return min(j[0].Committed(acked), j[1].Committed(acked))
}

// Tally is won only in both sets, and lost in either (M3).
func (j Joint) Tally(ballot func(NodeID) Ballot) Vote {
	a, b := j[0].Tally(ballot), j[1].Tally(ballot)
	switch {
	case a == Lost || b == Lost:
		return Lost
	case a == Won && b == Won:
		return Won
	default:
		return Pending
	}
}
