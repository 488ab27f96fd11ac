// Package snap keeps the snapshots of a node: one file each, whole or not there at
// all. It stores bytes that a state machine wrote, under the entry that they stand
// for and the configuration in force there; it does not know what they mean, when
// one is due, or which the log still needs.
//
// # Promises
//
//   - A snapshot exists from the moment that Commit has made it durable. A crash
//     before leaves nothing of it, and what there was before as it was.
//   - What was received of a snapshot when its stream broke may be kept. It counts for
//     nothing until the rest of the very same bytes is there too: see [Receiver].
//   - Whatever is read has been checked: a byte that is not as it was written is a
//     [DamageError], never data. The end of a snapshot is reported only after the
//     checksum of the whole has been seen to match.
//   - Names are made of numbers alone. Nothing that came over a network, or from
//     a user, ever becomes part of a path.
//
// # Layout
//
// A store is a directory with one directory per group, named by the group's number
// in decimal. In it, a snapshot is INDEX-TERM.snap, both numbers in 20 decimal digits;
// one that is being written is INDEX-TERM.N.tmp; one that is being received, or of
// which a part was received, is INDEX-TERM.part, without a footer and perhaps with a
// shorter last chunk. Of a group there is one part at most. All integers are
// little-endian, all checksums CRC-32C (Castagnoli).
//
//	offset size  header
//	     0    8  "quorsnap"
//	     8    4  format version, 2
//	    12    4  length m of the name, in bytes
//	    16    8  group
//	    24    m  name: entry and configuration, encoded by codec.AppendSnapshot
//	  24+m    4  checksum of all bytes before
//
//	offset size  chunk
//	     0    4  length n of the data: 65,536, in the last chunk 1 to 65,536
//	     4    4  checksum of the data, begun with the data's offset in the content,
//	             modulo 2^32
//	     8    n  data
//
//	offset size  footer, at the very end of the file
//	     0    4  zero, where another chunk would have its length
//	     4    8  length of the content: the sum of all n
//	    12    4  checksum of the content
//	    16    4  checksum of the 16 bytes before
//
// Chunks are what a reader can check before it gives anything away, so that a
// snapshot larger than the memory streams. Header and footer are checked when the
// file is opened, and they determine its size to the byte.
//
// Reading order: store.go, writer.go, reader.go, receiver.go.
package snap
