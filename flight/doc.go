// Package flight keeps the recent past of a node's groups: what went into each core and
// a digest of what came out, for as long as a window and a bound on memory allow. What
// it keeps can be written to a file and played again elsewhere, bit for bit.
//
// It decides what to remember and what to forget. When effects are carried out, what
// the time is, and where files go is its driver's business.
//
// A group is recorded on tapes (raft.Tape). A tape begins with the state of the core,
// and ends after about half of the window or once it has taken its share of the
// memory; then the next one begins. The last two of a group are kept, so that there
// is at least a quarter of a window. Memory is shared by all groups: the tape that began
// first goes first. A group that has nothing to do ends up with none.
//
// A file is one dump:
//
//	"quorflit"   8 bytes
//	version      u8, 3
//	node, group  u64 each, the lowest byte first
//	at           uvarint, when it was made, in microseconds since 1970
//	why          length uvarint, text: the invariant that broke; empty: asked for
//	tapes        uvarint, how many; then each: when it began (as at), length uvarint
//	             and state, length uvarint and inputs
//	end          length uvarint, the state when it was made; empty if an invariant broke
//	checksum     u32 of all before
//
// States and inputs are lists of fields of package raft, in an order that belongs to
// the version. Of the data of commands only their lengths are there.
//
// Reading order: recorder.go, dump.go.
package flight
