package codec

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// minMember is the shortest encoding of a member, in bytes: ID, role and two
// empty strings.
const minMember = 8 + 1 + 1 + 1

func appendNode(dst []byte, id raft.NodeID) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(id))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendConfig(dst []byte, c *membership.Config) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c.Members)))
	for i := range c.Members {
		m := &c.Members[i]
		dst = append(appendNode(dst, m.ID), byte(m.Role))
		dst = appendString(appendString(dst, m.Address), m.Info)
	}
	return dst
}

func (r *reader) config() membership.Config {
	count := r.count(minMember)
	if count == 0 {
		return membership.Config{}
	}
	c := membership.Config{Members: make([]membership.Member, count)}
	for i := range c.Members {
		c.Members[i] = membership.Member{
			ID:      r.node(),
			Role:    membership.Role(r.byte()),
			Address: string(r.bytes()),
			Info:    string(r.bytes()),
		}
	}
	return c
}
