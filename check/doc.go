// Package check judges what the nodes of a group did, all of them together,
// where a core can only judge itself.
//
// A [Checker] is told what was seen of each node, as it happens, and returns a
// [Violation] as soon as a property is broken: the five of the paper's Figure 3,
// and those that the paper takes for granted (one vote in a term over all lives
// of a node, terms and commits that never go back, acknowledged commands that
// stay). It knows nothing of how a core decides; it is a second opinion, and
// shares no rule with package raft but its types.
//
// What it costs grows with what changed, not with the length of the logs: Log
// Matching is kept as one predecessor for each entry ever seen, of which the
// paper's statement follows by induction, and State Machine Safety as one
// committed entry for each index. Nothing that was seen is forgotten, so that
// also a log of long ago can contradict one of today; memory grows with the run.
//
// Reading order: checker.go, terms.go (who leads and who voted), log.go,
// commit.go. Whether clients were served well is decided in check/linear.
//
// Left out: whether a message left before its disk had what it promises, which
// only the driver of the disk can say.
package check
