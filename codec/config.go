package codec

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
	"github.com/quorate-db/quorate/raft/membership"
)

// Flags of a configuration. Where an entry's stands, the entry says.
const (
	flagStay  = 1
	flagIndex = 2
)

// minMember is the shortest encoding of a member, in bytes: ID, roles, priority and two
// empty strings.
const minMember = 8 + 1 + 1 + 1 + 1 + 1

func appendNode(dst []byte, id raft.NodeID) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(id))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendConfig(dst []byte, c *membership.Config) []byte { return appendConfigAt(dst, c, 0) }

// appendConfigAt appends a configuration with the index at which it stands, unless that is
// zero.
func appendConfigAt(dst []byte, c *membership.Config, index raft.Index) []byte {
	var flags byte
	if c.Stay {
		flags = flagStay
	}
	if index != 0 {
		dst = binary.AppendUvarint(append(dst, flags|flagIndex), uint64(index))
	} else {
		dst = append(dst, flags)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Members)))
	for i := range c.Members {
		dst = appendMember(dst, &c.Members[i])
	}
	return dst
}

func appendMember(dst []byte, m *membership.Member) []byte {
	dst = append(appendNode(dst, m.ID), byte(m.Role), byte(m.Old), m.Priority)
	return appendString(appendString(dst, m.Address), m.Info)
}

func (r *reader) config() membership.Config { return r.members(r.flags(flagStay)) }

func (r *reader) configAt() (c membership.Config, index raft.Index) {
	flags := r.flags(flagStay | flagIndex)
	if flags&flagIndex != 0 {
		if index = raft.Index(r.uvarint()); index == 0 {
			r.fail("a configuration at index zero")
		}
	}
	return r.members(flags), index
}

// members reads what follows the flags of a configuration.
func (r *reader) members(flags byte) membership.Config {
	c := membership.Config{Stay: flags&flagStay != 0}
	count := r.count(minMember)
	if count == 0 {
		return c
	}
	c.Members = make([]membership.Member, count)
	for i := range c.Members {
		c.Members[i] = r.member()
	}
	return c
}

func (r *reader) member() membership.Member {
	return membership.Member{
		ID:       r.node(),
		Role:     membership.Role(r.byte()),
		Old:      membership.Role(r.byte()),
		Priority: r.byte(),
		Address:  string(r.bytes()),
		Info:     string(r.bytes()),
	}
}

// Flags of a reconfiguration.
const (
	flagJoint  = 1
	flagStayIn = 2
)

// AppendReconfiguration appends the encoding of a wish for another membership.
func AppendReconfiguration(dst []byte, wish *raft.Reconfiguration) []byte {
	var flags byte
	if wish.Joint {
		flags |= flagJoint
	}
	if wish.Stay {
		flags |= flagStayIn
	}
	dst = append(dst, formatReconfiguration, flags)
	dst = binary.AppendUvarint(dst, uint64(wish.Expect))
	dst = binary.AppendUvarint(dst, uint64(len(wish.Changes)))
	for i := range wish.Changes {
		dst = appendMember(append(dst, byte(wish.Changes[i].Kind)), &wish.Changes[i].Member)
	}
	return dst
}

// DecodeReconfiguration reads what AppendReconfiguration wrote.
func DecodeReconfiguration(src []byte) (raft.Reconfiguration, error) {
	r := open(src, formatReconfiguration)
	flags := r.flags(flagJoint | flagStayIn)
	wish := raft.Reconfiguration{Joint: flags&flagJoint != 0, Stay: flags&flagStayIn != 0, Expect: raft.Index(r.uvarint())}
	if count := r.count(1 + minMember); count > 0 {
		wish.Changes = make([]membership.Change, count)
	}
	for i := range wish.Changes {
		wish.Changes[i] = membership.Change{Kind: membership.ChangeKind(r.byte()), Member: r.member()}
	}
	if err := r.close("reconfiguration"); err != nil {
		return raft.Reconfiguration{}, err
	}
	return wish, nil
}
