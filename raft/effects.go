package raft

// Write is what a step wants on disk, all of it or nothing, before anything in
// SendAfter may leave. Its parts happen in the order of the fields.
type Write struct {
	State  HardState // zero: unchanged
	Base   *Snapshot // the log now starts after this snapshot; what it covers may go
	Append Span      // replaces everything after Span.Prev
}

// Empty reports whether there is nothing to write.
func (w *Write) Empty() bool {
	return w.State == HardState{} && w.Base == nil && len(w.Append.Entries) == 0
}

// Saved is what a disk holds of one group: the sum of its Writes. The zero value
// is a group that never wrote. It owns its slice of entries.
type Saved struct {
	State   HardState
	Base    Snapshot // zero: the log starts at index 1
	Entries []Entry  // after Base
}

// Add puts one more Write on top. It returns an error if the Write does not
// connect to what is there, which means that a Write in between is missing.
func (s *Saved) Add(w Write) error {
	if w.State != (HardState{}) {
		s.State = w.State
	}
	if w.Base != nil {
		s.rebase(*w.Base)
	}
	if len(w.Append.Entries) == 0 {
		return nil
	}
	if err := w.Append.Check(); err != nil {
		return err
	}
	keep := w.Append.Prev.Index - s.Base.ID.Index
	if w.Append.Prev.Index < s.Base.ID.Index || keep > Index(len(s.Entries)) || s.at(keep) != w.Append.Prev {
		return errSpan
	}
	s.Entries = append(s.Entries[:keep], w.Append.Entries...)
	return nil
}

// rebase moves the start of the log. IS3, IS4: what follows a snapshot is kept
// only if the log holds the snapshot's last entry.
func (s *Saved) rebase(base Snapshot) {
	ahead := base.ID.Index - s.Base.ID.Index
	if base.ID.Index >= s.Base.ID.Index && ahead <= Index(len(s.Entries)) && s.at(ahead) == base.ID {
		s.Entries = s.Entries[ahead:]
	} else {
		s.Entries = nil
	}
	s.Base = base
}

// Holds reports whether this very entry is in the log, its base included.
func (s *Saved) Holds(id EntryID) bool {
	n := id.Index - s.Base.ID.Index
	return id.Index >= s.Base.ID.Index && n <= Index(len(s.Entries)) && s.at(n) == id
}

// at returns the entry n places after the base.
func (s *Saved) at(n Index) EntryID {
	if n == 0 {
		return s.Base.ID
	}
	return s.Entries[n-1].EntryID
}

// Read is a read that may be served: from the state machine, once it has applied
// Index.
type Read struct {
	Token uint64 // as returned by Raft.Read
	Index Index  // zero: refused, ask again
}

// Effects is what must now be done. The fields stand in the order in which a
// driver acts on them; a driver that reads them in order cannot promise what is
// not durable. The slices of messages and reads are
// valid until the core is given its next input; entries are never changed.
type Effects struct {
	Send      []Message // may leave at once: the leader's entries go out while its own disk writes (L10)
	Write               // make this durable, in the order in which it was taken, then report WriteID with Persisted
	WriteID   uint64    // the number of the last write handed out, this one unless it is empty
	SendAfter []Message // ALL4 §3.8 d: promises; only once this Write and all before it are durable
	Install   *Snapshot // then load the state machine from this snapshot before applying more (IS4)
	Commit    Index     // apply up to here: committed, and durable on this node
	Reads     []Read    // may be served once Index is applied
	Trace     []Event   // what was done, and by which rule; only with Config.Trace
}
