// Package store keeps the pairs of a kv.Machine: [Disk] in Pebble, [Memory] in an
// ordered map, for simulation and tests. What the pairs mean is the machine's
// business; that readers see whole batches, and that a crash leaves whole batches,
// is the business of this package.
//
// # The directory of a Disk
//
//	CURRENT      one line: "quorate kv store 3 db-000002": the format version, and
//	             the directory below that holds the content
//	db-000002/   Pebble's files
//	staged-N/    tables of a content to come; N, of 20 digits, is the number under which it
//	             was staged; see Stage and Adopt
//
// Replace builds the next db-... beside the present one, makes it durable, and
// then switches CURRENT by renaming a new one over it. A crash leaves CURRENT
// naming one or the other, both whole; Open removes the one that is not named.
// db-000000 is none: the first is still being built.
//
// # Memory
//
// What was lately written or asked for is also kept in memory, as it was at the last
// commit, so that most reads of single keys need no search in Pebble (hot.go). Nothing
// depends on it: a store that has just been opened has none of it.
//
// # Durability
//
// Pebble's own log is off. The machine's commands are in the Raft log already, and
// each batch carries the index that it leads up to: after a crash Pebble holds the
// batches up to some flush, never a part of one, and the Raft log has the rest.
// Sync flushes, and only then may the Raft log be compacted. A second log would
// write every value once more and guard nothing.
package store
