// Package codec turns raft types into bytes and back.
package codec

import "github.com/quorate-db/quorate/raft"

// Envelope is a message and the group that it belongs to.
type Envelope struct {
	Group   raft.GroupID
	Message raft.Message
}

// Record is what one group wants on disk.
type Record struct {
	Group raft.GroupID
	Write raft.Write
}
