// Package raft is the consensus core: it decides, and never acts.
//
// Inputs are method calls: a message from another node (Step), a tick of time
// (Tick), a wish of a client (Propose, Read, Change, Transfer), a report from the
// surroundings (Persisted, Applied, Compact, Unreachable, SnapshotSent). What
// they have made necessary is returned by Take, as Effects whose fields stand in
// the order in which a driver acts on them. Between two calls of Take any number
// of inputs may come; that is where batching happens.
//
// The core has no clock, goroutine, lock, file, connection or logger, and its
// only chance is a seeded generator: equal inputs give equal effects.
//
// # Reading order
//
// types.go, message.go and effects.go say what there is; raft.go where an input
// goes; election.go, append.go, replicate.go, commit.go how one group agrees;
// snapshot.go, membership.go, read.go, transfer.go, sleep.go, injury.go what it needs to live long.
// Rules carry the short names of docs/rules.md (AE3, L8, ...) at the line that
// makes them true.
//
// # Invariants
//
// Asserted after every step, always on, at a cost that does not grow with the
// log (check.go). A broken one panics with a Violation: the group must stop.
//
//	V1  the term never falls; the vote is set once per term
//	V2  compacted <= applied <= commit <= last; none of them falls
//	V3  entries at or below commit never change
//	V4  terms in the log never fall, and the last is not after the current term
//	V5  at most one leader is known per term
//	V6  a leader's own log only grows within its term
//	V7  Match < Next for every follower, and Match <= last
//	V8  a leader's commit rises only over an entry of its term
//	V9  the configuration in force is the latest in the log
//	V10 nothing promised is volatile: what is counted as durable is in the log
//	V11 role data exists only in its role
//	V12 what is reported durable was asked for
//	V13 who sleeps knows its leader and has all of its log committed
//	V14 who is injured neither leads nor campaigns
//
// # Left out
//
// Bytes (package codec), many groups (engine), files (wal, snap), connections
// (transport), and the sessions that make a retry safe (the state machine's).
package raft
