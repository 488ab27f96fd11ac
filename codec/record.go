package codec

import (
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
)

const (
	flagState = 1 << iota
	flagBase
	flagInjuredHere
	flagAgain
	recordFlags = 1<<iota - 1 // all of them
)

// AppendRecord appends the encoding of the record to dst and returns the result.
// It panics on an entry kind of 0x80 or more, which does not exist.
func AppendRecord(dst []byte, r *Record) []byte {
	w := &r.Write
	flags := byte(0)
	if w.State != (raft.HardState{}) {
		flags |= flagState
	}
	if w.Base != nil {
		flags |= flagBase
	}
	if w.State.Injured {
		flags |= flagInjuredHere
	}
	if r.Again {
		flags |= flagAgain
	}
	dst = append(dst, formatRecord, flags)
	dst = binary.AppendUvarint(dst, uint64(r.Group))
	if flags&flagState != 0 {
		dst = binary.AppendUvarint(dst, uint64(w.State.Term))
		dst = appendNode(dst, w.State.Vote)
		dst = binary.AppendUvarint(dst, uint64(w.State.Commit))
	}
	if w.Base != nil {
		dst = appendSnapshotBody(dst, w.Base)
	}
	return appendSpan(dst, &w.Append)
}

// DecodeRecord returns the record that src holds, all of src and nothing else.
// The entries' data alias src. The error wraps ErrFormat or ErrMalformed.
func DecodeRecord(src []byte) (Record, error) {
	var rec Record
	r, w := open(src, formatRecord), &rec.Write
	flags := r.flags(recordFlags)
	rec.Group = raft.GroupID(r.uvarint())
	injured := flags&flagInjuredHere != 0
	if flags&flagState != 0 {
		w.State = r.hardState(injured)
	} else if injured {
		r.fail("an injury without a hard state")
	}
	if flags&flagBase != 0 {
		w.Base = r.snapshotBody()
	}
	w.Append = r.span()
	rec.Again = flags&flagAgain != 0
	if rec.Again && (flags != flagAgain || len(w.Append.Entries) == 0) {
		r.fail("what is said again is entries and nothing else")
	}
	if err := r.close("record"); err != nil {
		return Record{}, err
	}
	return rec, nil
}

func (r *reader) hardState(injured bool) raft.HardState {
	s := raft.HardState{Term: raft.Term(r.uvarint()), Vote: r.node(), Commit: raft.Index(r.uvarint()), Injured: injured}
	if s == (raft.HardState{}) {
		r.fail("a hard state that is all zero")
	}
	return s
}

// AppendSnapshot appends the encoding of the snapshot's name and configuration
// to dst and returns the result.
func AppendSnapshot(dst []byte, s *raft.Snapshot) []byte {
	return appendSnapshotBody(append(dst, formatSnapshot), s)
}

// DecodeSnapshot returns the snapshot that src holds, all of src and nothing
// else. The error wraps ErrFormat or ErrMalformed.
func DecodeSnapshot(src []byte) (raft.Snapshot, error) {
	r := open(src, formatSnapshot)
	s := *r.snapshotBody()
	if err := r.close("snapshot"); err != nil {
		return raft.Snapshot{}, err
	}
	return s, nil
}

func appendSnapshotBody(dst []byte, s *raft.Snapshot) []byte {
	return appendConfigAt(appendEntryID(dst, s.ID), &s.Config, s.ConfigIndex)
}

func (r *reader) snapshotBody() *raft.Snapshot {
	s := &raft.Snapshot{ID: r.entryID()}
	s.Config, s.ConfigIndex = r.configAt()
	return s
}
