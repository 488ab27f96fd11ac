// Package explore is a model checker over the real core. It does not describe
// Raft a second time: it runs package raft itself, and tries in turn everything
// that may happen to a few nodes, in every order: a message arrives, is lost or
// arrives twice, time passes, a disk is done with its oldest write, a node loses
// what was not written and starts again, a client proposes or reads, an
// administrator changes the membership, hands the leadership over or compacts.
//
// A Setup says what the world begins with and how often each of these may happen.
// States are visited breadth first, so that the first finding is among the
// shortest; states that differ only in the names of nodes count as one. At every
// state the properties of judge.go must hold, and the core's own assertions.
// What is found is told as a script in the language of package rafttest.
//
// # Memory
//
// Of a visited state only its hash, its parent and the action that led to it are
// kept, 24 bytes or so. The states of a level lie in the order of their parents,
// so that walking through them redoes each action of the tree once, and not the
// whole way from the beginning for each state.
//
// # Reading order
//
// setups.go says what is tried; world.go what a state is; action.go what may
// happen in it; drain.go what becomes of a core's effects; judge.go what must be
// true; hash.go when two states are the same; search.go the search; script.go the
// telling.
//
// # Left out
//
// A node that is down is not a state of its own: to the others it looks like one
// that is slow, so that a crash and the start after it are one action. Two equal
// messages on the wire are one message: that the second is lost may happen
// anyway, and Duplicate delivers one twice. Two states with the same 64-bit hash
// are taken for the same: among 10 million that goes wrong with a probability of
// 3 in a million. Liveness is not looked at.
package explore
