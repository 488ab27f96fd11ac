package codec

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// flagStay is the flag of a configuration.
const flagStay = 1

// minMember is the shortest encoding of a member, in bytes: ID, roles, priority and two
// empty strings.
const minMember = 8 + 1 + 1 + 1 + 1 + 1

func appendNode(dst []byte, id raft.NodeID) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(id))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendConfig(dst []byte, c *membership.Config) []byte {
	var flags byte
	if c.Stay {
		flags = flagStay
	}
	dst = binary.AppendUvarint(append(dst, flags), uint64(len(c.Members)))
	for i := range c.Members {
		m := &c.Members[i]
		dst = append(appendNode(dst, m.ID), byte(m.Role), byte(m.Old), m.Priority)
		dst = appendString(appendString(dst, m.Address), m.Info)
	}
	return dst
}

func (r *reader) config() membership.Config {
	c := membership.Config{Stay: r.flags(flagStay) != 0}
	count := r.count(minMember)
	if count == 0 {
		return c
	}
	c.Members = make([]membership.Member, count)
	for i := range c.Members {
		c.Members[i] = membership.Member{
			ID:       r.node(),
			Role:     membership.Role(r.byte()),
			Old:      membership.Role(r.byte()),
			Priority: r.byte(),
			Address:  string(r.bytes()),
			Info:     string(r.bytes()),
		}
	}
	return c
}
