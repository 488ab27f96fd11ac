package kv

import (
	"bytes"
	"encoding/binary"

	"github.com/quorate-db/quorate/raft"
)

// Grant is a lease that has been granted and not yet revoked. The machine knows no
// clock: that a lease has run out is decided outside, by who revokes it, and so is
// what it has left.
type Grant struct {
	ID    LeaseID
	TTL   int64      // seconds, as granted
	Index raft.Index // of the command that granted it; no other lease has it, though it had the same ID
	Left  int64      // seconds, as last noted; the TTL if nothing was
}

func (s *step) grantLease(do GrantLease) error {
	switch pair, err := s.reader.Get(leaseKey(do.ID)); {
	case err != nil:
		return err
	case pair != nil:
		return ErrLeaseExists
	case s.leases >= MaxLeases:
		return ErrTooManyLeases
	}
	g := Grant{ID: do.ID, TTL: do.TTL, Index: s.applied, Left: do.TTL}
	s.batch.Set(leaseKey(g.ID), binary.AppendUvarint(nil, uint64(g.Index)))
	s.batch.Set(grantKey(g.Index), g.encode())
	s.leases++
	s.tally.Granted = append(s.tally.Granted, g.TTL)
	return nil
}

// revokeLease ends a lease and deletes the keys attached to it, in their order.
func (s *step) revokeLease(do RevokeLease) error {
	g, err := leaseOf(s.reader, do.ID)
	switch {
	case err != nil:
		return err
	case g == nil || do.Grant != 0 && do.Grant != g.Index:
		return ErrLeaseNotFound
	}
	keys, err := attached(s.reader, do.ID)
	if err != nil {
		return err
	}
	s.changes = 0
	for _, key := range keys {
		was, err := s.latest(key)
		if err != nil {
			return err
		}
		s.change(key, version{}, was)
	}
	if s.changes > 0 {
		s.revision++
	}
	s.batch.Delete(leaseKey(g.ID))
	s.batch.Delete(grantKey(g.Index))
	s.leases--
	s.tally.Revoked++
	s.tally.Deletes += uint64(len(keys))
	s.tally.Txns += several(uint64(len(keys)))
	return nil
}

func (s *step) noteRemaining(do NoteRemaining) error {
	switch noted, err := notedAt(s.reader); {
	case err != nil:
		return err
	case noted != do.After:
		return ErrOvertaken
	}
	for _, of := range do.Of {
		pair := grantKey(of.Grant)
		b, err := s.reader.Get(pair)
		if err != nil {
			return err
		}
		if b == nil {
			continue // revoked since
		}
		g, err := decodeGrant(pair, b)
		if err != nil {
			return err
		}
		g.Left = min(of.Seconds, g.TTL)
		s.batch.Set(pair, g.encode())
	}
	s.batch.Set(notedKey, binary.AppendUvarint(nil, uint64(s.applied)))
	return nil
}

// attach keeps the keys of leases in step with a change of one of their keys.
func (s *step) attach(key []byte, was, is LeaseID) {
	if was == is {
		return
	}
	if was != 0 {
		s.batch.Delete(attachedKey(was, key))
	}
	if is != 0 {
		s.batch.Set(attachedKey(is, key), nil)
	}
}

// Lease returns a lease, nil if there is none of that ID.
func (m *Machine) Lease(id LeaseID) (*Grant, error) {
	view := m.store.View()
	defer view.Close()
	return leaseOf(view, id)
}

// Noted returns the index of the last [NoteRemaining] that was carried out, zero if
// none was.
func (m *Machine) Noted() (raft.Index, error) {
	view := m.store.View()
	defer view.Close()
	return notedAt(view)
}

func notedAt(r Reader) (raft.Index, error) {
	b, err := r.Get(notedKey)
	if err != nil || b == nil {
		return 0, err
	}
	d := decoder{data: b}
	index := raft.Index(d.uvarint())
	if d.end() != nil {
		return 0, damaged(notedKey)
	}
	return index, nil
}

// LeaseKeys returns the keys attached to a lease, in their order.
func (m *Machine) LeaseKeys(id LeaseID) ([][]byte, error) { return m.For(ThisNode).LeaseKeys(id) }

// Leases returns the leases granted by commands after the given index, in the order
// in which they were granted.
func (m *Machine) Leases(after raft.Index) (all []Grant, err error) {
	view := m.store.View()
	defer view.Close()
	it := view.Iterate()
	for ok := it.Seek(grantKey(after + 1)); ok; ok = it.Next() {
		pair, value := it.Pair()
		if pair[0] != tableGrants {
			break
		}
		g, err := decodeGrant(pair, value)
		if err != nil {
			it.Close()
			return nil, err
		}
		all = append(all, g)
	}
	return all, it.Close()
}

func leaseOf(r Reader, id LeaseID) (*Grant, error) {
	pair := leaseKey(id)
	b, err := r.Get(pair)
	if err != nil || b == nil {
		return nil, err
	}
	d := decoder{data: b}
	index := raft.Index(d.uvarint())
	if d.end() != nil {
		return nil, damaged(pair)
	}
	pair = grantKey(index)
	if b, err = r.Get(pair); err != nil {
		return nil, err
	}
	g, err := decodeGrant(pair, b)
	return &g, err
}

func attached(r Reader, id LeaseID) (keys [][]byte, err error) {
	prefix := attachedKey(id, nil)
	it := r.Iterate()
	for ok := it.Seek(prefix); ok; ok = it.Next() {
		pair, _ := it.Pair()
		key, mine := bytes.CutPrefix(pair, prefix)
		if !mine {
			break
		}
		keys = append(keys, bytes.Clone(key))
	}
	return keys, it.Close()
}

func leaseKey(id LeaseID) []byte { return numbersKey(tableLeases, uint64(id)) }

func grantKey(index raft.Index) []byte { return numbersKey(tableGrants, uint64(index)) }

func attachedKey(id LeaseID, key []byte) []byte {
	return append(numbersKey(tableAttached, uint64(id)), key...)
}

func (g Grant) encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 16), uint64(g.ID))
	b = binary.AppendUvarint(b, uint64(g.TTL))
	if g.Left == g.TTL {
		return b
	}
	return binary.AppendUvarint(b, uint64(g.Left))
}

func decodeGrant(pair, value []byte) (Grant, error) {
	d := decoder{data: value}
	g := Grant{ID: LeaseID(d.uvarint()), TTL: d.int64()}
	g.Left = g.TTL
	if len(d.data) > 0 {
		g.Left = d.int64()
	}
	if d.end() != nil || len(pair) != 9 {
		return Grant{}, damaged(pair)
	}
	g.Index = raft.Index(binary.BigEndian.Uint64(pair[1:]))
	return g, nil
}
