// Package session makes commands count exactly once, however often they are proposed
// (dissertation §6.3).
//
// A call of [quorate.Group.Propose] may end in [quorate.ErrUnknownOutcome]: the leader
// took the command, and then nothing more was heard. Proposing it again may carry it
// out twice. In a session each command has a number; the replicated state remembers
// what it answered to the numbers that its client has not yet been answered, and gives
// the same answer to whoever asks again.
//
//   - [Machine] is the state machine for [quorate.GroupConfig], on every member: it
//     wraps yours, and its snapshots hold the sessions, too.
//   - [Open] begins a session; [Client.Propose] proposes a command again for as long as
//     its outcome is unknown and its context allows.
//
// # Commands
//
// In the log a command is a byte that says what it is, and then, all numbers being
// unsigned varints (encoding/binary):
//
//	0 plain    the rest is the command, which belongs to no session
//	1 open     nothing; the session's ID is the index of this command
//	2 close    session
//	3 call     session, number, first, and the rest is the command
//
// Numbers begin at 1. First is the lowest number that the client has not been answered
// yet: what was answered below it is forgotten, which bounds the memory of a session to
// [Window] answers. A number below the highest first that was seen is not carried out
// any more.
//
// # Snapshots
//
// A byte, the version 1; how many sessions there are; of each, those used last coming
// last, its ID, its first, how many answers follow, and of each answer its number, its
// length and its bytes. Then what the wrapped machine has written.
package session
