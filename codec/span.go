package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/quorate-db/quorate/raft"
)

// flagConfig stands in an entry's kind byte: kinds end below it.
const flagConfig = 0x80

// minEntry is the shortest encoding of an entry, in bytes: kind, term, index and
// the length of no data.
const minEntry = 4

func appendEntryID(dst []byte, id raft.EntryID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(id.Term)), uint64(id.Index))
}

func (r *reader) entryID() raft.EntryID {
	return raft.EntryID{Term: raft.Term(r.uvarint()), Index: raft.Index(r.uvarint())}
}

func appendSpan(dst []byte, s *raft.Span) []byte {
	dst = appendEntryID(dst, s.Prev)
	dst = binary.AppendUvarint(dst, uint64(len(s.Entries)))
	prev := s.Prev
	for i := range s.Entries {
		e := &s.Entries[i]
		dst = appendEntry(dst, e, prev)
		prev = e.EntryID
	}
	return dst
}

func appendEntry(dst []byte, e *raft.Entry, prev raft.EntryID) []byte {
	if e.Kind >= flagConfig {
		panic(fmt.Sprintf("codec: entry %v has the kind %d, which the format has no room for", e.EntryID, e.Kind))
	}
	kind := byte(e.Kind)
	if e.Config != nil {
		kind |= flagConfig
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(e.Term-prev.Term))
	dst = binary.AppendUvarint(dst, uint64(e.Index-prev.Index-1))
	dst = binary.AppendUvarint(dst, uint64(len(e.Data)))
	dst = append(dst, e.Data...)
	if e.Config != nil {
		dst = appendConfig(dst, e.Config)
	}
	return dst
}

func (r *reader) span() raft.Span {
	s := raft.Span{Prev: r.entryID()}
	count := r.count(minEntry)
	if count == 0 {
		return s
	}
	s.Entries = make([]raft.Entry, count)
	prev := s.Prev
	for i := range s.Entries {
		r.entry(&s.Entries[i], prev)
		prev = s.Entries[i].EntryID
	}
	return s
}

func (r *reader) entry(e *raft.Entry, prev raft.EntryID) {
	kind := r.byte()
	e.Kind = raft.EntryKind(kind &^ flagConfig)
	e.Term = prev.Term + raft.Term(r.uvarint())
	e.Index = prev.Index + 1 + raft.Index(r.uvarint())
	e.Data = r.bytes()
	if kind&flagConfig != 0 {
		c := r.config()
		e.Config = &c
	}
}
