// Package wal is the durable log of a node: one for all its groups, so that one
// write and one sync serve every group that has something to say at the moment.
// It stores what groups want written and gives back, after a crash, the sum of it;
// it knows nothing of votes, majorities or leaders.
//
// # Promises
//
//   - When Append returns nil, its records survive a power cut. When it returns an
//     error, they may or may not; the log refuses everything from then on, unless the
//     error is [ErrNoSpace].
//   - Open returns exactly what was appended, up to the last batch that is whole.
//     Only what was never acknowledged is cut, and only at the very end.
//   - Anything else that is wrong is refused with a [DamageError] that names the
//     file and the offset. A log with a hole in it may have forgotten a vote or an
//     entry that others count on; going on could elect two leaders. Or, if its owner
//     wants it, the log goes on with what is left, and says of each group whether it
//     may have lost something (Options.Salvage).
//
// # Layout
//
// A log is a directory of segments, named by their number in 20 decimal digits
// and ".wal", consecutive. All integers are little-endian, all checksums CRC-32C
// (Castagnoli). A segment is a header of 40 bytes and then frames without gaps; what is
// behind them in the file is no part of the log:
//
//	offset size  header
//	     0    8  "quoratew"
//	     8    4  format version, 3
//	    12    4  salt, random
//	    16    4  mark, random, odd
//	    20    8  number of the segment, as in its name
//	    28    8  size of the segment before, in bytes, without what is behind its last
//	             frame; zero in segment 1
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
// in a file from an earlier use are not valid in a later one, and need not be wiped.
// And because salt and mark cannot be guessed, a client cannot store bytes that look
// like a frame.
//
// # Segments
//
// Every segment but number 1 begins with a frame that states each group's hard
// state and base again, as of the end of the segment before, and as the Prev of
// an Append without entries where its log ends. A segment is therefore needed only for
// its entries, and goes when every group has compacted or replaced them, or has them in a later
// segment: the oldest first, each made durable before the next. What follows in later segments
// may build upon entries that are gone; that is in order so long as they are said again, or a
// later base or Append makes up for them (see replay.go).
//
// A segment is written under a temporary name, synced, renamed, and the directory
// synced, before anything is appended to it. One whose header or first frame
// is not whole was hence not torn by a crash; it is damaged.
//
// # Files that come back
//
// A sync after which a file is longer than before, or has bytes where there were none,
// also writes metadata of the file system, and takes about twice as long. So the file of
// a segment that goes is given a temporary name and kept, two of them at most; the next
// segment is written over what it holds. A file that is new is filled with zeros some
// way ahead of the log. Open cuts the last segment behind its last frame: a torn batch
// must not be what the next one is written over.
//
// # Entries that move
//
// A group that is quiet, or whose state machine does not keep up, holds back the segment
// with its oldest entry, and with it all later ones. When the log is longer than twice
// what is needed of it, and four segments, what is needed of the oldest one is written once
// more, in records that say that the log has these entries already: they replace nothing
// behind them. Entries so stand in the order in which they were written last. Of each group
// memory knows in which frames its entries are (piece.go), so that no others are read; and
// with each batch that is written only a part is moved, so that nobody waits for long,
// however large a group is. (See move.go.)
//
// Version 2 had no such records. A log of it is read, and its last segment written on; what is
// moved is always in a later one.
//
// # Room
//
// A batch that finds no room on the disk is refused, and the log goes on: the next one
// takes its place. Entries leave some of what is written ahead of the log untouched, 64 KiB
// or a quarter of a segment, so that terms, votes and compactions have room where
// entries have none. (See room.go.)
//
// # Torn or damaged
//
// Bytes behind the last valid frame of the last segment are a torn tail, or what
// the file held before, and are cut, unless a frame header of this segment follows them
// somewhere: the header of a later frame proves that the damaged one had been synced.
// Of an earlier segment, the next one knows where it ended. A flipped bit in the
// very last frame cannot be told from a write that a crash interrupted, and is
// cut like one. Opening also writes the last frame once more, in place: if the sync of it
// failed, the kernel may show it to us although the disk never got it.
//
// What a crash at any moment leaves, and what Open makes of it, is a table in
// docs/formats.md.
//
// Reading order: log.go (the life of a batch), segment.go, frame.go, piece.go, recycle.go, room.go, then
// open.go, reading.go and replay.go (after a crash), move.go, hurt.go and salvage.go (damage), inspect.go. Left out: how
// a sync is made (see vfs.SyncMode).
package wal
