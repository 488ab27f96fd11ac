package raft

import (
	"slices"

	"github.com/quorate-db/quorate/raft/membership"
	"github.com/quorate-db/quorate/raft/quorum"
)

// log is the part of the group's log that this node still holds: the entries
// after base, consecutive. Entries never change once written, so that slices of
// them may be handed out; what is cut off is replaced in a new array.
type log struct {
	base    EntryID
	entries []Entry
	size    uint64     // of the entries, in bytes
	configs []configAt // never empty, by rising index; the last is in force
}

// configAt is a configuration and where in the log it stands. Its quorum is asked
// with every acknowledgement, and so worked out once.
type configAt struct {
	index  Index
	config *membership.Config
	quorum quorum.Joint
}

// joint reports whether two sets of voters decide together.
func (c *configAt) joint() bool { return len(c.quorum[1]) > 0 }

func newLog(base Snapshot, entries []Entry) log {
	at := base.ConfigIndex
	if at == 0 {
		at = base.ID.Index
	}
	l := log{base: base.ID, configs: []configAt{{at, &base.Config, base.Config.Quorum()}}}
	l.extend(entries)
	return l
}

func (l *log) last() EntryID {
	if n := len(l.entries); n > 0 {
		return l.entries[n-1].EntryID
	}
	return l.base
}

// at returns the ID of the entry at i, if it is between base and last.
func (l *log) at(i Index) (EntryID, bool) {
	switch {
	case i == l.base.Index:
		return l.base, true
	case i < l.base.Index || i > l.last().Index:
		return EntryID{}, false
	default:
		return l.entries[i-l.base.Index-1].EntryID, true
	}
}

// holds reports whether the log has this very entry. By the Log Matching
// property it then also has every entry before it. §5.3
func (l *log) holds(id EntryID) bool {
	got, ok := l.at(id.Index)
	return ok && got == id
}

// span returns entries after prev, up to and including last, and no more than
// maxBytes of them, but at least one.
func (l *log) span(prev, last Index, maxBytes uint64) Span {
	before, ok := l.at(prev)
	assert(ok || broken("entries after %d asked of a log from %v to %v", prev, l.base, l.last()))
	all := l.entries[prev-l.base.Index : last-l.base.Index]
	var bytes uint64
	for i := range all {
		bytes += all[i].Size()
		if bytes > maxBytes && i > 0 {
			return Span{before, all[:i:i]}
		}
	}
	return Span{before, all[:len(all):len(all)]}
}

// extend appends entries that follow the last one.
func (l *log) extend(entries []Entry) {
	l.entries = append(l.entries, entries...)
	for i := range entries {
		e := &entries[i]
		l.size += e.Size()
		if e.Kind == Membership {
			l.configs = append(l.configs, configAt{e.Index, e.Config, e.Config.Quorum()})
		}
	}
}

// SizeOf is what entries weigh together, in bytes.
func SizeOf(entries []Entry) (bytes uint64) {
	for i := range entries {
		bytes += entries[i].Size()
	}
	return bytes
}

// fresh returns those entries of the span that the log does not hold: from the
// first that differs or lies beyond the end. The span's Prev must be held.
func (l *log) fresh(s Span) []Entry {
	for i := range s.Entries {
		if !l.holds(s.Entries[i].EntryID) {
			return s.Entries[i:]
		}
	}
	return nil
}

// replaceFrom puts the entries in the place of everything from the first one's
// index on. A membership change that is cut off is no longer in force (M2).
func (l *log) replaceFrom(entries []Entry) {
	keep := entries[0].Index - l.base.Index - 1
	if keep < Index(len(l.entries)) {
		l.size -= SizeOf(l.entries[keep:])
		l.entries = slices.Clone(l.entries[:keep]) // others may still read what is cut
		for l.configs[len(l.configs)-1].index >= entries[0].Index {
			l.configs = l.configs[:len(l.configs)-1]
		}
	}
	l.extend(entries)
}

// lastNotAfter returns the last entry at or before id.Index whose term is at or
// before id.Term: the last one that a log which ends in id can share with this
// one, since terms never fall. It answers base when there is none.
func (l *log) lastNotAfter(id EntryID) EntryID {
	if id.Index <= l.base.Index {
		return l.base
	}
	upTo := l.entries[:min(id.Index, l.last().Index)-l.base.Index]
	n, _ := slices.BinarySearchFunc(upTo, id.Term, func(e Entry, term Term) int {
		if e.Term <= term {
			return -1
		}
		return 1
	})
	at, _ := l.at(l.base.Index + Index(n))
	return at
}

// snapshot returns what stands for the log up to i.
func (l *log) snapshot(i Index) (Snapshot, bool) {
	id, ok := l.at(i)
	if !ok {
		return Snapshot{}, false
	}
	at := len(l.configs) - 1
	for at > 0 && l.configs[at].index > i {
		at--
	}
	return Snapshot{ID: id, Config: *l.configs[at].config, ConfigIndex: l.configs[at].index}, true
}

// compact drops the entries up to the snapshot, which must be held.
func (l *log) compact(s Snapshot) {
	// The rest moves to an array of its own: a slice of the old one would keep
	// every dropped entry in memory. A log that is kept long has been longer before
	// and will be again; one that is emptied may stay so.
	drop := int(s.ID.Index - l.base.Index)
	rest := l.entries[drop:]
	l.size -= SizeOf(l.entries[:drop])
	l.entries = append(make([]Entry, 0, len(rest)+min(drop, 2*len(rest))), rest...)
	l.base = s.ID
	for len(l.configs) > 1 && l.configs[1].index <= s.ID.Index {
		l.configs = l.configs[1:]
	}
}

// config is the configuration in force and where it stands: the latest in the
// log, committed or not (M2 §6 §4.1 d).
func (l *log) config() *configAt { return &l.configs[len(l.configs)-1] }
