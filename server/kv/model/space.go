package model

import (
	"slices"

	"github.com/quorate-db/quorate/server/kv"
)

// space is what the versions of all keys take, and what is amiss.
type space struct {
	bytes, quota int64
	full         bool
	alarms       map[kv.Alarm]bool
	changes      []change // whose traces have not been cleared away, in order
}

// change is one change of a key.
type change struct {
	revision int64
	replaced int64 // what the version counts for that it has replaced; zero: there was none, or it is cleared away
	itself   int64 // what it counts for if it is a tombstone
	seen     int64 // the compaction that has come by last
}

// How many changes are cleared away by each command, and by a Sweep.
const (
	perCommand = 64
	atOnce     = 4096
)

// each is what a version counts for besides its key and value.
const each = 64

func weight(k kv.KV) int64 { return int64(len(k.Key)+len(k.Value)) + each }

// change counts a change: both versions are there from now on.
func (s *space) change(revision int64, was kv.KV, existed bool, is kv.KV) {
	c := change{revision: revision}
	if existed {
		c.replaced = weight(was)
	}
	if is.Version == 0 {
		c.itself = weight(is)
	}
	s.changes = append(s.changes, c)
	s.bytes += weight(is)
}

// sweep clears away what the next changes up to the compacted revision have replaced.
// Those before it go for good, with their tombstones; those of the compacted revision
// are looked at again when another one is compacted.
func (s *space) sweep(compacted int64, limit int) {
	visited := 0
	for i := range s.changes {
		c := &s.changes[i]
		if c.revision > compacted || visited == limit {
			break
		}
		if c.seen == compacted {
			continue
		}
		visited++
		c.seen = compacted
		s.bytes -= c.replaced
		c.replaced = 0
		if c.revision < compacted {
			s.bytes -= c.itself
		}
	}
	s.changes = slices.DeleteFunc(s.changes, func(c change) bool { return c.seen == compacted && c.revision < compacted })
}

// judge raises the alarm, or ends it once a tenth of the quota is free.
func (s *space) judge() {
	switch {
	case s.quota == 0:
		s.full = false
	case s.bytes > s.quota:
		s.full = true
	case s.bytes <= s.quota-s.quota/10:
		s.full = false
	}
}

// refuses is why an action is refused while something is amiss. Who makes room, or
// ends an alarm, is let through.
func (s *space) refuses(action kv.Action) kv.Code {
	noSpace, corrupt := s.full || s.raised(kv.NoSpace), s.raised(kv.Corrupt)
	txn, isTxn := action.(kv.Txn)
	_, grants := action.(kv.GrantLease)
	_, revokes := action.(kv.RevokeLease)
	_, compacts := action.(kv.Compact)
	switch {
	case corrupt && (isTxn || grants || revokes || compacts):
		return kv.ErrCorrupt
	case noSpace && (grants || isTxn && puts(txn)):
		return kv.ErrNoSpace
	}
	return kv.OK
}

// raised reports whether an alarm was raised by hand, for whichever member.
func (s *space) raised(kind kv.AlarmKind) bool {
	for a := range s.alarms { //order: all are looked at
		if a.Kind == kind {
			return true
		}
	}
	return false
}

// Corrupt reports whether an alarm of corruption forbids all that has to do with keys.
func (m *Store) Corrupt() bool { return m.space.raised(kv.Corrupt) }

// puts reports whether a transaction may put a key, in whichever branch.
func puts(t kv.Txn) bool {
	return slices.ContainsFunc(slices.Concat(t.Then, t.Else), func(op kv.Op) bool {
		_, put := op.(kv.Put)
		nested, ok := op.(kv.Txn)
		return put || ok && puts(nested)
	})
}

// setAlarm raises or ends an alarm, and returns how many it has ended. That of the quota
// ends only if the quota is not passed.
func (s *space) setAlarm(do kv.SetAlarm) (ended int) {
	switch {
	case do.On:
		s.alarms[do.Alarm] = true
	case s.alarms[do.Alarm]:
		delete(s.alarms, do.Alarm)
		return 1
	case do.Kind == kv.NoSpace && s.full && s.bytes <= s.quota:
		s.full = false
		return 1
	}
	return 0
}
