// Package transport carries frames between the nodes of a cluster over TCP. It
// promises little, because Raft asks for little: a message arrives once or not at
// all, messages of one link arrive in the order in which they were sent, but for what
// may overtake entries, nothing here ever blocks a sender, and no peer can cost more than a bounded amount of
// memory, whatever it does.
//
// Each node dials every peer that it knows and uses that connection for what it
// has to say: messages, calls, pings. Only answers to calls and pings come back
// on it. A snapshot travels on a connection of its own, so that bulk data never
// stand in front of a heartbeat. Nor do entries: AppendEntries and long calls wait in a
// lane of their own, which yields to all else, and what is longer than 256 KiB travels
// in pieces.
//
// A connection begins with the preamble "quorate" and a version byte, and one
// frame from each side: hello, answered by welcome or by a refusal that says why
// in one sentence. All numbers have their lowest byte first:
//
//	preamble  "quorate" (7 bytes), version u8
//	frame     length u32 (of the payload, in bytes), crc u32, type u8, number u64,
//	          clock u64, payload
//	          crc is CRC32C over the whole frame without the crc itself; number
//	          counts the frames of a link, on after a reconnect, so that a
//	          receiver knows how many it missed; clock is a hybrid logical clock
//	          (env.Timestamp), so that traces of several nodes can be merged
//	hello     cluster u64, from u64, to u64, the sender's origin, purpose u8,
//	          the address at which the sender can be dialled
//	welcome   the acceptor's origin
//	origin    incarnation u64, life u64, start u64 (see Origin)
//	refusal   code u8, text
//	messages  any number of: length u32, a message (package codec)
//	call      id u64, request
//	answer    id u64, status u8 (0 done, 1 busy, 2 lost), answer
//	ping      count u64, time u64 (the sender's, in nanoseconds), mark u64 (how far its
//	          log has come); a pong returns them
//	open      the stream's header; then chunks of bytes (an empty one only says that
//	          the sender is there), then end (empty)
//	piece     64 KiB or less of another frame, header included, which number and
//	          clock of its last piece are those of
//	reply     what the receiver has to say about the header, once at most
//	verdict   status u8 (0 accepted, 1 refused), text
//
// With Credentials a handshake of TLS comes before all of it, and all of it is
// said within TLS. Who begins otherwise than the other side expects is told so by
// a refusal, in the open.
//
// Whatever else arrives is refused at the door: a log line (not more than a few a
// second), a counter, and the connection is closed.
//
// Reading order: transport.go, link.go (we to a peer), accept.go (a peer to us),
// call.go, stream.go; below them secure.go, wire.go, eager_unix.go, queue.go, lane.go, frame.go and
// hello.go, origin.go. Left out: rate limits, compression.
package transport
