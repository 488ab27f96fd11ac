// Package wal is the durable log of a node: one for all its groups, so that one
// write and one sync serve every group that has something to say at the moment.
// It stores what groups want written and gives back, after a crash, the sum of it;
// it knows nothing of votes, majorities or leaders.
//
// # Promises
//
//   - When Append returns nil, its records survive a power cut. When it returns an
//     error, they may or may not; the log refuses everything from then on.
//   - Open returns exactly what was appended, up to the last batch that is whole.
//     Only what was never acknowledged is cut, and only at the very end.
//   - Anything else that is wrong is refused with a [DamageError] that names the
//     file and the offset. A log with a hole in it may have forgotten a vote or an
//     entry that others count on; going on could elect two leaders.
//
// # Layout
//
// A log is a directory of segments, named by their number in 20 decimal digits
// and ".wal", consecutive. All integers are little-endian, all checksums CRC-32C
// (Castagnoli). A segment is a header of 40 bytes and then frames without gaps:
//
//	offset size  header
//	     0    8  "quoratew"
//	     8    4  format version, 1
//	    12    4  salt, random
//	    16    4  mark, random, odd
//	    20    8  number of the segment, as in its name
//	    28    8  size of the segment before, in bytes; zero in segment 1
//	    36    4  checksum of the 36 bytes before
//
//	offset size  frame
//	     0    4  mark of the segment
//	     4    4  length of the payload in bytes, at least 1
//	     8    4  checksum of the payload, begun with the salt
//	    12    4  checksum of the 12 bytes before, begun with the salt plus the offset of
//	             the frame in the file, modulo 2^32
//	    16       payload
//
// A payload is a batch: records, each with its length (4 bytes) before it, encoded
// by codec.AppendRecord. A batch is written in one piece and synced once, so
// that it is the unit that a crash can tear. It is cut as a whole: nobody was told
// of any part of it. Were each record a frame of its own, a crash that kept the
// second record of a batch and not the first could not be told from damage.
//
// "Checksum begun with the salt" means that the salt takes the place of CRC-32C's
// initial value. Two segments differ in salt and mark, so that frames left over
// in a file from an earlier use are not valid in a later one: segments can one
// day be recycled, already written, without being wiped. And because salt and mark
// cannot be guessed, a client cannot store bytes that look like a frame.
//
// # Segments
//
// Every segment but number 1 begins with a frame that states each group's hard
// state and base again, as of the end of the segment before, and as the Prev of
// an Append without entries the last that was written. A segment is therefore needed only for
// its entries, and is removed when every group has compacted them: the oldest
// first, each removal made durable before the next. What follows in later segments
// may build upon entries that are gone; that is in order so long as a later base
// covers the hole (see replay.go).
//
// A segment is written under a temporary name, synced, renamed, and the directory
// synced, before anything is appended to it. One whose header or first frame
// is not whole was hence not torn by a crash; it is damaged.
//
// # Torn or damaged
//
// Bytes at the end of the last segment that do not make a valid frame are a torn
// tail, and are cut, unless a frame header follows them somewhere: the header of
// a later frame proves that the damaged one had been synced. A flipped bit in the
// very last frame cannot be told from a write that a crash interrupted, and is
// cut like one. Opening also writes the last frame once more, in place: if the sync of it
// failed, the kernel may show it to us although the disk never got it.
//
// Reading order: log.go (the life of a batch), segment.go, frame.go, then open.go
// and replay.go (after a crash). Left out for now: recycling, and moving the
// entries of a group that holds back old segments.
package wal
